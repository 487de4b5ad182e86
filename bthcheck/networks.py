"""Who learns.

An architecture is a frozen description; `build` turns it into the plain ``nn.Module`` that every engine starts from.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive_int

FIRST_LAYERS = ("identity", "trained")
OUTPUTS = ("identity", "sigmoid")


class IdentityWithBias(nn.Module):
    """``x + b``: a linear layer whose weight is frozen at the identity, without ever multiplying by it."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.bias = nn.Parameter(_default_bias(width, width, generator))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class Linear(nn.Linear):
    """``nn.Linear`` with its own initialisation, drawn from a generator that is given instead of the global one."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__(inputs, outputs)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        self.bias = nn.Parameter(_default_bias(inputs, outputs, generator))

    def reset_parameters(self) -> None:
        """Draw nothing yet."""


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` with its own initialisation, drawn from a generator that is given instead of the global one."""

    def __init__(self, inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__(inputs, outputs, kernel)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)
        self.bias = nn.Parameter(_default_bias(inputs * kernel**2, outputs, generator))

    def reset_parameters(self) -> None:
        """Draw nothing yet."""


class _Logistic(torch.autograd.Function):
    """σ(s) with the derivative σ(s)σ(−s). PyTorch's is σ(s)(1 − σ(s)), which is 0 where σ(s) is 1 to rounding."""

    @staticmethod
    def forward(ctx: Any, logit: Tensor) -> Tensor:
        ctx.save_for_backward(logit)
        return torch.sigmoid(logit)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (logit,) = ctx.saved_tensors
        return gradient * torch.sigmoid(logit) * torch.sigmoid(-logit)


def squashed(logit: Tensor, sigmoid: bool) -> Tensor:
    """Return f, which is the logit s or, with `sigmoid`, σ(s) with a derivative that does not cancel; of the shape of s."""
    return _Logistic.apply(logit) if sigmoid else logit


class Network(nn.Module):
    """A scalar network, split behind the first affine map so that its pre-activation can be reached.

    `first` computes z = W_1 x + b_1, `rest` everything from the first ReLU to the last affine map, and f is that or, with
    `sigmoid`, its logistic function.

    Raises
    ------
    ValueError
        If the first layer has no bias.
    """

    def __init__(self, first: IdentityWithBias | nn.Linear, rest: nn.Sequential, sigmoid: bool) -> None:
        super().__init__()
        if first.bias is None:
            raise ValueError("the first layer must have a bias, whose path during training is what is measured; got none")
        self.first = first
        self.rest = rest
        self.sigmoid = sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (m, n) to outputs f (m,)."""
        return self.output(self.logit(self.first(x)))

    def logit(self, z: Tensor) -> Tensor:
        """Map first pre-activations (m, n_1) to what the output function is applied to, (m,)."""
        return self.rest(z).squeeze(-1)

    def thinned_logit(self, z: Tensor, kept: Tensor) -> Tensor:
        """Return `logit`, but with derivatives that pass through some hidden neurons alone, as if the others had been off.

        This is Dropout at the end of the forward pass: the whole network decides f, the loss and which neurons are on; then
        neurons are switched off, and the backward pass goes through what is left (section 5.2 of the paper).

        Parameters
        ----------
        z : (m, n_1) first pre-activations of a fully connected network
        kept : (m, Σ n_l) of 0 and 1, in the order of the hidden layers

        Raises
        ------
        ValueError
            If the network is not fully connected.
        """
        other = next((layer for layer in self.rest if not isinstance(layer, (nn.ReLU, nn.Linear))), None)
        if other is not None:
            raise ValueError(f"Dropout is for fully connected networks, such as MLP; got {type(other).__name__}")
        whole = through = z
        for layer in self.rest:
            if isinstance(layer, nn.ReLU):
                width = whole.shape[1]
                whole, through = layer(whole), layer(through) * kept[:, :width]
                kept = kept[:, width:]
            else:
                whole, through = layer(whole).detach(), layer(through)
                through = whole + (through - through.detach())  # the value of the first, the derivatives of the second
        return through.squeeze(-1)

    def output(self, logit: Tensor) -> Tensor:
        """Apply the output function, (m,) to (m,)."""
        return squashed(logit, self.sigmoid)

    def layers(self) -> list[tuple[Tensor | None, Tensor]]:
        """Return (W_l, b_l) of every affine layer, detached; a frozen identity W_1 is None.

        A convolution counts as an affine layer, its kernel of shape (out, in, height, width). A bias there is none of is zero.
        """
        weight = None if isinstance(self.first, IdentityWithBias) else self.first.weight.detach()
        others = [layer for layer in self.rest if isinstance(layer, (nn.Linear, nn.Conv2d))]
        return [(weight, self.first.bias.detach())] + [(layer.weight.detach(), _bias(layer)) for layer in others]


def _bias(layer: nn.Linear | nn.Conv2d) -> Tensor:
    return layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()


@dataclass(frozen=True)
class MLP:
    """A fully connected ReLU network with one output.

    Parameters
    ----------
    widths : (n, n_1, …, n_{d−1}, 1), the input dimension, the hidden widths and the output; (10, 10, 32, 32, 32, 1) is
        the paper's "MLP 10-10-32-32-32-1"
    first_layer : "identity" freezes W_1 = I and trains b_1 alone, as the paper does; "trained" trains both
    output : "identity" for regression with the loss (f − y)²/2, "sigmoid" for classification with the cross-entropy

    Raises
    ------
    ValueError
        If a width is not positive, there is no hidden layer, the output is not 1 wide, or an identity is not square.
    """

    widths: tuple[int, ...] = (10, 10, 32, 32, 32, 1)
    first_layer: str = "identity"
    output: str = "identity"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(positive_int("each width", width) for width in self.widths))
        one_of("first_layer", self.first_layer, FIRST_LAYERS)
        one_of("output", self.output, OUTPUTS)
        if len(self.widths) < 3 or self.widths[-1] != 1:
            raise ValueError(f"widths must be an input, at least one hidden width and a last width of 1, got {self.widths}")
        if self.first_layer == "identity" and self.widths[0] != self.widths[1]:
            raise ValueError(
                f"an identity first layer must be as wide as its input, got {self.widths[1]} for {self.widths[0]};"
                " use first_layer='trained'"
            )

    @property
    def inputs(self) -> int:
        """The input dimension n."""
        return self.widths[0]

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths n_1, …, n_{d−1} of the hidden layers."""
        return self.widths[1:-1]

    @neutral()
    def build(self, seed: int = 0) -> Network:
        """Return a float32 network with PyTorch's default initialisation, drawn from `seed` alone.

        The global random state is neither read nor changed, so that any thread may build.
        """
        generator = torch.Generator().manual_seed(seed)
        first: IdentityWithBias | nn.Linear
        if self.first_layer == "identity":
            first = IdentityWithBias(self.widths[0], generator)
        else:
            first = Linear(self.widths[0], self.widths[1], generator)
        rest: list[nn.Module] = []
        for inputs, outputs in pairwise(self.widths[1:]):
            rest += [nn.ReLU(), Linear(inputs, outputs, generator)]
        return Network(first, nn.Sequential(*rest), sigmoid=self.output == "sigmoid")


