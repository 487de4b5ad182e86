"""Layers of many runs side by side, with a backward pass written by hand that trains them in place.

Every tensor has a leading dimension of runs; R runs, B points. Points are (R, B, n); images are (R, C, B, H, W), so that a
convolution is one matrix product a run over the patches of all points, whose output is again in that order.

The backward pass starts from ∂s/∂s = 1, not from the slope of the loss: what arrives at z is g up to the output function.
Each layer adds its gradient, scaled by −α ∂ℓ/∂s, to its own parameters inside the matrix product that computes it, so that
no gradient is ever stored: parameters are most of the memory traffic of a step at batch size 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    """The layer that computes z = W_1 x + b_1; it leaves `h` alone."""

    @property
    def bias(self) -> Tensor:
        """b_1, (R, n_1)."""


class Workspace:
    """Memory for the large intermediate results of a layer, kept from pass to pass.

    On a CPU the allocator would give it back to the system and get it anew page by page, which takes longer than filling it.
    On a GPU the allocator keeps it, and knows what belongs to a graph: there nothing is kept here.
    """

    def __init__(self) -> None:
        self.held: dict[str, Tensor] = {}

    def empty(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Return memory of a shape, valid until the same name is asked for again."""
        held = self.held.get(name)
        if held is None or held.shape != torch.Size(shape):
            held = like.new_empty(shape)
            if like.device.type == "cpu":
                self.held[name] = held
        return held


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
    workspace: Workspace = field(default_factory=Workspace)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        windows = h.unfold(3, self.side, 1).unfold(4, self.side, 1).permute(0, 1, 5, 6, 2, 3, 4)
        runs, *_, points, height, width = windows.shape
        patches = self.workspace.empty("patches", windows.shape, h).copy_(windows).view(runs, self.weight.shape[2], -1)
        out = self.workspace.empty("out", (runs, self.weight.shape[1], patches.shape[2]), h)
        torch.baddbmm(self.bias[:, :, None], self.weight, patches, out=out)
        return out.unflatten(2, (points, height, width)), patches

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        runs, _, points, height, width = delta.shape
        columns = self.workspace.empty("columns", saved.shape, delta)
        torch.bmm(self.weight.mT, delta.flatten(2), out=columns)
        patches = columns.view(runs, -1, self.side, self.side, points, height, width)
        return (fold_at_once if delta.is_cuda else self._fold)(patches)

    def _fold(self, patches: Tensor) -> Tensor:
        """`fold_at_once`, first along rows, then along columns: on a CPU twice as fast."""
        runs, channels, side, _, points, height, width = patches.shape
        rows = self.workspace.empty("rows", (runs, channels, side, points, height, width + side - 1), patches).zero_()
        for shift in range(side):
            rows[..., shift : shift + width].add_(patches[:, :, :, shift])
        images = self.workspace.empty("images", (runs, channels, points, height + side - 1, rows.shape[-1]), patches).zero_()
        for shift in range(side):
            images[..., shift : shift + height, :].add_(rows[:, :, shift])
        return images

    def descend(self, delta: Tensor, saved: Tensor, scale: Tensor) -> None:
        scaled = self.workspace.empty("scaled", delta.shape, delta)
        scaled = torch.mul(delta, scale[:, None, :, None, None], out=scaled).flatten(2)
        self.weight.baddbmm_(scaled, saved.mT, alpha=-1)
        self.bias.sub_(scaled.sum(2))


def fold_at_once(patches: Tensor) -> Tensor:
    """Add patches (R, C, k, k, B, H', W') up to the images (R, C, B, H, W) that they were cut from."""
    runs, _, side, _, points, height, width = patches.shape
    columns = patches.flatten(1, 3).flatten(3).transpose(1, 2).flatten(0, 1)  # (R·B, C·k·k, H'·W')
    images = nn.functional.fold(columns, (height + side - 1, width + side - 1), side)
    return images.unflatten(0, (runs, points)).transpose(1, 2)


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


class Gelu(_Fixed):
    """x Φ(x), exact."""

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.gelu(h), h

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        return torch.ops.aten.gelu_backward(delta, saved)


class Tanh(_Fixed):
    """tanh, in place."""

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        h.tanh_()
        return h, h

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(delta, saved)


@dataclass(frozen=True)
class LeakyRectifier(_Fixed):
    """Leaky ReLU, in place; its slope below 0 is positive, so that the sign of what comes out is that of what went in."""

    slope: float

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        nn.functional.leaky_relu_(h, self.slope)
        return h, h

    def backward(self, delta: Tensor, saved: Tensor) -> Tensor:
        return torch.ops.aten.leaky_relu_backward(delta, saved, self.slope, True)


