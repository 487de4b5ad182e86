"""E7: normalisation behind the first layer. LayerNorm leaves Lemma 1 as it is; BatchNorm takes the bias out of sight."""

from bthcheck import claim
from bthcheck.evidence.generated import modules
from bthcheck.evidence.measures import above_sigma_1_of_any, above_sigma_1_of_batch, bias_gradient_of_batch
from bthcheck.evidence.search import Search, falsify


def search(measure, normalisation, max_examples) -> Search:
    """What a search finds among generated ReLU networks with a normalisation behind their first layer."""
    return falsify(modules(activation="relu", normalisation=normalisation), measure, max_examples)


@claim(
    "E7-batch",
    kind="exact",
    family="extensions",
    source="Lemma 1 with BatchNorm (not in the paper)",
    statement="With BatchNorm right behind the first layer the gradient of its bias is 0",
    scope="training mode, mean squared loss of a batch of at least 2 points",
)
def test_batch_normalisation_hides_the_bias(evidence, kept, max_examples):
    evidence.withstands(
        kept(search, bias_gradient_of_batch, "batch", max_examples), "‖∂L/∂b₁‖ ≤ 0 in generated networks with BatchNorm"
    )


@claim(
    "E7-counterexample",
    kind="exact",
    family="extensions",
    source="Lemma 1 with BatchNorm (not in the paper)",
    statement="With BatchNorm behind the first layer λ can exceed σ₁ φ by any factor: φ is 0 and λ is not",
    scope="φ of a step on a batch, λ in evaluation mode at the points of that batch",
)
def test_lemma_1_fails_with_batch_normalisation(evidence, max_examples):
    evidence.fails_outside(search(above_sigma_1_of_batch, "batch", max_examples), "λ ≤ σ₁ φ with BatchNorm")


@claim(
    "E7-layer",
    kind="exact",
    family="extensions",
    source="Lemma 1 with LayerNorm (not in the paper)",
    statement="With LayerNorm behind the first layer the local Lipschitz constant is at most σ₁ φ, as without",
    scope="batch size 1, plain SGD, ε > 0; W₁ of any shape",
)
def test_layer_normalisation_keeps_lemma_1(evidence, kept, max_examples):
    evidence.withstands(
        kept(search, above_sigma_1_of_any, "layer", max_examples), "λ ≤ σ₁‖g‖ in generated networks with LayerNorm"
    )
