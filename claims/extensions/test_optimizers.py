"""E4: optimizers other than plain SGD, at matched loss. φ is of the gradient; the bias itself may move otherwise."""

from functools import partial

from bthcheck import claim, figures
from bthcheck.experiments.extensions import ADAM, MOMENTUM
from bthcheck.theory.trajectory import after_first_below

FREQUENCY = "frequency"
FIT = 0.0125  # a tenth of the loss of answering 0, as for T3: every run is looked at where it first gets there
WINDOW = 50  # epochs from there


def at_matched_loss(runs, name):
    """Mean of a statistic a step over the window that follows the first epoch with a loss below `FIT`."""
    return after_first_below(runs[name], runs.train_loss, FIT, WINDOW) / runs.steps_per_epoch


@claim(
    "E4-momentum",
    family="extensions",
    source="Theorem 1 for heavy-ball momentum (not in the paper)",
    statement="With momentum a higher frequency makes a longer normalised trajectory at matched loss",
    scope="momentum 0.9, batch size 32, learning rate 0.0032; mean φ over 50 epochs from the first with a loss below 0.0125",
)
def test_longer_trajectory_with_momentum(train, evidence):
    runs = train(MOMENTUM)
    evidence.passed(runs.train_loss, FIT)
    evidence.increases(at_matched_loss(runs, "trajectory_length"), FREQUENCY, quantity="mean φ at matched loss, momentum")
    phi = runs.trajectory_length / runs.steps_per_epoch
    evidence.figure(
        partial(figures.curves, phi, FREQUENCY, ylabel="mean φ of the epoch"),
        "Trajectory an epoch with momentum 0.9. Median over seeds, band from the smallest to the largest.",
    )


@claim(
    "E4-adam-gradient",
    family="extensions",
    source="Theorem 1 for Adam (not in the paper)",
    statement="Under Adam a higher frequency makes longer normalised gradients of the first bias at matched loss",
    scope="Adam, batch size 32, learning rate 0.001; φ of the raw gradient, mean over the same window",
)
def test_longer_gradients_under_adam(train, evidence):
    runs = train(ADAM)
    evidence.passed(runs.train_loss, FIT)
    evidence.increases(at_matched_loss(runs, "trajectory_length"), FREQUENCY, quantity="mean φ at matched loss, Adam")


@claim(
    "E4-adam-update",
    family="extensions",
    source="Theorem 1 for Adam (not in the paper)",
    statement="Under Adam the steps of the first bias themselves are longer with a higher frequency at matched loss",
    scope="‖Δb₁‖ a step, in the same window; Adam divides by the size of past gradients, which leaves no reason for it",
)
def test_longer_steps_under_adam(train, evidence):
    runs = train(ADAM)
    evidence.passed(runs.train_loss, FIT)
    evidence.increases(at_matched_loss(runs, "update_sum"), FREQUENCY, quantity="mean ‖Δb₁‖ at matched loss, Adam")
    moved = runs.update_sum / runs.steps_per_epoch
    evidence.figure(
        partial(figures.curves, moved, FREQUENCY, ylabel="mean ‖Δb₁‖ of the epoch"),
        "How far Adam moves the first bias a step. Median over seeds, band from the smallest to the largest.",
    )
