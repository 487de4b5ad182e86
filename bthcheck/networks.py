"""Who learns.

An architecture is a frozen description; `build` turns it into the plain ``nn.Module`` that every engine starts from.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

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


class Network(nn.Module):
    """A scalar network f = rest ∘ first, split behind the first affine map so that its pre-activation can be reached.

    `first` computes W_1 x + b_1 and `rest` everything from the first ReLU to the output.
    """

    def __init__(self, first: IdentityWithBias | nn.Linear, rest: nn.Sequential) -> None:
        super().__init__()
        self.first = first
        self.rest = rest

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (m, n) to outputs (m,)."""
        return self.rest(self.first(x)).squeeze(-1)

    def layers(self) -> list[tuple[Tensor | None, Tensor]]:
        """Return (W_l, b_l) of every affine layer, detached; a frozen identity W_1 is None."""
        weight = None if isinstance(self.first, IdentityWithBias) else self.first.weight.detach()
        linear = [layer for layer in self.rest if isinstance(layer, nn.Linear)]
        return [(weight, self.first.bias.detach())] + [(layer.weight.detach(), layer.bias.detach()) for layer in linear]


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
        if self.output == "sigmoid":
            rest.append(nn.Sigmoid())
        return Network(first, nn.Sequential(*rest))


def _default_bias(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(inputs)
    return torch.empty(outputs).uniform_(-bound, bound, generator=generator)
