"""Who learns.

An architecture is a frozen description; `build` turns it into the plain ``nn.Module`` that every engine starts from. The
modules are in `bthcheck.modules` and handed on from here: a description alone needs no PyTorch.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive_int

if TYPE_CHECKING:
    from bthcheck.modules import Conv2d, IdentityWithBias, Linear, Network, squashed

__all__ = [
    "CNN", "FIRST_LAYERS", "MLP", "OUTPUTS", "Architecture", "Conv2d", "IdentityWithBias", "Linear", "Network", "architecture",
    "squashed",
]  # fmt: skip

FIRST_LAYERS = ("identity", "trained")
OUTPUTS = ("identity", "sigmoid")

__getattr__ = faces.handing_on(
    __name__, dict.fromkeys(("Conv2d", "IdentityWithBias", "Linear", "Network", "squashed"), "bthcheck.modules")
)


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

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        first = self.widths[1] * (1 if self.first_layer == "identity" else 1 + self.widths[0])
        return first + sum((1 + inputs) * outputs for inputs, outputs in pairwise(self.widths[1:]))

    @neutral()
    def build(self, seed: int = 0) -> "Network":
        """Return a float32 network with PyTorch's default initialisation, drawn from `seed` alone.

        The global random state is neither read nor changed, so that any thread may build.
        """
        import torch
        from torch import nn

        from bthcheck.modules import IdentityWithBias, Linear, Network

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

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        kernels = ((1 + inputs * self.kernel**2) * outputs for inputs, outputs in pairwise((self.shape[0], *self.channels)))
        features = self.channels[-1] * math.prod(self.feature_shape)
        return self.inputs + sum(kernels) + (1 + features) * self.hidden + 1 + self.hidden

    @neutral()
    def build(self, seed: int = 0) -> "Network":
        """Return a float32 network, as `MLP.build` does."""
        import torch
        from torch import nn

        from bthcheck.modules import Conv2d, IdentityWithBias, Linear, Network

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
