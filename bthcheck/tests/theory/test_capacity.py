"""Norms of weights, against paths that are counted one by one, numpy's SVD, and what must not change them."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from bthcheck.networks import CNN, MLP, Network
from bthcheck.theory.capacity import distance, log_spectral_norms, parameter_count, path_norm

NETWORKS = [MLP((3, 3, 4, 2, 1)), MLP((2, 3, 2, 1), "trained", "sigmoid")]


def matrices(network):
    """(W_l, b_l) of every layer in numpy, an identity written out."""
    pairs = [(weight, bias.numpy().astype(float)) for weight, bias in network.layers()]
    return [(np.eye(len(bias)) if weight is None else weight.numpy().astype(float), bias) for weight, bias in pairs]


def sum_over_paths(layers):
    """Σ over every path, from an input or from a bias on, of the product of squares: each path by itself."""
    total = 0.0
    for begin in range(len(layers)):
        widths = [layer[0].shape[0] for layer in layers[begin:]]
        for path in itertools.product(*map(range, widths)):
            behind = math.prod(
                layers[begin + step + 1][0][after, before] ** 2 for step, (before, after) in enumerate(itertools.pairwise(path))
            )
            total += layers[begin][1][path[0]] ** 2 * behind
            if begin == 0:
                total += sum(float(weight) ** 2 * behind for weight in layers[0][0][path[0]])
    return total


@pytest.mark.parametrize("description", NETWORKS, ids=["identity", "trained"])
def test_path_norm_is_the_sum_over_all_paths(description):
    network = description.build(1)
    before = [parameter.clone() for parameter in network.parameters()]
    assert path_norm(network) == pytest.approx(sum_over_paths(matrices(network)), rel=1e-12)
    assert all(map(torch.equal, network.parameters(), before))  # the network stays as it is


def test_path_norm_of_a_network_by_hand():
    network = MLP((1, 1, 1)).build()
    with torch.no_grad():
        network.first.bias.fill_(-2)
        network.rest[1].weight.fill_(-3)
        network.rest[1].bias.fill_(5)
    assert path_norm(network) == (1 + 4) * 9 + 25  # W_1 = 1 is a step of paths, b_1 and b_2 begin some


def test_rescaling_a_hidden_neuron_changes_the_path_norm_no_more_than_the_function():
    network = MLP((4, 5, 6, 1), "trained").build(2).double()
    scaled = copy.deepcopy(network)
    with torch.no_grad():
        for before, after in ((scaled.first, scaled.rest[1]), (scaled.rest[1], scaled.rest[3])):
            factor = torch.rand(len(before.bias), dtype=torch.float64) * 9 + 0.1
            before.weight *= factor[:, None]
            before.bias *= factor
            after.weight /= factor
    x = torch.randn(7, 4, dtype=torch.float64)
    torch.testing.assert_close(scaled(x), network(x))
    assert path_norm(scaled) == pytest.approx(path_norm(network), rel=1e-12)
    assert log_spectral_norms(scaled) != pytest.approx(log_spectral_norms(network), rel=1e-3)


def test_path_norm_of_a_convolution_lets_the_largest_of_a_pool_pass():
    network = CNN((1, 8, 8), channels=(2, 3), kernel=2, pool=2, hidden=2).build(3)
    squared = copy.deepcopy(network).double()
    with torch.no_grad():
        for parameter in squared.parameters():
            parameter.copy_(parameter**2)
        z = squared.first(torch.ones(1, 64, dtype=torch.float64))
        expected = squared.rest(z).item()
    assert path_norm(network) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "description", [*NETWORKS, CNN((1, 8, 8), (2, 3), kernel=2, pool=2, hidden=2)], ids=["identity", "trained", "convolution"]
)
def test_spectral_norms_are_those_of_numpy(description):
    network = description.build(4)
    norms = [
        np.linalg.svd(weight.reshape(len(weight), -1).numpy().astype(float), compute_uv=False).max()
        for weight, _ in network.layers()
        if weight is not None
    ]
    assert log_spectral_norms(network) == pytest.approx(np.log(norms).sum(), rel=1e-12)


def test_the_operator_of_a_convolution_is_steeper_than_its_kernel_by_at_most_the_root_of_its_size():
    layer = CNN((2, 9, 9), (3, 4), kernel=3, pool=1, hidden=2).build(6).rest[2].double()
    images = torch.eye(2 * 7 * 7, dtype=torch.float64).view(-1, 2, 7, 7)
    with torch.no_grad():
        operator = (layer(images) - layer(torch.zeros_like(images))).flatten(1)
    kernel = np.linalg.norm(layer.weight.detach().flatten(1).numpy(), 2)
    assert kernel < np.linalg.norm(operator.numpy(), 2) < 3 * kernel


def test_an_identity_has_the_norm_one_and_a_zero_layer_none():
    network = MLP((3, 3, 2, 1)).build(5)
    trained = Network(nn.Linear(3, 3), network.rest, sigmoid=False)
    with torch.no_grad():
        trained.first.weight.copy_(torch.eye(3))
    assert log_spectral_norms(trained) == pytest.approx(log_spectral_norms(network), abs=1e-12)
    with torch.no_grad():
        network.rest[1].weight.zero_()
    assert log_spectral_norms(network) == -math.inf


def test_distance_is_over_all_parameters_and_counts_are_of_those_that_are_trained():
    first, other = (MLP((3, 3, 4, 1)).build(seed) for seed in (0, 1))
    squares = [
        (a.item() - b.item()) ** 2
        for one, two in zip(first.parameters(), other.parameters(), strict=True)
        for a, b in zip(one.flatten(), two.flatten(), strict=True)
    ]
    assert distance(first, other) == pytest.approx(math.sqrt(sum(squares)), rel=1e-12)
    assert distance(first, first) == 0
    assert parameter_count(first) == len(squares) == 3 + (3 * 4 + 4) + (4 + 1)  # W_1 = I is none
    assert parameter_count(MLP((3, 3, 4, 1), "trained").build()) == len(squares) + 9
    first.rest[1].bias.requires_grad_(False)
    assert parameter_count(first) == len(squares) - 4


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match="must have parameters of the same shapes"):
        distance(MLP((3, 3, 4, 1)).build(), MLP((3, 3, 5, 1)).build())
    diverged = MLP((3, 3, 1)).build()
    with torch.no_grad():
        diverged.first.bias[0] = math.nan
    for measure in (path_norm, log_spectral_norms):
        with pytest.raises(ValueError, match="must be finite numbers; did its training diverge"):
            measure(diverged)
