"""What the hooks of a watched training do: small tensors are kept of every backward pass, and nothing is waited for.

In one backward pass let G_i = ∂L/∂f_i and H_i = ∂L/∂z_i at sample i, z the output of the first layer. Kept are |G_i| and ‖H_i‖
of every sample and Σ H_i, summed as the layer's bias sums it. Every factor on the loss cancels in their ratios; learning rate,
momentum, decay, clipping and the optimizer come later.

Hooks on modules register hooks on their outputs, which outlive in-place operations behind them. A record is closed when the
optimizer has stepped, and by nothing else: Lightning calls ``optimizer.step(closure)``, which runs the forward pass inside.
"""

import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from bthcheck.watching.gradients import (
    HALF,
    Forward,
    check_bias,
    graph_task,
    on_gradient,
    operation_of,
    sample_norms,
    unconverted,
)
from bthcheck.watching.layers import (
    Pick,
    batched,
    bias_of,
    candidates,
    first_layer,
    is_compiled,
    picked,
    summed_dimensions,
)  # fmt: skip
from bthcheck.watching.modules import Hook, InnerHook
from bthcheck.watching.observed import Pass, Seen, Step

_COMPARED = 16
"""The first steps, and then one in so many, at which is looked whether gradients were changed before the step."""


class Recorder:
    """The hooks on one model and its optimizer.

    Of a compiled model the bias's own gradient takes the place of Σ H_i, and nothing is known of single samples.

    Parameters
    ----------
    model : the user's own module
    layer : the layer to watch, or None for the first with a bias that runs
    pick : what of the model's output is f
    wanted : whether a step, numbered from 1, is to be recorded
    stepped : called after every step with its number
    owner : the `Watch` that this belongs to
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, layer: nn.Module | None, pick: Pick | None,
        wanted: Callable[[int], bool], stepped: Callable[[int], None], owner: Any,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.layer, self._pick = model, optimizer, layer, pick
        self._wanted, self._stepped = wanted, stepped
        self.owner = owner
        self.names = candidates(model)
        self.biased = first_layer(self.names) is not None
        self.seen = Seen()
        self.steps: list[Step] = []
        self.count = 0
        self.epoch = float("nan")
        self.index: np.ndarray | None = None
        self.paused = False
        self.losses: list[Tensor | float] = []
        self._last: Step | None = None
        self._begun = self._turned = False
        self._older = 0
        self.start = time.perf_counter()
        self._armed = wanted(1)
        self._ordered = False
        self._current: Forward | None = None
        self._reopened: Forward | None = None
        self._pending: list[Pass] = []
        self._task = -1
        self._inputs: set[int] = set()
        self._anchor: nn.Parameter | None = None
        self._now: Tensor | None = None
        self._version = -1
        self._closed = False
        self.compiled = is_compiled(model)
        self.by_bias = False
        self._waiting: list[Pass] = []
        self._dimensions = -1
        self._over: tuple[int, ...] = ()
        self.bias: nn.Parameter | None = None
        self.initial: Tensor | None = None
        self.group: dict[str, Any] = optimizer.param_groups[0]
        self._handles: list[RemovableHandle] = []
        self._candidates: dict[nn.Module, RemovableHandle] = {}
        self._noting: RemovableHandle | None = None
        if self.layer is not None:
            self._settle()
        if self.compiled:
            self._go_by_bias()
        else:
            for module in self.names:
                self._candidates[module] = module.register_forward_hook(InnerHook(self._after_layer, self))
            self._noting = model.register_forward_pre_hook(InnerHook(self._note_inputs, self), with_kwargs=True)
            self._handles.append(self._noting)
        self._handles.append(model.register_forward_hook(Hook(self._after_forward, self)))
        self._handles.append(optimizer.register_step_post_hook(self._after_step))

    def close(self) -> None:
        """Remove every hook."""
        self._closed = True
        for handle in (*self._handles, *self._candidates.values()):
            handle.remove()
        self._handles.clear()
        self._candidates.clear()

    @property
    def newest(self) -> Pass | None:
        """The newest backward pass of the step under way."""
        return self._pending[-1] if self._pending else None

    def take(self, but: int = 0) -> list[Step]:
        """Hand over the steps recorded so far, the last `but` of them excepted."""
        count = max(len(self.steps) - but, 0)
        steps, self.steps = self.steps[:count], self.steps[count:]
        passes = [one for step in steps for one in step.passes]
        self.seen.passes = max([self.seen.passes, *(len(step.passes) for step in steps)])
        self.seen.samples = max([self.seen.samples, *(len(one.slopes) for one in passes)])
        self.seen.unmatched += 0 if self.by_bias else sum(one.norms is None for one in passes)
        return steps

    def add_loss(self, loss: Tensor | float) -> None:
        """Give the loss of the step that is under way or, right after a step, of that one."""
        if self.count and not self._begun:  # nothing has run since the last step, recorded or not
            if self._last is not None and self._last.number == self.count:
                self._last.losses.append(loss)
        elif self._armed:
            self.losses.append(loss)

    def arm(self) -> None:
        """Decide again whether the step under way is wanted."""
        self._armed = self._wanted(self.count + 1)

    def _settle(self) -> None:
        """Note the layer's bias, before anything is trained, and which settings of the optimizer are its own."""
        assert self.layer is not None
        self.bias = bias = bias_of(self.layer)
        groups = self.optimizer.param_groups
        self.group = next((group for group in groups if any(one is bias for one in group["params"])), groups[0])
        self.initial = self._now = None if bias is None else bias.detach().clone()
        self._version = -1 if bias is None else bias._version
        trained = [one for group in self.optimizer.param_groups for one in group["params"] if one.requires_grad]
        own = bias is not None and any(one is bias for one in trained)
        self._anchor = bias if own else next(iter(trained), None)

    def _go_by_bias(self) -> None:
        """Read Σ H_i from the gradient of the bias; the order in which layers run is not known."""
        self.by_bias = self._ordered = True
        self.seen.executed = list(self.names)
        if self.layer is None:
            self.layer = first_layer(self.names, self.biased)
            self._settle()
        if self.bias is not None and self.bias.requires_grad:
            self._handles.append(self.bias.register_hook(self._bias_gradient))

    def _look_at_bias(self) -> None:
        """Note the bias if somebody else changed it since the last step, or steps were left out."""
        bias = self.bias
        if bias is not None and bias._version != self._version:
            self._now, self._version = bias.detach().clone(), bias._version

    # Forward

    def _note_inputs(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del model
        if not self._ordered:
            tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
            self._inputs = {one.untyped_storage().data_ptr() for one in tensors}
            self.seen.executed.clear()

    def _after_layer(self, module: nn.Module, args: tuple[Any, ...], z: Any) -> Any:
        if self._closed or self.by_bias:
            return None
        if not self._ordered:
            self.seen.executed.append(module)
            if self.layer is None:
                found = first_layer(self.seen.executed, self.biased)
                if found is not None:
                    self.layer = found
                    self._settle()
            if module is self.layer and self.seen.direct is None:
                x = args[0] if args else None
                self.seen.direct = isinstance(x, Tensor) and x.untyped_storage().data_ptr() in self._inputs
        if module is not self.layer or not self._armed or self.paused or not torch.is_grad_enabled():
            return None
        self._look_at_bias()
        forward = self._current
        if forward is None and self._reopened is not None and graph_task() >= 0:
            forward = self._reopened  # a checkpoint runs it again, in the midst of the backward pass
        elif forward is None:
            forward = self._current = Forward()
        if module is self.model:
            z = picked(z, self._pick)
        if not isinstance(z, Tensor) or not z.is_floating_point():
            name = self.names[module]
            raise ValueError(f"layer {name!r} returns a {type(z).__name__}, of which no gradient can be taken; name another")
        if self.seen.z_shape is None:
            self.seen.z_shape = tuple(z.shape)
            check_bias(module, z, self.names[module])
        frozen = not z.requires_grad
        if frozen:  # nothing so far is trained: the gradient of the rest is asked for, as far as this layer
            z = z.detach().requires_grad_().clone()
        forward.z, forward.version = weakref.ref(z), z._version
        z.register_hook(partial(self._layer_gradient, forward, module))
        return z if frozen else None

    def _after_forward(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        del args
        forward, self._current = self._current, None
        self.seen.called = True
        if self.compiled and not self.by_bias and not self._closed:
            self._go_by_bias()
        if self._closed or self.paused or not torch.is_grad_enabled():
            self._ordered = self._ordered or bool(self.seen.executed)
            return
        self._begun = True
        if self._turned:  # the first forward pass after a backward pass: losses so far are of what came before
            self._turned, self._older = False, len(self.losses)
        if not self._armed:
            return
        if forward is None:  # the layer did not run, or ran under no_grad until a checkpoint runs it again
            if graph_task() >= 0:
                return
            forward = Forward()
        self._ordered = self._ordered or bool(self.seen.executed)
        f = picked(output, self._pick)
        if not f.requires_grad:
            return
        if self.by_bias:
            self._look_at_bias()
        if self.seen.f_shape is None:
            self.seen.f_shape = tuple(f.shape)
            self.seen.f_operation = operation_of(f)
            self.seen.training = {module for module in self.names if module.training}
        if not self.steps and not self.seen.autocast:
            self.seen.autocast = torch.is_autocast_enabled(f.device.type) or unconverted(f) is not None
        if forward.z is not None and forward.z() is f and f._version == forward.version:
            forward.last = self.seen.last = True  # hooks on z run before those on f
        else:
            on_gradient(f, partial(self._output_gradient, forward))

    # Backward

    def _output_gradient(self, forward: "Forward", gradient: Tensor) -> None:
        if self._closed or self.paused:
            return
        gradient = gradient.detach()
        gradient = gradient.reshape(1, -1) if gradient.ndim == 0 or forward.alone else gradient
        slopes = gradient.abs() if gradient.ndim == 1 else sample_norms(gradient)
        if graph_task() != self._task:  # no gradient of the bias was asked for in the backward pass before
            self._waiting.clear()
        index, self.index = self.index, None
        forward.open = Pass(slopes.float() if slopes.dtype in HALF else slopes, fresh=self._fresh(), index=index)
        forward.calls = 0
        self._reopened = forward
        self._turned = True
        if self.by_bias:
            self._waiting.append(forward.open)

    def _bias_gradient(self, gradient: Tensor) -> None:
        if self._closed or self.paused:
            return
        passes, self._waiting = self._waiting, []
        if not passes:
            self.seen.astray += self._armed
            return
        sums = gradient.detach().to(torch.float32 if gradient.dtype in HALF else gradient.dtype, copy=True)
        for number, one in enumerate(passes):  # what several forward passes add up to comes at once
            one.sums = torch.zeros_like(sums) if number else sums
        self._pending.extend(passes)

    def _fresh(self) -> Tensor | bool:
        """Whether the gradients were set to zero since the pass before, which is then not part of the step."""
        task = graph_task()
        same, self._task = task == self._task, task
        if not self._pending or (same and task >= 0):
            return False
        gradient = None if self._anchor is None else self._anchor.grad
        if gradient is None:
            self._pending.clear()
            del self.losses[: self._older]
            self.seen.discarded += 1
            return False
        return False if gradient.is_sparse else torch.linalg.vector_norm(gradient.detach()) == 0

    def _layer_gradient(self, forward: "Forward", module: nn.Module, gradient: Tensor) -> None:
        if self._closed or self.paused:
            return
        if forward.last:
            self._output_gradient(forward, gradient)
        now = forward.open
        if now is None:
            self.seen.astray += 1
            return
        gradient = gradient.detach()
        dimensions = gradient.ndim
        if dimensions != self._dimensions and not batched(module, gradient):
            gradient = gradient.unsqueeze(0)
            if len(now.slopes) != 1:  # f is the outputs of one point
                now.slopes = torch.linalg.vector_norm(now.slopes)[None]
                forward.alone = self.seen.alone = True
        elif dimensions != self._dimensions:
            self._dimensions, self._over = dimensions, summed_dimensions(module, gradient)
        over = self._over if dimensions == self._dimensions else summed_dimensions(module, gradient)
        half = gradient.dtype in HALF
        sums = gradient.sum(over, dtype=torch.float32) if half else gradient.sum(over)
        norms = sample_norms(gradient) if len(gradient) == len(now.slopes) else None
        forward.calls += 1
        if forward.calls > 1:  # the layer was called several times: its bias adds up what comes
            now.norms = None if norms is None or now.norms is None else torch.hypot(now.norms, norms)
            now.sums = sums if now.sums is None else now.sums + sums
            self.seen.calls = max(self.seen.calls, forward.calls)
        else:
            now.norms, now.sums = norms, sums
            self._pending.append(now)

    # The optimizer

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        self.count += 1
        self._begun = False
        passes, self._pending = self._pending, []
        self._reopened = None
        if self._noting is not None and self._ordered and not self.by_bias:  # what is compiled would be so again
            self._keep_one()
        if self._armed:
            bias, before, after, gradient = self.bias, self._now, None, None
            if bias is not None:
                self._now = after = bias.detach().clone()
                self._version = bias._version
                if self._compared() and bias.grad is not None and not bias.grad.is_sparse:
                    gradient = torch.linalg.vector_norm(bias.grad.detach())
            rate = self.group.get("lr", float("nan"))
            self.steps.append(
                Step(
                    self.count, passes, before, after, gradient,
                    rate.detach().clone() if isinstance(rate, Tensor) else rate, getattr(optimizer, "found_inf", None),
                    time.perf_counter() - self.start, self.epoch, self.losses,
                )
            )  # fmt: skip
            self.losses, self._older = [], 0
            self._last = self.steps[-1]
        self.arm()
        self._stepped(self.count)

    def _compared(self) -> bool:
        """Whether at this step what the optimizer was given is compared with the gradients of the passes."""
        return self.count <= _COMPARED or self.count % _COMPARED == 0

    def _keep_one(self) -> None:
        """Remove the hooks that were there to find the layer."""
        assert self._noting is not None
        self._noting.remove()
        self._noting = None
        for module, handle in list(self._candidates.items()):
            if module is not self.layer:
                handle.remove()
                del self._candidates[module]
