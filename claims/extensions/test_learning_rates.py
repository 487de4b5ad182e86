"""E8: the learning rate. The paper's bound has no α; large steps are known to end in flatter places."""

from functools import partial

from bthcheck import claim, figures
from bthcheck.experiments.extensions import LEARNING_RATES
from bthcheck.theory.trajectory import after_first_below

RATE = "learning_rate"
LOSS = 0.01
WINDOW = 100


@claim(
    "E8",
    family="extensions",
    source="Theorem 1, which has no α (not in the paper)",
    statement="A larger learning rate makes a shorter normalised trajectory once the data are fit",
    scope="f = 0.5, batch size 1; mean φ over the 100 epochs from the first with a training loss below 0.01",
)
def test_shorter_trajectory_at_larger_rates(train, evidence):
    runs = train(LEARNING_RATES)
    evidence.passed(runs.train_loss, LOSS)
    phi = runs.trajectory_length / runs.steps_per_epoch
    late = after_first_below(phi, runs.train_loss, LOSS, WINDOW)
    evidence.decreases(late, RATE, quantity="mean φ after the loss first passes 0.01")
    evidence.figure(
        partial(figures.violins, late, RATE, ylabel="mean φ once fit"),
        "Trajectory once the data are fit: every seed is a line.",
    )
    evidence.figure(
        partial(figures.curves, phi, RATE, ylabel="mean φ of the epoch"),
        "Trajectory an epoch at four learning rates. Median over seeds, band from the smallest to the largest.",
    )
