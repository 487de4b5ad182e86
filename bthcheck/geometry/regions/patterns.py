"""Activation patterns: which hidden neurons are on at a point, s(x), and the gradient of the network where they are.

The linear region of a point is where its pattern is. Packed patterns have a bit a hidden neuron, in the order of the layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")

MAX_NUMBERS = 2**24
"""Entries of s(x) times training patterns, at most: the matrix S then takes 128 MiB."""
BATCH = 2**15  # points that go through the network at once
_CHUNK = 2**22  # entries of s(x) that are written out at once


def hidden_widths(network: Network) -> tuple[int, ...]:
    """Return (n_1, …, n_{d−1}).

    Raises
    ------
    ValueError
        If the network is not fully connected with ReLU between its layers and one output.
    """
    layers = list(network.rest)
    wrong = [
        layer for layer, kind in zip(layers, [nn.ReLU, nn.Linear] * len(layers), strict=False) if not isinstance(layer, kind)
    ]
    if wrong or not layers:
        name = type(wrong[0]).__name__ if wrong else "nothing"
        raise ValueError(
            f"linear regions are those of fully connected ReLU networks, such as MLP; got {name} behind its first layer"
        )
    widths = [len(bias) for _, bias in network.layers()]
    if widths[-1] != 1:
        raise ValueError(f"a network must have one output, got {widths[-1]}")
    return tuple(widths[:-1])


@neutral()
def activation_patterns(network: Network, x: Tensor) -> np.ndarray:
    """Return which hidden neurons are on at x (m, n): (m, ⌈Σ n_l / 8⌉) uint8, the bits of all hidden layers in order, packed.

    A neuron at exactly 0 is off, as in PyTorch's derivative of ReLU.

    Raises
    ------
    ValueError
        As `hidden_widths`, or if x is of another dimension.
    """
    hidden_widths(network)
    if x.ndim != 2 or x.shape[1] != inputs(network):
        raise ValueError(f"x must be points of the {inputs(network)} inputs, (m, {inputs(network)}), got {tuple(x.shape)}")
    return np.concatenate([forward(network, part)[0] for part in x.split(BATCH)])


@neutral()
def unpacked(patterns: np.ndarray, widths: tuple[int, ...]) -> list[np.ndarray]:
    """Return the 0/1 activation vectors of every hidden layer, float64 of shape (m, n_l) each."""
    bits = np.unpackbits(patterns, axis=1, count=sum(widths)).astype(float)
    return np.split(bits, np.cumsum(widths)[:-1], axis=1)


@neutral()
def kronecker(patterns: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Return s, the Kronecker product of the activation vectors of all hidden layers: (m, Π n_l) float64 of 0 and 1.

    Raises
    ------
    ValueError
        If that is more than `MAX_NUMBERS` numbers.
    """
    check_size(len(patterns), widths)
    product = np.ones((len(patterns), 1))
    for vectors in unpacked(patterns, widths):
        product = np.einsum("mi,mj->mij", product, vectors).reshape(len(patterns), -1)
    return product


@neutral()
def pattern_gradients(network: Network, patterns: np.ndarray, *, absolute: bool = False) -> np.ndarray:
    """Return the gradient in x of the last affine map in the regions of m patterns, (m, n), in one batched backward pass.

    `absolute` puts \\|W_l\\| for W_l, which gives what rounding errors are a multiple of.
    """
    masks = unpacked(patterns, hidden_widths(network))
    weights = [None if weight is None else weight.double().cpu().numpy() for weight, _ in network.layers()]
    gradient = np.ones((len(patterns), 1))
    for weight, mask in zip(reversed(weights), [None, *reversed(masks)], strict=True):
        if mask is not None:
            gradient = gradient * mask
        if weight is not None:  # a frozen identity
            gradient = gradient @ (np.abs(weight) if absolute else weight)
    return gradient


def forward(network: Network, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed patterns (m, bytes) and the last affine map (m,), float64, at x."""
    masks = []
    with torch.no_grad():
        z = network.first(x)
        for layer in network.rest:
            z = layer(z)
            if isinstance(layer, nn.ReLU):
                masks.append((z > 0).cpu().numpy())
    return np.packbits(np.concatenate(masks, axis=1), axis=1), z.squeeze(-1).double().cpu().numpy()


def output_slope(network: Network, logit: np.ndarray) -> np.ndarray:
    """Return the derivative of the output function, without cancellation where a sigmoid is nearly 0 or 1."""
    if not network.sigmoid:
        return np.ones_like(logit)
    decay = np.exp(-np.abs(logit))
    return decay / (1 + decay) ** 2


def inputs(network: Network) -> int:
    weight, bias = network.layers()[0]
    return len(bias) if weight is None else weight.shape[1]


def points_of(name: str, x: Tensor, network: Network) -> Tensor:
    n = inputs(network)
    points = finite_numbers(name, x)
    if points.ndim != 2 or points.shape[1] != n or not len(points):
        raise ValueError(f"{name} must be at least one point of the {n} inputs, (m, {n}), got {points.shape}")
    return torch.from_numpy(points)


def finite_numbers(name: str, values: Tensor) -> np.ndarray:
    """Return finite numbers, of a tensor or whatever NumPy takes for an array, in float64."""
    array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers")
    return array


def check_size(count: int, widths: tuple[int, ...]) -> None:
    entries = math.prod(widths)
    if entries * count > MAX_NUMBERS:
        shape = " · ".join(map(str, widths))
        raise ValueError(
            f"Kronecker patterns of hidden widths {shape} have {entries} entries; with {count} of them that is more than"
            f" {MAX_NUMBERS} numbers: use narrower or fewer layers, or fewer training points"
        )


def distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``np.unique`` of packed patterns, as words of bytes, which are sorted faster than rows: values, firsts and inverse."""
    words = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
    return np.unique(words, return_index=True, return_inverse=True)


def chunks(numbers: np.ndarray, entries: int) -> Iterator[np.ndarray]:
    """Split the numbers of patterns so that s(x) of a piece, `entries` each, is not too large to write out."""
    step = max(1, _CHUNK // entries)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]