@dataclass(frozen=True)
class CNN:
    """The convolutional network of the paper: bias, ReLU, then twice convolution, ReLU and pooling, then two affine layers.

    Its first layer is W_1 = I, frozen, with one bias an input. Convolutions and pools have no padding, pools do not overlap.

    Parameters
    ----------
    shape : (colours, height, width) of an image; inputs are images flattened in this order
    channels : of the two convolutions, 96 and 384 in the paper
    kernel, pool : sides of the squares that are convolved and pooled
    hidden : width of the last hidden layer
    output : as for `MLP`

    Raises
    ------
    ValueError
        If a number is not positive or nothing is left of an image behind the second pool.
    """

    shape: tuple[int, int, int] = (3, 32, 32)
    channels: tuple[int, int] = (96, 384)
    kernel: int = 5
    pool: int = 3
    hidden: int = 384
    output: str = "sigmoid"

    def __post_init__(self) -> None:
        for name, length in (("shape", 3), ("channels", 2)):
            values = tuple(positive_int(f"each number of {name}", value) for value in getattr(self, name))
            if len(values) != length:
                raise ValueError(f"{name} must be {length} numbers, got {values}")
            object.__setattr__(self, name, values)
        for name in ("kernel", "pool", "hidden"):
            object.__setattr__(self, name, positive_int(name, getattr(self, name)))
        one_of("output", self.output, OUTPUTS)
        if min(self.feature_shape) < 1:
            raise ValueError(f"an image of {self.shape[1]} × {self.shape[2]} is too small for two convolutions and pools")

    @property
    def inputs(self) -> int:
        """The input dimension n."""
        return math.prod(self.shape)

    @property
    def feature_shape(self) -> tuple[int, int]:
        """Height and width behind the second pool."""
        height, width = self.shape[1:]
        for _ in self.channels:
            height, width = (height - self.kernel + 1) // self.pool, (width - self.kernel + 1) // self.pool
        return height, width

    @neutral()
    def build(self, seed: int = 0) -> Network:
        """Return a float32 network, as `MLP.build` does."""
        generator = torch.Generator().manual_seed(seed)
        first = IdentityWithBias(self.inputs, generator)
        rest: list[nn.Module] = [nn.ReLU(), nn.Unflatten(1, self.shape)]
        for inputs, outputs in pairwise((self.shape[0], *self.channels)):
            rest += [Conv2d(inputs, outputs, self.kernel, generator), nn.ReLU(), nn.MaxPool2d(self.pool)]
        features = self.channels[-1] * math.prod(self.feature_shape)
        rest += [nn.Flatten(), Linear(features, self.hidden, generator), nn.ReLU(), Linear(self.hidden, 1, generator)]
        return Network(first, nn.Sequential(*rest), sigmoid=self.output == "sigmoid")


Architecture = MLP | CNN


def architecture(fields: dict[str, Any]) -> Architecture:
    """Return the description that ``dataclasses.asdict`` made `fields` of, possibly by way of JSON."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return MLP(**values) if "widths" in values else CNN(**values)


def _default_bias(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(inputs)
    return torch.empty(outputs).uniform_(-bound, bound, generator=generator)
