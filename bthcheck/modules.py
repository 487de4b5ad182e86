"""The modules that networks of this package are built of: layers that draw their weights from a generator, and `Network`.

They are apart from their descriptions in `bthcheck.networks`, which hands them on, because a description needs no PyTorch.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


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


def _default_bias(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(inputs)
    return torch.empty(outputs).uniform_(-bound, bound, generator=generator)
