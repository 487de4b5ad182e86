"""Layers of many runs side by side, with a backward pass written by hand that trains them in place.

Every tensor has a leading dimension of runs; R runs, B points. Points are (R, B, n); images are (R, C, B, H, W), so that a
convolution is one matrix product a run over the patches of all points, whose output is again in that order.

The backward pass starts from ∂s/∂s = 1, not from the slope of the loss: what arrives at z is g up to the output function.
Each layer adds its gradient, scaled by −α ∂ℓ/∂s, to its own parameters inside the matrix product that computes it, so that
no gradient is ever stored: parameters are most of the memory traffic of a step at batch size 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bthcheck.networks import IdentityWithBias, Network


class Layer(Protocol):
    """A layer of all runs. What `forward` returns beside its output is what the other two want to be given as `saved`."""

    def forward(self, h: Tensor) -> tuple[Tensor, Any]:
        """Map activations; those of `h` may be overwritten."""

    def backward(self, delta: Tensor, saved: Any) -> Tensor:
        """Return ∂s/∂input of `delta`, which is ∂s/∂output."""

    def descend(self, delta: Tensor, saved: Any, scale: Tensor) -> None:
        """Subtract Σ_b scale·∂s/∂θ from the parameters in place; `scale` is (R, B)."""


class FirstLayer(Layer, Protocol):
    """The layer that computes z = W_1 x + b_1; it leaves `h` alone. Its bias b_1 is (R, n_1)."""

    bias: Tensor


@dataclass(frozen=True)
class Shift:
    """z = x + b: an identity that is never multiplied. bias : (R, n)"""

    bias: Tensor

    def forward(self, h: Tensor) -> tuple[Tensor, None]:
        return h + self.bias[:, None], None

    def backward(self, delta: Tensor, saved: None) -> Tensor:
        return delta

    def descend(self, delta: Tensor, saved: None, scale: Tensor) -> None:
        self.bias.sub_(_sum(delta * scale[..., None]))


@dataclass(frozen=True)
class Affine:
    """weight : (R, m, n), bias : (R, m)"""

    weight: Tensor
    bias: Tensor

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return torch.baddbmm(self.bias[:, None], h, self.weight.mT), h

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        return torch.bmm(delta, self.weight)

    def descend(self, delta: Tensor, saved: Tensor, scale: Tensor) -> None:
        scaled = delta * scale[..., None]
        if scaled.shape[1] == 1:  # an outer product; matrix products are not made for it
            self.weight.addcmul_(scaled.mT, saved, value=-1)
        else:
            self.weight.baddbmm_(scaled.mT, saved, alpha=-1)
        self.bias.sub_(_sum(scaled))


@dataclass(frozen=True)
class Convolution:
    """Without padding, of stride 1. weight : (R, out, in·k·k), bias : (R, out), side : k"""

    weight: Tensor
    bias: Tensor
    side: int

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        windows = h.unfold(3, self.side, 1).unfold(4, self.side, 1)  # a view, (R, in, B, H', W', k, k)
        runs, _, *positions, _, _ = windows.shape
        patches = windows.permute(0, 1, 5, 6, 2, 3, 4).reshape(runs, self.weight.shape[2], -1)
        out = torch.baddbmm(self.bias[:, :, None], self.weight, patches)
        return out.unflatten(2, positions), patches

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        runs, _, points, height, width = delta.shape
        columns = torch.bmm(self.weight.mT, delta.flatten(2)).unflatten(2, (points, height * width))
        columns = columns.transpose(1, 2).flatten(0, 1)  # (R·B, in·k·k, H'·W')
        images = nn.functional.fold(columns, (height + self.side - 1, width + self.side - 1), self.side)
        return images.unflatten(0, (runs, points)).transpose(1, 2)

    def descend(self, delta: Tensor, saved: Tensor, scale: Tensor) -> None:
        scaled = (delta * scale[:, None, :, None, None]).flatten(2)
        self.weight.baddbmm_(scaled, saved.mT, alpha=-1)
        self.bias.sub_(scaled.sum(2))


class _Fixed:
    """A layer without parameters."""

    def descend(self, delta: Tensor, saved: Any, scale: Tensor) -> None:
        pass


class Rectifier(_Fixed):
    """ReLU, in place."""

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        h.relu_()
        return h, h

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        return torch.ops.aten.threshold_backward(delta, saved, 0)


@dataclass(frozen=True)
class Pool(_Fixed):
    """Maxima over squares that do not overlap."""

    side: int

    def forward(self, h: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        out, where = nn.functional.max_pool2d(h.flatten(0, 2), self.side, return_indices=True)
        return out.unflatten(0, h.shape[:3]), (where.flatten(1), h.shape)

    def backward(self, delta: Tensor, saved: tuple[Tensor, torch.Size]) -> Tensor:
        where, shape = saved
        below = delta.new_zeros(where.shape[0], shape[3] * shape[4])
        # No entry is the maximum of two squares, so this writes each at most once, in any order.
        return below.scatter_(1, where, delta.reshape(where.shape)).view(shape)


@dataclass(frozen=True)
class Images(_Fixed):
    """Points (R, B, C·H·W) to images (R, C, B, H, W)."""

    shape: tuple[int, ...]

    def forward(self, h: Tensor) -> tuple[Tensor, None]:
        return h.unflatten(2, self.shape).transpose(1, 2), None

    def backward(self, delta: Tensor, saved: None) -> Tensor:
        return delta.transpose(1, 2).flatten(2)


class Features(_Fixed):
    """Images (R, C, B, H, W) to points (R, B, C·H·W)."""

    def forward(self, h: Tensor) -> tuple[Tensor, torch.Size]:
        return h.transpose(1, 2).flatten(2), h.shape

    def backward(self, delta: Tensor, saved: torch.Size) -> Tensor:
        return delta.unflatten(2, (saved[1], *saved[3:])).transpose(1, 2)


def batched(network: Network, parameters: list[Tensor]) -> tuple[FirstLayer, list[Layer]]:
    """Return the layers of many networks like `network` whose parameters are `parameters`, (R, …) each, in its order."""
    left = iter(parameters)
    first: FirstLayer = Shift(next(left)) if isinstance(network.first, IdentityWithBias) else Affine(next(left), next(left))
    rest: list[Layer] = []
    for module in network.rest:
        layer = _batched(module, left)
        if isinstance(layer, Pool) and isinstance(rest[-1], Rectifier):
            rest.insert(-1, layer)  # the maxima of rectified values are the rectified maxima, of which there are fewer
        else:
            rest.append(layer)
    return first, rest


def _batched(module: nn.Module, parameters: Iterator[Tensor]) -> Layer:
    match module:
        case nn.Linear():
            return Affine(next(parameters), next(parameters))
        case nn.Conv2d():
            return Convolution(next(parameters).flatten(2), next(parameters), module.kernel_size[0])
        case nn.MaxPool2d():
            return Pool(int(module.kernel_size))
        case nn.Unflatten():
            return Images(tuple(module.unflattened_size))
        case nn.Flatten():
            return Features()
        case nn.ReLU():
            return Rectifier()
    raise TypeError(f"engine 'stacked' has no batched form of {type(module).__name__}")


def _sum(scaled: Tensor) -> Tensor:
    """Sum (R, B, m) over points to (R, m)."""
    return scaled.squeeze(1) if scaled.shape[1] == 1 else scaled.sum(1)


def entries_a_point(network: Network) -> int:
    """Return how many numbers a forward and backward pass holds for one point of one run, at most."""
    parameters = [torch.empty(1, *parameter.shape, device="meta") for parameter in network.parameters()]  # shapes alone
    first, rest = batched(network, parameters)
    inputs = parameters[0].shape[-1]
    h, _ = first.forward(torch.empty(1, 1, inputs, device="meta"))
    held = {id(h): h}
    for layer in rest:
        h, saved = layer.forward(h)
        for tensor in (h, *(saved if isinstance(saved, tuple) else (saved,))):
            if isinstance(tensor, Tensor):
                held[id(tensor)] = tensor
    return inputs + 2 * sum(tensor.numel() for tensor in held.values())