@dataclass(frozen=True)
class Pool(_Fixed):
    """Maxima over squares that do not overlap."""

    side: int
    workspace: Workspace = field(default_factory=Workspace)

    def forward(self, h: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        out, where = nn.functional.max_pool2d(h.flatten(0, 2), self.side, return_indices=True)
        return out.unflatten(0, h.shape[:3]), (where.flatten(1), h.shape)

    def backward(self, delta: Tensor, saved: tuple[Tensor, torch.Size]) -> Tensor:
        where, shape = saved
        below = self.workspace.empty("below", (where.shape[0], shape[3] * shape[4]), delta).zero_()
        # No entry is the maximum of two squares, so this writes each at most once, in any order.
        return below.scatter_(1, where, delta.reshape(where.shape)).view(shape)


@dataclass(frozen=True)
class Images(_Fixed):
    """Points (R, B, C·H·W) to what is looked at of images (R, C, B, h, w), their first rows and columns.

    shape : (C, H, W) of an image, seen : (h, w)
    """

    shape: tuple[int, ...]
    seen: tuple[int, int]

    def forward(self, h: Tensor) -> tuple[Tensor, None]:
        height, width = self.seen
        return h.unflatten(2, self.shape).transpose(1, 2)[..., :height, :width], None

    def backward(self, delta: Tensor, saved: None) -> Tensor:
        height, width = self.seen
        if self.seen != self.shape[1:]:
            delta = nn.functional.pad(delta, (0, self.shape[2] - width, 0, self.shape[1] - height))
        return delta.transpose(1, 2).flatten(2)


class Features(_Fixed):
    """Images (R, C, B, H, W) to points (R, B, C·H·W)."""

    def forward(self, h: Tensor) -> tuple[Tensor, torch.Size]:
        return h.transpose(1, 2).flatten(2), h.shape

    def backward(self, delta: Tensor, saved: torch.Size) -> Tensor:
        return delta.unflatten(2, (saved[1], *saved[3:])).transpose(1, 2)


def thin(layers: list[Layer], saved: list[Any], kept: Tensor) -> None:
    """Switch hidden neurons off behind a forward pass, (R, B, Σ n_l) of 0 and 1: `backward` then takes them for off.

    What a rectifier saved is its output, which the affine layer behind it saved too.
    """
    start = 0
    for layer, h in zip(layers, saved, strict=True):
        if isinstance(layer, Rectifier):
            h.mul_(kept[:, :, start : start + h.shape[2]])
            start += h.shape[2]


def batched(network: Network, parameters: list[Tensor]) -> tuple[FirstLayer, list[Layer]]:
    """Return the layers of many networks like `network` whose parameters are `parameters`, (R, …) each, in its order."""
    left = iter(parameters)
    first: FirstLayer = Shift(next(left)) if isinstance(network.first, IdentityWithBias) else Affine(next(left), next(left))
    rest: list[Layer] = []
    for number, module in enumerate(network.rest):
        layer = _batched(module, left, list(network.rest)[number + 1 :])
        if isinstance(layer, Pool) and isinstance(rest[-1], Rectifier):
            rest.insert(-1, layer)  # the maxima of rectified values are the rectified maxima, of which there are fewer
        else:
            rest.append(layer)
    return first, rest


def _batched(module: nn.Module, parameters: Iterator[Tensor], above: Sequence[nn.Module]) -> Layer:
    match module:
        case nn.Linear():
            return Affine(next(parameters), next(parameters))
        case nn.Conv2d():
            return Convolution(next(parameters).flatten(2), next(parameters), module.kernel_size[0])
        case nn.MaxPool2d():
            assert isinstance(module.kernel_size, int)  # every architecture here has squares
            return Pool(module.kernel_size)
        case nn.Unflatten():
            shape = tuple(module.unflattened_size)
            return Images(shape, (seen(shape[1], above), seen(shape[2], above)))
        case nn.Flatten():
            return Features()
        case nn.ReLU():
            return Rectifier()
        case nn.Tanh():
            return Tanh()
        case nn.GELU() if module.approximate == "none":
            return Gelu()
        case nn.LeakyReLU() if module.negative_slope > 0:
            return LeakyRectifier(module.negative_slope)
    raise TypeError(f"engine 'stacked' has no batched form of {type(module).__name__}")


def seen(length: int, modules: Sequence[nn.Module]) -> int:
    """Return how many of the first rows, or columns, of an image what lies above it looks at: pools leave out what is over.

    Of the paper's 32 × 32 pixels that is 25 × 25, which makes two convolutions that take a half and a third of the products.

    Parameters
    ----------
    length : rows, or columns, of the image
    modules : what lies above it
    """
    match modules:
        case [nn.Conv2d() as convolution, *above]:
            return seen(length - convolution.kernel_size[0] + 1, above) + convolution.kernel_size[0] - 1
        case [nn.MaxPool2d() as pool, *above]:
            assert isinstance(pool.kernel_size, int)  # every architecture here has squares
            return seen(length // pool.kernel_size, above) * pool.kernel_size
        case [nn.ReLU(), *above]:
            return seen(length, above)
    return length


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
