"""What is kept of a watched training until it is fetched, and what the training turned out to be like."""

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn


@dataclass(slots=True, eq=False)
class Pass:
    """What is kept of one backward pass; tensors on the model's device.

    slopes : (m,) |G_i|, the norm over all outputs of a sample
    norms : (m,) ‖H_i‖, the norm over all of z that is sample i; None if z has other samples than f
    sums : Σ H_i in the shape of the bias; None until the gradient has come to the layer
    fresh : whether the gradients had been set to zero before, a tensor or what is known without looking
    index : (m,) which samples these are, where the loop says so
    """

    slopes: Tensor
    norms: Tensor | None = None
    sums: Tensor | None = None
    fresh: Tensor | bool = False
    index: np.ndarray | None = None


@dataclass(slots=True, eq=False)
class Step:
    """What is kept of one step of the optimizer.

    number : of the step, from 1
    before, after : the bias, None if there is none
    gradient : norm of the gradient that the optimizer was given for the bias, if it was looked at
    rate : learning rate of the bias
    found : the scaler's number of infinities, if an optimizer looks at it itself: above 0 the step was none
    """

    number: int
    passes: list[Pass]
    before: Tensor | None
    after: Tensor | None
    gradient: Tensor | None
    rate: float | Tensor
    found: Tensor | None
    wall_time: float
    epoch: float
    losses: list[Tensor | float] = field(default_factory=list)


@dataclass
class Seen:
    """What a training turned out to be like; `bthcheck.watching.situation` reads it.

    executed : modules in the order of the first forward pass
    training : those in training mode in the first pass that was recorded
    alone : whether f is the outputs of one point, without a dimension for samples
    called : whether the model's own hooks run
    last : whether the layer's output is f itself
    direct : whether the layer is given the model's input itself; None before the first pass
    f_shape : shape of f
    f_operation : name of the operation that f came out of
    z_shape : shape of the first layer's output
    autocast : whether a forward pass ran under autocast
    calls : largest number of calls of the layer in one pass
    samples, passes : largest numbers of samples a pass, and of passes a step
    discarded : windows of backward passes after which the gradients were set to zero without a step
    unmatched : passes whose z has other samples than f
    astray : gradients that came to the layer without having passed f
    """

    executed: list[nn.Module] = field(default_factory=list)
    training: set[nn.Module] = field(default_factory=set)
    alone: bool = False
    called: bool = False
    last: bool = False
    direct: bool | None = None
    f_shape: tuple[int, ...] | None = None
    f_operation: str = ""
    z_shape: tuple[int, ...] | None = None
    autocast: bool = False
    calls: int = 0
    samples: int = 0
    passes: int = 0
    discarded: int = 0
    unmatched: int = 0
    astray: int = 0
