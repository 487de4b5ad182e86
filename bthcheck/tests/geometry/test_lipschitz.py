"""Closed forms and finite differences against autograd; tolerances against errors that are really made."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from bthcheck.evidence.search import examples
from bthcheck.geometry import lipschitz
from bthcheck.networks import CNN, MLP
from bthcheck.training.runs import load_parameters


def by_hand(network, point):
    """g and ∇f at one point by multiplying matrices, with the sigmoid's derivative."""
    layers = [(lipschitz.first_weight(network).numpy(), network.first.bias.detach().numpy())]
    layers += [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in network.rest if hasattr(m, "weight")]
    h, masks = np.asarray(point), []
    for weight, bias in layers[:-1]:
        z = weight @ h + bias
        masks.append(z > 0)
        h = z * masks[-1]
    output = layers[-1][0] @ h + layers[-1][1]
    gradient = layers[-1][0][0]
    for number in range(len(masks) - 1, -1, -1):
        gradient = gradient * masks[number]
        if number > 0:
            gradient = layers[number][0].T @ gradient
    if network.sigmoid:
        with np.errstate(over="ignore"):
            probability, other = 1 / (1 + np.exp(-output[0])), 1 / (1 + np.exp(output[0]))
        gradient = gradient * probability * other  # 1 − probability would cancel
    return gradient, layers[0][0].T @ gradient


@settings(max_examples=150, deadline=None, derandomize=True)
@given(examples())
def test_gradients_are_products_of_masked_matrices(example):
    network, x = example
    g = lipschitz.first_layer_gradients(network, x).numpy()
    constants = lipschitz.local_lipschitz(network, x).numpy()
    for row, point in enumerate(x.numpy()):
        expected, slope = by_hand(network, point)
        size = np.abs(expected).max(initial=0) + 1e-12
        np.testing.assert_allclose(g[row], expected, rtol=1e-9, atol=1e-9 * size)
        assert constants[row] == pytest.approx(np.linalg.norm(slope), rel=1e-9, abs=1e-9 * size)


def test_local_lipschitz_is_the_slope_of_the_network():
    network = MLP((5, 7, 6, 1), "trained").build(seed=4).double()
    x = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    step = 1e-6
    slopes = [(network(x + step * e) - network(x - step * e)) / (2 * step) for e in torch.eye(5, dtype=torch.float64)]
    torch.testing.assert_close(lipschitz.local_lipschitz(network, x), torch.stack(slopes).norm(dim=0), rtol=1e-5, atol=1e-8)


def test_norms_of_convolutions_are_refused():
    with pytest.raises(ValueError, match="fully connected networks, not for convolutions"):
        lipschitz.product_bound(CNN((1, 28, 28), (2, 2)).build())


def test_counterexample_to_the_lower_bound_of_lemma_1():
    """W_1 = (1, 1)ᵀ, W_2 = (1, −1), b_1 = (1, 1), x = 1: λ = 0 although φ = σ = √2."""
    network = MLP((1, 2, 1), "trained").build().double()
    load_parameters(network, np.array([1.0, 1, 1, 1, 1, -1, 0]))
    x = torch.ones(1, 1, dtype=torch.float64)
    assert float(lipschitz.local_lipschitz(network, x)) == 0
    assert float(lipschitz.first_layer_gradients(network, x).norm()) == pytest.approx(2**0.5)
    assert np.linalg.svd(lipschitz.first_weight(network), compute_uv=False) == pytest.approx([2**0.5])
    assert float(lipschitz.active_sigma_min(network, x)) == 0  # two active rows in one dimension


def test_active_sigma_min_is_that_of_the_active_rows():
    network = MLP((3, 5, 1), "trained").build(seed=1).double()
    x = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight, active = network.first.weight.detach(), network.first(x) > 0
    got = lipschitz.active_sigma_min(network, x)
    for value, rows in zip(got, active, strict=True):
        if 0 < rows.sum() <= 3:
            kept = weight[rows]
            smallest = float(torch.linalg.eigvalsh(kept @ kept.T)[0].clamp(min=0).sqrt())
            assert float(value) == pytest.approx(smallest, rel=1e-6, abs=1e-9)
        else:
            assert float(value) == 0
    assert (active.sum(1) > 3).any()
    assert ((active.sum(1) > 0) & (active.sum(1) <= 3)).any()


def test_product_bound_is_met_by_a_linear_chain_and_quartered_by_a_sigmoid():
    linear, sigmoid = (MLP((2, 2, 1), "trained", kind).build().double() for kind in ("identity", "sigmoid"))
    for network in (linear, sigmoid):
        load_parameters(network, np.array([2.0, 0, 0, 1, 1, 1, 3, 0, -3]))
    assert lipschitz.product_bound(linear) == pytest.approx(6)
    assert float(lipschitz.local_lipschitz(linear, torch.ones(1, 2).double())) == pytest.approx(6)
    assert lipschitz.product_bound(sigmoid) == pytest.approx(1.5)
    middle = torch.zeros(1, 2).double()  # f = σ(3·1 − 3), where the sigmoid is steepest
    assert float(lipschitz.local_lipschitz(sigmoid, middle)) == pytest.approx(1.5)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(examples(output="identity"))
def test_tolerances_cover_the_error_of_single_precision(example):
    """What float32 gets wrong, measured against float64, is within the tolerance stated for float32."""
    network, x = example
    exact = lipschitz.local_lipschitz(network, x)
    active = [layer > 0 for layer in activations(network, x)]
    product, tolerance = lipschitz.product_bound(network), None
    single, x32 = network.float(), x.float()
    if any(not torch.equal(a, b > 0) for a, b in zip(active, activations(single, x32), strict=True)):
        return  # rounding the input moved it to another linear region
    tolerance = lipschitz.rounding_tolerance(single, x32)
    rounded_weights = 4 * tolerance  # casting the weights errs once more in every factor
    assert ((lipschitz.local_lipschitz(single, x32) - exact).abs() <= rounded_weights + 1e-30).all()
    assert abs(lipschitz.product_bound(single) - product) <= lipschitz.product_tolerance(single) + 1e-30


def test_a_neuron_that_is_off_adds_no_error():
    network = MLP((1, 2, 1), "trained").build().double()
    load_parameters(network, np.array([1.0, -1, 0, 0, 1, 1000, 0]))  # at x = 1 the second neuron is off, with W_2 = (1, 1000)
    got = lipschitz.rounding_tolerance(network, torch.ones(1, 1, dtype=torch.float64))
    weights = [weight for weight, _ in network.layers()]
    assert float(got) == pytest.approx(lipschitz.gamma(weights) * (1 + 2**0.5))  # |W_2| |W_1| where it is on, and ‖W_1‖_F


def activations(network, x):
    values, z = [], network.first(x)
    for layer in network.rest:
        z = layer(z)
        if isinstance(layer, torch.nn.ReLU):
            values.append(z.detach())
    return values
