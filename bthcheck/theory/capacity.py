"""Measures of capacity that need nothing but a network's weights: norms, distances and how many there are.

A first layer that is a frozen identity has a weight that nothing trains: it counts as no parameter and adds nothing to a
distance, has the spectral norm 1, and passes paths on as they are; its bias b_1 is a parameter like any other. Everything is
computed in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import float64_copy, in_float64

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bthcheck.networks import Network
else:
    torch = faces.Later("torch")


@neutral()
def log_spectral_norms(network: Network) -> float:
    """Σ_l log ‖W_l‖₂ over the affine layers, the logarithm of the product of their spectral norms.

    Jiang et al., *Fantastic Generalization Measures and Where to Find Them*, ICLR 2020, have twice this, of squared norms, and
    Dziugaite et al., *In Search of Robust Measures of Generalization*, NeurIPS 2020, too, which ranks alike. As is usual there,
    the matrix of a convolution is its kernel (out, in, height, width) reshaped to (out, in · height · width). That is not the
    operator which takes images to images: its norm is between this one and √(height · width) times as large.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    weights = [weight for weight, _ in in_float64(network).layers() if weight is not None]
    return sum(_log(float(torch.linalg.matrix_norm(weight.flatten(1), ord=2))) for weight in weights)


@neutral()
def path_norm(network: Network) -> float:
    """Σ over all paths from an input or a bias to the output of the product of the squares of its weights.

    It is computed as Jiang et al. do (ICLR 2020): the output, before any sigmoid, of the network whose weights and biases are
    squared, for an input of ones; no root is taken, which is monotone (Dziugaite et al. take it). Rescaling a hidden neuron,
    its weights and bias times c > 0 and what it feeds divided by c, changes neither f nor this (Neyshabur et al., *Path-SGD*,
    NeurIPS 2015). Where a network pools, the largest sum of a pool passes, as in its own forward pass.

    Raises
    ------
    ValueError
        If a weight is not finite.
    """
    squared = float64_copy(network)
    with torch.no_grad():
        for parameter in squared.parameters():
            parameter.square_()
        weight, bias = squared.layers()[0]
        ones = torch.ones(1, len(bias) if weight is None else weight.shape[1], dtype=torch.float64)
        return float(squared.logit(squared.first(ones)))


@neutral()
def distance(network: nn.Module, initial: nn.Module) -> float:
    """‖w − w_0‖₂ over all parameters, biases too, between a network and another of the same shape, its initialisation.

    Jiang et al. (ICLR 2020) have its square. With W_1 = I and b_1 alone that would be `distance_to_init` of a run.

    Raises
    ------
    ValueError
        If the two have parameters of other shapes.
    """
    pairs = list(zip(network.parameters(), initial.parameters(), strict=False))
    shapes = [[tuple(parameter.shape) for parameter in one.parameters()] for one in (network, initial)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"both networks must have parameters of the same shapes, got {shapes[0]} and {shapes[1]}")
    with torch.no_grad():
        return math.sqrt(sum(float((one.double() - other.double()).square().sum()) for one, other in pairs))


@neutral()
def parameter_count(network: nn.Module) -> int:
    """Return how many parameters are trained, biases too; what is frozen does not count."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _log(norm: float) -> float:
    return math.log(norm) if norm > 0 else -math.inf
