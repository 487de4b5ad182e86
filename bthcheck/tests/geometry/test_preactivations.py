"""Slopes behind layers against products of masked matrices and against finite differences of biases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from bthcheck.evidence.search import examples
from bthcheck.experiments.extensions import ActivatedMLP
from bthcheck.geometry.lipschitz import first_layer_gradients, local_lipschitz, product_tolerance
from bthcheck.geometry.preactivations import batch_gradient, layer_bounds, layer_gradients
from bthcheck.networks import CNN, MLP


def masked_products(network, point):
    """g_l of every layer of an MLP with a linear output, by matrices and masks in NumPy."""
    layers = [(None if w is None else w.numpy(), b.numpy()) for w, b in network.layers()]
    h, masks = np.asarray(point), []
    for weight, bias in layers[:-1]:
        z = (h if weight is None else weight @ h) + bias
        masks.append((z > 0).astype(float))
        h = z * masks[-1]
    gradients = [np.ones(1)]
    for number in range(len(masks) - 1, -1, -1):
        gradients.insert(0, masks[number] * (layers[number + 1][0].T @ gradients[0]))
    return gradients


@settings(max_examples=80, deadline=None, derandomize=True)
@given(examples(output="identity"))
def test_slopes_behind_layers_are_products_of_masked_matrices(example):
    network, x = example
    found = layer_gradients(network, x)
    assert [part.shape for part in found] == [(len(x), len(bias)) for _, bias in network.layers()]
    for row, point in enumerate(x.numpy()):
        for part, expected in zip(found, masked_products(network, point), strict=True):
            np.testing.assert_allclose(part[row].numpy(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[0], first_layer_gradients(network, x))


@pytest.mark.parametrize("description", [MLP((4, 4, 5, 3, 1), output="sigmoid"), CNN((1, 10, 10), (2, 3), 3, 2, 4)])
def test_slopes_behind_layers_are_what_moving_a_bias_does(description):
    """A bias of a convolution is shared by its places, so that what moving it does is the sum of their slopes."""
    network = description.build(3).double()
    x = torch.randn(2, description.inputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    biases = [network.first.bias] + [layer.bias for layer in network.rest if hasattr(layer, "bias")]
    for bias, slopes in zip(biases, layer_gradients(network, x), strict=True):
        for entry in range(len(bias)):
            values = []
            for step in (-1e-6, 1e-6):
                with torch.no_grad():
                    bias[entry] += step
                    values.append(network(x))
                    bias[entry] -= step
            moved = (values[1] - values[0]) / 2e-6
            expected = slopes.reshape(len(x), len(bias), -1)[:, entry].sum(-1)
            np.testing.assert_allclose(moved.numpy(), expected.numpy(), rtol=1e-5, atol=1e-7)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(examples())
def test_every_layer_bounds_the_slope_and_the_last_is_the_product_of_norms(example):
    network, x = example
    bounds = layer_bounds(network, x).numpy()
    slope, rounding = local_lipschitz(network, x).numpy(), product_tolerance(network)
    assert (slope[:, None] <= bounds + rounding).all()
    weights = [np.eye(len(b)) if w is None else w.numpy() for w, b in network.layers()]
    gradients = [part.numpy() for part in layer_gradients(network, x)]
    for layer, gradient in enumerate(gradients):
        norm = np.prod([np.linalg.svd(weight, compute_uv=False)[0] for weight in weights[: layer + 1]])
        np.testing.assert_allclose(bounds[:, layer], np.linalg.norm(gradient, axis=1) * norm, rtol=1e-9)


def test_bounds_are_for_fully_connected_networks():
    network = CNN((1, 10, 10), (2, 3), 3, 2, 4).build()
    with pytest.raises(ValueError, match="fully connected networks, not for convolutions"):
        layer_bounds(network, torch.zeros(1, 100))


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_batch_normalisation_leaves_nothing_of_the_bias_gradient_but_rounding(scale):
    """Against PyTorch's own gradient of the bias; without the normalisation it is far from 0."""
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    sizes = {}
    for normalisation in ("batch", "none"):
        network = ActivatedMLP((3, 4, 5, 1), "relu", normalisation).build(1).double()
        with torch.no_grad():
            network.first.weight.mul_(scale)
        (gradient,) = torch.autograd.grad((network(x) - 1).square().mean() / 2, network.first.bias)
        sizes[normalisation] = float(gradient.norm())
        if normalisation == "batch":
            total, rounding = batch_gradient(network, x)
            assert abs(total - sizes["batch"]) <= 2 * rounding
            assert total <= rounding < 1e-8
    assert sizes["none"] > 1e-4
