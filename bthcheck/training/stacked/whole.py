"""Runs of a module of one's own side by side, through ``torch.func``: one program, mapped over the runs' parameters.

The first layer's output z is reached by adding zeros to it in a hook: the gradient with respect to them is that with respect to
z. What cannot be mapped in this way, such as a module that draws random numbers while it trains, is for the reference engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp, vmap

from bthcheck.ambient import neutral
from bthcheck.layers import bias_of, evaluating, find_first, summed_dimensions
from bthcheck.networks import Network
from bthcheck.training.chance import random_states
from bthcheck.training.optimizers import Optimizer, optimizer_of
from bthcheck.training.runs import Run
from bthcheck.training.stacked.losses import loss, steepness

Named = dict[str, Tensor]


class Template:
    """The module that all runs are evaluated with, their parameters in the place of its own, and its first layer.

    Parameters
    ----------
    module : as a run built it, on its device
    sigmoid : whether f is the logistic function of what it returns
    first : the name of the first layer, or None to find it
    point : (1, n)
    """

    def __init__(self, module: nn.Module, sigmoid: bool, first: str | None, point: Tensor) -> None:
        self.module, self.sigmoid = module, sigmoid
        self.layer = find_first(module, point, first)
        self._shift: Tensor | None = None
        self._shape: torch.Size | None = None
        self.layer.register_forward_hook(self._shifted)
        self.entries = numbers_held(module, point)
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        bias = bias_of(self.layer)
        self.bias = names[id(bias)]
        self.z_shape = self._shape[1:] if self._shape is not None else torch.Size()

    def _shifted(self, layer: nn.Module, args: Any, z: Tensor) -> Tensor:
        del layer, args
        self._shape = z.shape
        return z.clone() if self._shift is None else z + self._shift

    def logit(self, state: Named, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return s (B,) of one run at points (B, n); `shift` (B, …) is added to z."""
        self._shift = shift
        try:
            return functional_call(self.module, state, (x,)).reshape(len(x))
        finally:
            self._shift = None

    def summed(self, gradient: Tensor) -> Tensor:
        """Sum a gradient with respect to z over points and places, as the bias does."""
        return gradient.sum(summed_dimensions(self.layer, gradient))


