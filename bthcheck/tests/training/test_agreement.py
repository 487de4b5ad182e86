"""Stacked and fused against reference in float64: every network, every loss, every batch size, and the images of the claims."""

from itertools import product

import numpy as np
import pytest

from bthcheck.experiments import (
    CORRUPTED_CIFAR,
    CORRUPTED_CIFAR_SMALL,
    MNIST_ARCHITECTURES,
    MNIST_ARCHITECTURES_SMALL,
    SINUSOIDS,
)
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages, Sinusoid
from bthcheck.tests.training.test_engines import Sign
from bthcheck.training import fused, reference, stacked
from bthcheck.training.runs import Run
from bthcheck.training.statistics import STATISTICS

STEPS = 200
POINTS = 36
NETWORKS = {
    "W_1 = I": lambda output: MLP((10, 10, 12, 8, 1), output=output),
    "narrow": lambda output: MLP((10, 6, 9, 1), "trained", output),
    "wide": lambda output: MLP((10, 13, 9, 1), "trained", output),
    "convolutions": lambda output: CNN((1, 12, 11), (2, 3), 3, 2, 4, output),
}
LOSSES = {"squared": ("identity", Sinusoid), "cross-entropy": ("sigmoid", Sign)}
BATCHES = (1, 5, 16, POINTS)  # one point, one with a smaller last batch, the paper's, and all points


def agree(experiment, place):
    """Train two levels and two seeds with all engines and compare everything."""
    runs = [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]
    for run, stack in zip(runs, stacked.train(runs, place), strict=True):
        slow = reference.train(run)
        for fast in (stack, fused.train(run)):
            for name in STATISTICS:
                np.testing.assert_allclose(fast.statistics[name], slow.statistics[name], rtol=1e-9, atol=1e-300, err_msg=name)
            np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
        moved = np.abs(slow.parameters - reference.flat_parameters(run.network())).max()
        assert moved > 1e-3  # there was something to agree on


@pytest.mark.filterwarnings("error:steps could not be captured")
@pytest.mark.parametrize(("network", "loss", "batch"), list(product(NETWORKS, LOSSES, BATCHES)))
def test_engines_agree_over_hundreds_of_steps(network, loss, batch, place):
    output, task = LOSSES[loss]
    built = NETWORKS[network](output)
    per_epoch = -(-POINTS // batch)
    experiment = SINUSOIDS.replace(
        task=task(train=POINTS, test=7, inputs=built.inputs), network=built, levels=(0.5, 0.75), seeds=(2, 5),
        epochs=-(-STEPS // per_epoch), batch_size=batch, learning_rate=0.02, decay=0.99, lipschitz_every=3, dtype="float64",
    )  # fmt: skip
    agree(experiment, place)


IMAGES = {
    "CIFAR, laptop": CORRUPTED_CIFAR_SMALL.replace(task=CorruptedImages(train=40, test=8), levels=(0.0, 0.6), epochs=5),
    "MNIST, laptop CNN": MNIST_ARCHITECTURES_SMALL.replace(levels=("CNN",), epochs=1),
    "CIFAR, the paper's CNN": CORRUPTED_CIFAR.replace(task=CorruptedImages(train=40, test=8), levels=(0.6,), epochs=5),
    "MNIST, MLP": MNIST_ARCHITECTURES.replace(levels=("MLP",), epochs=1),
}


@pytest.mark.parametrize("name", IMAGES)
def test_engines_agree_on_the_experiments_of_the_claims(name, place):
    """200 steps at batch size 1 on real images, in windows where the claim has them."""
    seeds = (0,) if "paper" in name else (0, 1)
    agree(IMAGES[name].replace(seeds=seeds, dtype="float64"), place)
