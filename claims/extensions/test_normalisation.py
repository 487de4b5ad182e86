"""E7: normalisation behind the first layer. LayerNorm leaves Lemma 1 as it is; BatchNorm takes the bias out of sight."""

import numpy as np

from bthcheck import claim
from bthcheck.evidence.generated import modules
from bthcheck.evidence.measures import above_sigma_1_of_any
from bthcheck.evidence.search import Comparison, Search, falsify
from bthcheck.geometry import lipschitz
from bthcheck.geometry.preactivations import batch_gradient


def search(measure, normalisation, max_examples) -> Search:
    """What a search finds among generated ReLU networks with a normalisation behind their first layer."""
    return falsify(modules(activation="relu", normalisation=normalisation), measure, max_examples)


def bias_gradient(example):
    """‖∂L/∂b₁‖ of a batch's mean squared loss for targets of 1, 0, and what rounding can leave of it."""
    total, rounding = batch_gradient(*example)
    return Comparison(*(np.array([value]) for value in (total, 0.0, rounding)))


def above_batch_sigma_1(example):
    """λ of the network as it is evaluated, and σ₁ φ of the step that its batch would make."""
    network, x = example
    total, _ = batch_gradient(network, x)
    network.train()(x)  # gives BatchNorm its running statistics
    slopes = (network.logit(network.first(x)) - 1).detach().abs().mean().numpy()
    network.eval()
    value = lipschitz.local_lipschitz(network, x).max().numpy()
    network.train()
    sigma = np.linalg.svd(lipschitz.first_weight(network).numpy(), compute_uv=False)[0]
    bound = sigma * total / slopes if slopes > 0 else 0.0  # φ is the norm of the mean gradient over the mean |∂ℓ/∂f|
    return Comparison(*(np.array([float(one)]) for one in (value, bound, 1e-6)))


@claim(
    "E7-batch",
    kind="exact",
    family="extensions",
    source="Lemma 1 with BatchNorm (not in the paper)",
    statement="With BatchNorm right behind the first layer the gradient of its bias is 0",
    scope="training mode, mean squared loss of a batch of at least 2 points",
)
def test_batch_normalisation_hides_the_bias(evidence, kept, max_examples):
    evidence.withstands(kept(search, bias_gradient, "batch", max_examples), "‖∂L/∂b₁‖ ≤ 0 in generated networks with BatchNorm")


@claim(
    "E7-counterexample",
    kind="exact",
    family="extensions",
    source="Lemma 1 with BatchNorm (not in the paper)",
    statement="With BatchNorm behind the first layer λ can exceed σ₁ φ by any factor: φ is 0 and λ is not",
    scope="φ of a step on a batch, λ in evaluation mode at the points of that batch",
)
def test_lemma_1_fails_with_batch_normalisation(evidence, max_examples):
    evidence.fails_outside(search(above_batch_sigma_1, "batch", max_examples), "λ ≤ σ₁ φ with BatchNorm")


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
