"""Gradients of single points against autograd, one point at a time."""

import numpy as np
import pytest
import torch

from bthcheck.experiments.extensions import ActivatedMLP
from bthcheck.networks import CNN, MLP
from bthcheck.theory.gradients import sample_gradient_norms

NETWORKS = {
    "regression": MLP((5, 5, 7, 1)),
    "trained first layer": MLP((5, 6, 7, 4, 1), "trained", "sigmoid"),
    "convolutions": CNN((2, 12, 11), (3, 4), 3, 2, 5),
    "tanh": ActivatedMLP((5, 6, 4, 1), "tanh"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_norms_are_those_of_the_gradients_of_single_points(name):
    description = NETWORKS[name]
    network = description.build(3).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, description.inputs, generator=generator, dtype=torch.float64)
    y = (torch.arange(6) % 2).double()
    expected = []
    for point, target in zip(x, y, strict=True):
        s = network.logit(network.first(point[None]))
        value = (
            torch.nn.functional.binary_cross_entropy_with_logits(s, target[None])
            if network.sigmoid
            else (s - target).square().sum() / 2
        )
        gradients = torch.autograd.grad(value, list(network.parameters()))
        expected.append(float(torch.cat([one.flatten() for one in gradients]).norm()))
    with torch.no_grad():
        found = sample_gradient_norms(network, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.first._forward_hooks


def test_layers_whose_gradients_are_not_known_are_refused():
    network = ActivatedMLP((4, 5, 3, 1), "relu", "layer").build(0)
    with pytest.raises(TypeError, match="known of affine layers and convolutions, got LayerNorm"):
        sample_gradient_norms(network, torch.zeros(2, 4), torch.zeros(2))
