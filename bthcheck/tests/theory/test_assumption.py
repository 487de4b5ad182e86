"""An epoch that follows, against the reference engine's trace and against weights written down by hand."""

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.experiments import REGIONS
from bthcheck.geometry import lipschitz, regions
from bthcheck.networks import MLP
from bthcheck.theory.assumption import epoch_after
from bthcheck.training.runs import Run

SMALL = REGIONS.replace(dtype="float64", network=MLP((10, 6, 8, 1), "trained"), epochs=2, learning_rate=0.01)


def test_phi_is_that_of_the_reference_engine():
    run = Run(SMALL, 0.5, 0)
    x, y, *_ = run.data()
    network = run.network()
    before = [parameter.clone() for parameter in network.parameters()]
    trace = bthcheck.trace(SMALL, 0.5, 0, steps=400, engine="reference")
    after = network
    for number, order in enumerate(run.order()):
        epoch = epoch_after(after, x, y, order, 0.01)
        np.testing.assert_allclose(epoch.phi[order], trace.phi[200 * number : 200 * (number + 1)], rtol=1e-12)
        after = epoch.network
    np.testing.assert_allclose(after.first.bias.detach(), trace.bias[-1], rtol=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))  # it was a copy
    assert epoch.sigma == pytest.approx(float(torch.linalg.matrix_norm(after.first.weight.detach(), ord=2)))


@pytest.mark.parametrize("rate", [0.01, 1e-6])
def test_what_changes_is_measured_from_every_network_on_the_way(rate):
    """Bit by bit: the networks between the steps come from training that ends after each of them."""
    run = Run(SMALL, 0.5, 1)
    x, y, *_ = run.data()
    x, y, order = x[:12], y[:12], np.random.default_rng(0).permutation(12)
    network = run.network()
    epoch = epoch_after(network, x, y, order, rate)
    on_the_way, phi = [run.network()], np.empty(12)
    for point in order:
        now = on_the_way[-1]
        phi[point] = float(lipschitz.first_layer_gradients(now, x[point : point + 1]).norm())
        following = run.network()
        loss = (now(x[point : point + 1]) - y[point]).square().sum() / 2
        gradients = torch.autograd.grad(loss, list(now.parameters()))
        with torch.no_grad():
            for new, old, gradient in zip(following.parameters(), now.parameters(), gradients, strict=True):
                new.copy_(old - rate * gradient)
        on_the_way.append(following)
    last = on_the_way[-1]
    masks = np.array([np.unpackbits(regions.activation_patterns(n, x), axis=1) for n in on_the_way])
    np.testing.assert_allclose(epoch.phi, phi, rtol=1e-10)
    np.testing.assert_array_equal(epoch.changed, (masks != masks[-1]).any(axis=(0, 2)))
    final = lipschitz.first_layer_gradients(last, x).norm(dim=1).numpy()
    assert epoch.gamma == pytest.approx(max(abs(final / phi - 1)), rel=1e-5)
    assert epoch.stable == (rate == 1e-6)


def test_every_point_must_be_visited_once():
    run = Run(SMALL, 0.5, 0)
    x, y, *_ = run.data()
    with pytest.raises(ValueError, match="order must visit each of the 200 points once, got 200 visits of 1 points"):
        epoch_after(run.network(), x, y, np.zeros(200, int), 0.01)
