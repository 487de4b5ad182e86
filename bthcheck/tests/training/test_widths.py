"""Layers of any width: those that fill whole registers and those that do not, those gone through whole and those in part."""

import numpy as np
import pytest

from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid
from bthcheck.training import fused, reference
from bthcheck.training.runs import Run
from bthcheck.training.statistics import STATISTICS

BASE = SINUSOIDS.replace(
    task=Sinusoid(train=4, test=2), epochs=3, dtype="float64", lipschitz_every=1, learning_rate=0.02, levels=(0.5,)
)
NETWORKS = {
    "two inputs": MLP((2, 1, 1), "trained"),
    "fours": MLP((8, 8, 4, 12, 1)),
    "as many as are gone through whole": MLP((10, 64, 63, 64, 1), "trained"),
    "one more": MLP((10, 65, 66, 67, 1), "trained"),
    "a multiple of four": MLP((12, 68, 72, 1), "trained"),
    "rows as long as are read in pieces": MLP((9, 9, 248, 255, 1)),
    "longer": MLP((9, 9, 256, 257, 1)),
    "long rows of a trained first layer": MLP((70, 261, 3, 1), "trained"),
    "a thousand": MLP((3, 1000, 2, 1), "trained"),
}
VARIANTS = {
    "": {},
    "minibatches": {"batch_size": 3},
    "dropout": {"dropout": 0.5},
    "dropout, minibatches": {"dropout": 0.5, "batch_size": 2},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("network", NETWORKS)
def test_fused_agrees_with_reference(network, variant):
    task = Sinusoid(train=4, test=2, inputs=NETWORKS[network].inputs)
    run = Run(BASE.replace(task=task, network=NETWORKS[network], **VARIANTS[variant]), 0.5, 1)
    slow, fast = reference.train(run), fused.train(run)
    for name in STATISTICS:
        np.testing.assert_allclose(fast.statistics[name], slow.statistics[name], rtol=1e-9, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
    stepwise, steps = reference.trace(run, 4), fused.trace(run, 4)
    for name in steps:
        np.testing.assert_allclose(steps[name], stepwise[name], rtol=1e-9, atol=1e-12, err_msg=name)
