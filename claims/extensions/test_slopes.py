"""E9: where the slope is taken. λ of f includes the sigmoid, which is flat where the network is sure; the logit has none."""

from functools import partial

import numpy as np

from bthcheck import claim, figures
from bthcheck.experiments.extensions import WIDTHS
from bthcheck.geometry.jacobians import local_constants
from bthcheck.training.runs import Run

CORRUPTION = "corruption"


def logit_slopes(runs):
    """Mean over the training images of ‖∇_x z‖, z the logit, after the last epoch, (corruption, seed)."""
    experiment = runs.bthcheck.experiment

    def mean(level, seed):
        network, x = runs.bthcheck.weights(level, seed), Run(experiment, level, seed).data().x_train
        return float(local_constants(lambda points: network.logit(network.first(points)), x.to(network.first.bias)).mean())

    return np.array([[mean(level, seed) for seed in experiment.seeds] for level in experiment.levels])


@claim(
    "E9-logit",
    family="extensions",
    source="Fig. 1e and Theorem 1 for the logit (not in the paper)",
    statement="The slope of the logit at the training images rises with label corruption, as that of f does",
    scope="mean of ‖∇_x z‖ over the training images after the last epoch; published work on label noise reports a decline",
)
def test_logit_is_steeper_with_corruption(corrupted_cifar, evidence, kept):
    of_f = corrupted_cifar.lipschitz_mean.isel(epoch=-1).transpose(CORRUPTION, "seed")
    of_logit = of_f.copy(data=kept(logit_slopes, corrupted_cifar))
    evidence.increases(of_logit, CORRUPTION, quantity="mean ‖∇_x z‖ of the logit at the training images")
    evidence.figure(
        partial(figures.violins, of_logit, CORRUPTION, ylabel="mean ‖∇_x z‖ over X", log=True),
        "Slope of the logit at the training images: every seed is a line.",
    )
    evidence.figure(
        partial(figures.violins, of_f, CORRUPTION, ylabel="mean λ(x) over X", log=True),
        "Slope of f at the same images, the sigmoid included.",
    )


@claim(
    "E9-width",
    family="extensions",
    source="Theorem 1 along the width (not in the paper)",
    statement="The local Lipschitz constant at the training points falls as networks grow wider",
    scope="f = 0.5, two hidden layers of 4 to 128 neurons, the narrowest too narrow to fit; mean over X after the last epoch",
)
def test_wider_networks_are_flatter(train, evidence):
    runs = train(WIDTHS)
    final = runs.lipschitz_mean.isel(epoch=-1)
    evidence.decreases(final, "network", quantity="mean λ(x) over the training points at the end")
    evidence.figure(
        partial(figures.violins, final, "network", ylabel="mean λ(x) over X"),
        "Slope at the training points against the width: every seed is a line.",
    )
    evidence.figure(
        partial(figures.violins, runs.train_loss.isel(epoch=-1), "network", ylabel="training loss at the end", log=True),
        "Which widths fit: the training loss after the last epoch.",
    )
