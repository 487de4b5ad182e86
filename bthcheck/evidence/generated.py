"""Networks beyond those of the paper, generated for a search: any activation, and normalisation behind the first layer."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck import faces
from bthcheck.evidence.search import MAX_WIDTH, Example, assume
from bthcheck.experiments.extensions import ActivatedMLP
from bthcheck.geometry.lipschitz import first_layer_gradients
from bthcheck.training.runs import load_parameters

if TYPE_CHECKING:
    import torch
    from hypothesis import strategies as st
else:
    st, torch = faces.Later("hypothesis.strategies"), faces.Later("torch")


def modules(*, activation: str, normalisation: str = "none", points: int = 4) -> "st.SearchStrategy[Example]":
    """Return a strategy that draws a network of `ActivatedMLP` in float64 and points to look at it, (m, n), at least 2.

    As in `bthcheck.evidence.search.examples`, weights are small whole numbers or normal over four orders of magnitude, and
    networks that are flat at all their points are left out. One with BatchNorm is in training mode, in which it is trained:
    its statistics are those of the points.
    """
    return st.composite(_module)(activation, normalisation, points)


def _module(draw: Any, activation: str, normalisation: str, points: int) -> Example:
    n, first = draw(st.integers(1, MAX_WIDTH - 1)), draw(st.integers(1, MAX_WIDTH))
    hidden = draw(st.lists(st.integers(1, MAX_WIDTH), max_size=2))
    network = ActivatedMLP((n, first, *hidden, 1), activation, normalisation).build().double()
    size = sum(tensor.numel() for tensor in network.parameters())
    count = draw(st.integers(2, points))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        weights = generator.standard_normal(size) * 10.0 ** draw(st.integers(-2, 2))
    else:
        weights = generator.integers(-3, 4, size).astype(float)
    buffers = torch.cat([torch.zeros(0, dtype=torch.float64), *(buffer.flatten().double() for buffer in network.buffers())])
    load_parameters(network, np.concatenate([weights, buffers.numpy()]))
    x = torch.from_numpy(generator.standard_normal((count, n)))
    example = Example(network, x)
    gradient = first_layer_gradients(network, x)
    assume(bool(gradient.isfinite().all()) and bool(gradient.any()))
    return example