@dataclass(frozen=True)
class WholeStack:
    """Runs side by side, in the place of `bthcheck.training.stacked.state.Stack`, whose words these are.

    trained, other : name → (R, …) parameters that are trained, and what else the module's state is
    parameters : what `RunResult.parameters` is put together from, (R, …) each
    bias : (R, n_1) of the first layer, a view of its parameter
    """

    template: Template
    factor: float
    trained: Named
    other: Named
    parameters: list[Tensor]
    bias: Tensor
    optimizer: Optimizer | None
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    sigmoid: bool = field(init=False)
    entries: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmoid", self.template.sigmoid)
        object.__setattr__(self, "entries", self.template.entries)

    @classmethod
    def build(cls, runs: Sequence[Run], device: str, points: Sequence[Tensor]) -> "WholeStack":
        """Draw the weights of all runs; `points` are x_train, y_train, x_test and y_test."""
        modules = [run.module().to(device) for run in runs]
        setting = runs[0].setting
        point = points[0].flatten(0, 1)[:1]
        template = Template(modules[0], setting.network.output == "sigmoid", getattr(setting.network, "first", None), point)
        states = [{**dict(one.named_parameters()), **dict(one.named_buffers())} for one in modules]
        whole = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
        free = {name for name, parameter in modules[0].named_parameters() if parameter.requires_grad}
        trained = {name: tensor for name, tensor in whole.items() if name in free}
        optimizer = optimizer_of(setting.training, list(trained.values()))
        other = {name: tensor for name, tensor in whole.items() if name not in free}
        bias = trained[template.bias].flatten(1)
        return cls(template, setting.training.loss_factor, trained, other, list(whole.values()), bias, optimizer, *points)

    def advance(self, x: Tensor, y: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
        """Make a step of every run and return what it measured before its update.

        Parameters
        ----------
        x, y : (R, B, n) and (R, B)
        rate : (R, 1), α

        Returns
        -------
        tuple
            ℓ, log|∂ℓ/∂f| at a factor of 1 and wrong answers, (R, B) each, φ and ‖Δb_1‖/α, (R,) each.
        """
        values, log_steepness, wrong, gradients, pulled = vmap(self._measured)(self.trained, self.other, x, y)
        parameters, slopes = list(self.trained.values()), [gradients[name] for name in self.trained]
        directions = slopes if self.optimizer is None else self.optimizer.directions(parameters, slopes)
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.sub_(rate.view(-1, *[1] * (parameter.ndim - 1)) * direction)
        moved = directions[list(self.trained).index(self.template.bias)].flatten(1).norm(dim=1)
        return values, log_steepness, wrong, pulled.flatten(1).norm(dim=1), moved

    def _measured(self, trained: Named, other: Named, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Named, Tensor]:
        shift = x.new_zeros(len(x), *self.template.z_shape)
        s, pull, *_ = vjp(lambda free, shift: self.template.logit({**free, **other}, x, shift), trained, shift)
        values, slope, log_steepness, wrong = loss(self.sigmoid, self.factor, s, y)
        gradients, _ = pull(slope / len(x))
        weight = torch.softmax(log_steepness.clamp(min=-1e30), dim=0).copysign(slope)
        _, pulled = pull(weight * steepness(self.sigmoid, s))
        return values, log_steepness, wrong, gradients, self.template.summed(pulled)

    def logit(self, x: Tensor) -> Tensor:
        """Return s (R, B) at points (R, B, n) or (1, B, n) in evaluation mode."""
        x = x.expand(len(self.y_train), -1, -1)
        with evaluating(self.template.module):
            return vmap(self.template.logit)({**self.trained, **self.other}, x)

    def local_lipschitz(self, x: Tensor) -> Tensor:
        """Return λ (R, B) at points (R, B, n) or (1, B, n) in evaluation mode."""

        def slopes(state: Named, x: Tensor) -> Tensor:
            def total(x: Tensor) -> tuple[Tensor, Tensor]:
                s = self.template.logit(state, x)
                return s.sum(), s

            gradient, s = grad(total, has_aux=True)(x)
            return steepness(self.sigmoid, s) * gradient.norm(dim=1)

        with evaluating(self.template.module):
            return vmap(slopes)({**self.trained, **self.other}, x.expand(len(self.y_train), -1, -1))


@neutral()
def numbers_held(module: nn.Module, point: Tensor) -> int:
    """Return about how many numbers a forward and backward pass holds for one point of one run."""
    found = [point.numel()]
    handles = [
        part.register_forward_hook(
            lambda _part, _args, out: found.append(out.numel()) if isinstance(out, Tensor) else None
        )
        for part in module.modules()
    ]  # fmt: skip
    try:
        with evaluating(module), torch.no_grad():
            module(point)
    finally:
        for handle in handles:
            handle.remove()
    return 4 * sum(found)


@neutral()
@torch.no_grad()
def refusal(run: Run) -> str | None:
    """Return why runs of a module of one's own cannot be stacked, or None if they can; a step of two of them is tried."""
    who = type(run.setting.network).__name__
    module, data = run.module(), run.data()
    if isinstance(module, Network):
        return None
    size = min(len(data.x_train), run.setting.training.batch_size)
    points = [tensor[:size].to(run.dtype)[None] for tensor in data]
    before = [buffer.clone() for buffer in module.buffers()]
    drawn = []
    for seed in (0, 1):
        with random_states(seed):
            drawn.append(module(points[0][0]))
    if not torch.equal(*drawn):
        return f"engine 'stacked' cannot train {who}, which draws random numbers or changes from step to step; use 'reference'"
    if any(not torch.equal(one, other) for one, other in zip(before, module.buffers(), strict=True)):
        return f"engine 'stacked' cannot train {who}, whose buffers change while it trains; use engine='reference'"
    try:
        points = [points[0], points[1].expand(2, -1), points[2], points[3].expand(2, -1)]
        stack = WholeStack.build([run, run], "cpu", points)
        stack.advance(stack.x_train.expand(2, -1, -1), stack.y_train, stack.y_train.new_zeros(2, 1))
        stack.logit(stack.x_test)
        stack.local_lipschitz(stack.x_train)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        return f"engine 'stacked' cannot train {who} through torch.func, {type(error).__name__}: {said}; use engine='reference'"
    return None
