"""What more turns do to training. Windows and directions were written down before the numbers were seen."""

from functools import partial

import pytest
from spirals import SPIRALS

from bthcheck import claim, figures

TURNS = "turns"
FIT = 0.069  # a tenth of log 2, the loss of a coin


@pytest.fixture(scope="session")
def spirals(train):
    """The experiment, trained as the command line asks."""
    return train(SPIRALS)


@claim(
    "S1",
    source="Theorem 1 of the paper, for another task",
    statement="More turns make a longer normalised bias trajectory",
    scope="total φ of 300 epochs at batch size 1; all runs are fit",
)
def test_longer_trajectory(spirals, evidence):
    evidence.fitted(spirals.train_loss, FIT)
    evidence.increases(spirals.trajectory_length.sum("epoch"), TURNS, quantity="total φ")
    phi = spirals.trajectory_length / spirals.steps_per_epoch
    evidence.figure(
        partial(figures.curves, phi, TURNS, ylabel="mean φ of the epoch"),
        "Trajectory an epoch: median over seeds, band from the smallest to the largest.",
    )


@claim(
    "S2",
    source="Corollary 3 of the paper, which is for the squared loss",
    statement="More turns take the bias further from its initialisation with the cross-entropy, too",
    scope="‖b_1 − its initial value‖ after the last epoch",
)
def test_further_from_initialisation(spirals, evidence):
    distance = spirals.distance_to_init.isel(epoch=-1)
    evidence.increases(distance, TURNS, quantity="distance of b₁ to its initial value")
    evidence.figure(
        partial(figures.violins, distance, TURNS, ylabel="‖b₁ − b₁⁰‖"), "Distance to initialisation: every seed is a line."
    )
