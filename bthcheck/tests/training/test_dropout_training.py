"""Dropout at the end of the forward pass: what a step sees, from its definition over all ways to switch neurons off."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.networks import CNN, MLP
from bthcheck.training import reference
from bthcheck.training.runs import Run
from bthcheck.training.streams import STREAMS, kept_neurons, stream

WIDTHS = (3, 4, 3, 2, 1)
HIDDEN = sum(WIDTHS[1:-1])


@pytest.fixture(params=["identity", "sigmoid"])
def network(request):
    return MLP(WIDTHS, "trained", request.param).build(4).double()


def by_hand(network, x, kept):
    """f and the gradients of the last affine map in every parameter and in x, neuron by neuron, at one point."""
    layers = [(w.numpy(), b.numpy()) for w, b in network.layers()]
    h, on, inputs = x.numpy(), [], []
    keep = np.split(kept, np.cumsum(WIDTHS[1:-2]))
    for weight, bias in layers[:-1]:
        inputs.append(h)
        z = weight @ h + bias
        h = np.maximum(z, 0)
        on.append(z > 0)
    inputs.append(h)
    s = (layers[-1][0] @ h + layers[-1][1]).item()
    delta, gradients = np.ones(1), []
    for number in reversed(range(len(layers))):
        seen = inputs[number] * (keep[number - 1] if number else 1)
        gradients = [np.outer(delta, seen), delta, *gradients]
        delta = layers[number][0].T @ delta
        if number:
            delta = delta * on[number - 1] * keep[number - 1]
    return s, gradients, delta


def test_derivatives_pass_through_kept_neurons_and_the_value_through_all(network):
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3)))
    seen = set()
    for bits in product([0, 1], repeat=HIDDEN):
        z = network.first(x)
        logit = network.thinned_logit(z, torch.tensor([bits]))
        s, expected, slope = by_hand(network, x[0], np.array(bits))
        assert torch.equal(logit, network.logit(network.first(x)))
        assert logit.item() == pytest.approx(s, rel=1e-12)
        got = torch.autograd.grad(logit.sum(), list(network.parameters()))
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
        f = 1 / (1 + np.exp(-s))
        steep = f * (1 - f) if network.sigmoid else 1.0
        constant = float(local_lipschitz(network, x, torch.tensor([bits])))
        assert constant == pytest.approx(steep * np.linalg.norm(slope), rel=1e-12, abs=1e-15)
        seen.add(round(constant, 9))
    assert len(seen) > 10
    assert float(local_lipschitz(network, x)) == pytest.approx(constant)  # the last keeps all


def test_a_step_is_the_plain_one_halved_for_every_layer_it_comes_through_on_average(network):
    """The mean over all 2^9 ways to switch neurons off, exactly."""
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3)))
    kept = torch.tensor(list(product([0, 1], repeat=HIDDEN)))
    logit = network.thinned_logit(network.first(x.expand(len(kept), -1)), kept)
    thinned = torch.autograd.grad(logit.mean(), list(network.parameters()))
    plain = torch.autograd.grad(network.logit(network.first(x)).sum(), list(network.parameters()))
    hidden = len(WIDTHS) - 2
    for number, (one, other) in enumerate(zip(thinned, plain, strict=True)):
        layer, bias = number // 2, number % 2
        halvings = hidden - layer + (0 if bias or layer == 0 else 1)  # a weight also needs the neuron it comes from
        np.testing.assert_allclose(one, other / 2**halvings, rtol=1e-12, atol=1e-15)


def test_every_neuron_is_kept_half_of_the_time_independently():
    kept = np.unpackbits(kept_neurons(3, 4000, 11), axis=1, count=11)
    counts = kept.sum(axis=0, dtype=float)
    assert stats.chisquare(np.bincount(kept[:, 2] * 4 + kept[:, 5] * 2 + kept[:, 10], minlength=8)).pvalue > 1e-4
    assert (np.abs(counts - 2000) < 5 * np.sqrt(1000)).all()
    assert abs(np.corrcoef(kept[1:, 0], kept[:-1, 0])[0, 1]) < 5 / np.sqrt(4000)


def test_a_shorter_training_drops_as_the_beginning_of_a_longer_one_and_seeds_differ():
    np.testing.assert_array_equal(kept_neurons(3, 50, 42), kept_neurons(3, 1000, 42)[:50])
    assert (kept_neurons(3, 50, 42) != kept_neurons(4, 50, 42)).any()


def test_what_is_dropped_has_a_random_stream_of_its_own():
    kept = kept_neurons(3, 50, 42)
    for name in STREAMS:
        drawn = stream(3, name).integers(0, 256, size=kept.shape, dtype=np.uint8)
        assert np.array_equal(kept, drawn) == (name == "dropout")


def test_levels_share_what_is_dropped_and_windows_do_not_change_it():
    experiment = SINUSOIDS.replace(epochs=2, dropout=0.5)
    first, other = (Run(experiment, level, 1).kept() for level in (0.25, 1.0))
    np.testing.assert_array_equal(first, other)
    assert first.shape == (2, 100, 14)  # 10 + 3 · 32 neurons
    np.testing.assert_array_equal(Run(experiment.replace(windows=4), 0.25, 1).kept().reshape(first.shape), first)
    assert Run(SINUSOIDS, 0.25, 1).kept() is None


def test_dropout_changes_what_is_learned_but_not_where_it_starts():
    plain, thinned = (Run(SINUSOIDS.replace(epochs=1, dropout=rate), 0.5, 0) for rate in (0.0, 0.5))
    np.testing.assert_array_equal(plain.order(), thinned.order())
    for one, other in zip(plain.network().parameters(), thinned.network().parameters(), strict=True):
        assert torch.equal(one, other)
    a, b = reference.trace(plain, 3), reference.trace(thinned, 3)
    assert a["gradient_norm"][0].tolist() == b["gradient_norm"][0].tolist()  # that of the whole network
    assert a["phi"][0] != b["phi"][0]


def test_phi_is_lambda_of_the_network_without_what_was_dropped():
    """Lemma 1 under Dropout, with W_1 = I."""
    trace = reference.trace(Run(SINUSOIDS.replace(epochs=1, dropout=0.5, dtype="float64"), 0.5, 0), 50)
    np.testing.assert_allclose(trace["phi"], trace["lipschitz"], rtol=1e-12)
    moved = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)
    np.testing.assert_allclose(moved, 0.001 * trace["epsilon"] * trace["phi"], rtol=1e-7)


@pytest.mark.parametrize("rate", [0.3, 1, -0.5, True, "0.5", None])
def test_only_half_can_be_dropped(rate):
    with pytest.raises(ValueError, match=r"dropout must be 0 or 0.5, got"):
        SINUSOIDS.replace(dropout=rate)


def test_convolutions_are_refused():
    with pytest.raises(ValueError, match="dropout is for fully connected networks"):
        CORRUPTED_CIFAR_SMALL.replace(dropout=0.5)
    network = CNN((1, 12, 12), (2, 2), 3, 2, 4).build()
    with pytest.raises(ValueError, match="Dropout is for fully connected networks, such as MLP; got Unflatten"):
        network.thinned_logit(torch.zeros(1, 144), torch.ones(1, 4))
