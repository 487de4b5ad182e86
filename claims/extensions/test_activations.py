"""E6: activations other than ReLU. Lemma 1 needs none of them; the ordering of T1 is another matter."""

from functools import partial

from bthcheck import claim, figures
from bthcheck.evidence.generated import modules
from bthcheck.evidence.measures import above_sigma_1_of_any
from bthcheck.evidence.search import Search, falsify
from bthcheck.experiments.extensions import SMOOTH
from bthcheck.theory.trajectory import after_first_below

FREQUENCY = "frequency"
FIT = 0.0125  # a tenth of the loss of answering 0, as for T3: every run is looked at where it first gets there
WINDOW = 50  # epochs from there, as for E4


def search(kind, normalisation, max_examples) -> Search:
    """What a search finds among generated networks with an activation, and a normalisation behind their first layer."""
    return falsify(modules(activation=kind, normalisation=normalisation), above_sigma_1_of_any, max_examples)


@claim(
    "E6",
    kind="exact",
    family="extensions",
    source="Lemma 1 for other activations (not in the paper)",
    statement="With GELU, leaky ReLU or tanh the local Lipschitz constant is at most σ₁ φ too",
    scope="batch size 1, plain SGD, ε > 0; W₁ of any shape; λ is the norm of the gradient, which changes from point to point",
)
def test_lemma_1_needs_no_relu(evidence, kept, max_examples):
    for kind in SMOOTH:
        found = kept(search, kind, "none", max_examples)
        evidence.withstands(found, f"λ ≤ σ₁‖g‖ in generated networks with {kind}")


@claim(
    "E6-trend",
    family="extensions",
    source="Fig. 1b with other activations (not in the paper)",
    statement="With GELU, leaky ReLU or tanh a higher frequency makes a longer normalised trajectory at matched loss",
    scope="f ≤ 0.375, whole batches, learning rate 0.2, W₁ trained; mean φ over 50 epochs from the first with loss < 0.0125",
)
def test_longer_trajectory_with_other_activations(train, evidence):
    for kind, experiment in SMOOTH.items():
        runs = train(experiment)
        evidence.passed(runs.train_loss, FIT, of=kind)
        phi = runs.trajectory_length / runs.steps_per_epoch
        evidence.increases(
            after_first_below(phi, runs.train_loss, FIT, WINDOW), FREQUENCY, quantity=f"mean φ at matched loss, {kind}"
        )
        evidence.figure(
            partial(figures.curves, phi, FREQUENCY, ylabel=f"mean φ of the epoch, {kind}"),
            f"Trajectory an epoch with {kind}. Median over seeds, band from the smallest to the largest.",
        )
