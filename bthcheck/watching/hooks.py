"""What the hooks of a watched training do: small tensors are kept of every backward pass, and nothing is waited for.

In one backward pass let G_i = ∂L/∂f_i and H_i = ∂L/∂z_i at sample i, z the output of the first layer. Kept are |G_i| and ‖H_i‖
of every sample and Σ H_i, summed as the layer's bias sums it. Every factor on the loss cancels in their ratios; learning rate,
momentum, decay, clipping and the optimizer come later.

Hooks on modules register hooks on their outputs, which outlive in-place operations behind them. A record is closed when the
optimizer has stepped, and by nothing else: Lightning calls ``optimizer.step(closure)``, which runs the forward pass inside.
"""

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

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
from bthcheck.watching.observed import Pass, Seen, Step


class Hook:
    """A hook on a module. A pickle or a copy of the module holds one in its place that does nothing, and needs no bthcheck."""

    def __init__(self, function: Callable[..., Any], owner: Any) -> None:
        self.function = function
        self.owner = owner

    def __call__(self, *args: Any) -> Any:
        """Do it, outside of what is compiled."""
        if torch.compiler.is_compiling():
            return self._apart(*args)
        return self.function(*args)

    @torch.compiler.disable
    def _apart(self, *args: Any) -> Any:
        return self.function(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def __deepcopy__(self, memo: Any) -> Any:
        return contextlib.nullcontext().__exit__


class Recorder:
    """The hooks on one model and its optimizer.

    Parameters
    ----------
    model : the user's own module
    layer : the layer to watch, or None for the first with a bias that runs
    pick : what of the model's output is f
    wanted : whether a step, numbered from 1, is to be recorded
    stepped : called after every step with its number
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, layer: nn.Module | None, pick: Pick | None,
        wanted: Callable[[int], bool], stepped: Callable[[int], None], owner: Any,
    ) -> None:  # fmt: skip
        self.model, self.optimizer, self.layer, self._pick = model, optimizer, layer, pick
        self._wanted, self._stepped = wanted, stepped
        self.names = candidates(model)
        self._biases = {module: bias_of(module) for module in self.names}  # a probe puts others in their places
        self.biased = first_layer(self.names) is not None
        self.seen = Seen()
        self.steps: list[Step] = []
        self.count = 0
        self.epoch = float("nan")
        self.paused = False
        self.losses: list[Tensor | float] = []
        self.start = time.perf_counter()
        self._armed = wanted(1)
        self._ordered = False
        self._current: _Forward | None = None
        self._reopened: _Forward | None = None
        self._pending: list[Pass] = []
        self._task = -1
        self._inputs: set[int] = set()
        self._anchor: nn.Parameter | None = None
        self._now: Tensor | None = None
        self._version = -1
        self._closed = False
        self._dimensions = -1
        self._over: tuple[int, ...] = ()
        self.bias: nn.Parameter | None = None
        self.initial: Tensor | None = None
        self.group: dict[str, Any] = optimizer.param_groups[0]
        if is_compiled(model):  # every hook breaks what is compiled in two, so that there are as few as can be
            self._ordered = True
            self.seen.executed = [(module, module.training) for module in self.names]
            self.layer = layer or first_layer(self.names, self.biased)
        if self.layer is not None:
            self._settle()
        self._handles: list[RemovableHandle] = []
        self._candidates: dict[nn.Module, RemovableHandle] = {}
        hooked = [self.layer] if self._ordered and self.layer is not None else list(self.names)
        for module in hooked:
            self._candidates[module] = module.register_forward_hook(Hook(self._after_layer, owner))
        self._noting = None
        if not self._ordered:
            self._noting = model.register_forward_pre_hook(Hook(self._note_inputs, owner), with_kwargs=True)
            self._handles.append(self._noting)
        self._handles.append(model.register_forward_hook(Hook(self._after_forward, owner)))
        self._handles.append(optimizer.register_step_post_hook(self._after_step))

    def close(self) -> None:
        """Remove every hook."""
        self._closed = True
        for handle in (*self._handles, *self._candidates.values()):
            handle.remove()
        self._handles.clear()
        self._candidates.clear()

    def take(self) -> list[Step]:
        """Hand over the steps recorded so far."""
        steps, self.steps = self.steps, []
        passes = [one for step in steps for one in step.passes]
        self.seen.passes = max([self.seen.passes, *(len(step.passes) for step in steps)])
        self.seen.samples = max([self.seen.samples, *(len(one.slopes) for one in passes)])
        self.seen.unmatched += sum(one.norms is None for one in passes)
        return steps

    def add_loss(self, loss: Tensor | float) -> None:
        """Give the loss of the step that is under way or, right after a step, of that one."""
        last = self.steps[-1] if self.steps else None
        if not self._pending and last is not None and last.number == self.count and not last.losses:
            last.losses.append(loss)
        elif self._armed:
            self.losses.append(loss)

    def arm(self) -> None:
        """Decide again whether the step under way is wanted."""
        self._armed = self._wanted(self.count + 1)

    def _settle(self) -> None:
        """Note the layer's bias, before anything is trained, and which settings of the optimizer are its own."""
        assert self.layer is not None
        self.bias = bias = self._biases[self.layer]
        groups = self.optimizer.param_groups
        self.group = next((group for group in groups if any(one is bias for one in group["params"])), groups[0])
        self.initial = self._now = None if bias is None else bias.detach().clone()
        self._version = -1 if bias is None else bias._version
        trained = [one for group in self.optimizer.param_groups for one in group["params"] if one.requires_grad]
        own = bias is not None and any(one is bias for one in trained)
        self._anchor = bias if own else next(iter(trained), None)

    # Forward

    def _note_inputs(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del model
        if not self._ordered:
            tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
            self._inputs = {one.untyped_storage().data_ptr() for one in tensors}
            self.seen.executed.clear()

    def _after_layer(self, module: nn.Module, args: tuple[Any, ...], z: Any) -> Any:
        if self._closed:
            return None
        if not self._ordered:
            self.seen.executed.append((module, module.training))
            if self.layer is None:
                found = first_layer([one for one, _ in self.seen.executed], self.biased)
                if found is not None:
                    self.layer = found
                    self._settle()
            if module is self.layer and self.seen.direct is None:
                x = args[0] if args else None
                self.seen.direct = isinstance(x, Tensor) and x.untyped_storage().data_ptr() in self._inputs
        if module is not self.layer or not self._armed or self.paused or not torch.is_grad_enabled():
            return None
        bias = self.bias
        if bias is not None and bias._version != self._version:  # somebody else changed it, or steps were left out
            self._now, self._version = bias.detach().clone(), bias._version
        forward = self._current
        if forward is None and self._reopened is not None and _graph_task() >= 0:
            forward = self._reopened  # a checkpoint runs it again, in the midst of the backward pass
        elif forward is None:
            forward = self._current = _Forward()
        if not isinstance(z, Tensor) or not z.is_floating_point():
            name = self.names[module]
            raise ValueError(f"layer {name!r} returns a {type(z).__name__}, of which no gradient can be taken; name another")
        if self.seen.z_shape is None:
            self.seen.z_shape = tuple(z.shape)
            _check_bias(module, z, self.names[module])
        frozen = not z.requires_grad
        if frozen:  # nothing so far is trained: the gradient of the rest is asked for, as far as this layer
            self.seen.frozen = True
            z = z.detach().requires_grad_().clone()
        z.register_hook(partial(self._layer_gradient, forward, module))
        return z if frozen else None

    def _after_forward(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        del args
        forward, self._current = self._current, None
        if self._closed or self.paused or not self._armed or not torch.is_grad_enabled():
            self._ordered = self._ordered or bool(self.seen.executed)
            return
        if forward is None:  # the layer did not run, or ran under no_grad until a checkpoint runs it again
            if _graph_task() >= 0:
                return
            forward = _Forward()
        self._ordered = self._ordered or bool(self.seen.executed)
        f = picked(output, self._pick)
        if not f.requires_grad:
            return
        if self.seen.f_shape is None:
            self.seen.f_shape = tuple(f.shape)
            self.seen.f_operation = _operation(f)
        if not self.steps and not self.seen.autocast:
            self.seen.autocast = torch.is_autocast_enabled(f.device.type)
        f.register_hook(partial(self._output_gradient, forward))

    # Backward

    def _output_gradient(self, forward: "_Forward", gradient: Tensor) -> None:
        if self._closed or self.paused:
            return
        gradient = gradient.detach()
        gradient = gradient.reshape(1, -1) if gradient.ndim == 0 or forward.alone else gradient
        slopes = gradient.abs() if gradient.ndim == 1 else _norm(gradient)
        forward.open = Pass(slopes.float() if slopes.dtype in _HALF else slopes, fresh=self._fresh())
        forward.calls = 0
        self._reopened = forward

    def _fresh(self) -> Tensor | bool:
        """Whether the gradients were set to zero since the pass before, which is then not part of the step."""
        task = _graph_task()
        same, self._task = task == self._task, task
        if not self._pending or (same and task >= 0):
            return False
        gradient = None if self._anchor is None else self._anchor.grad
        if gradient is None:
            self._pending.clear()
            self.seen.discarded += 1
            return False
        return False if gradient.is_sparse else torch.linalg.vector_norm(gradient.detach()) == 0

    def _layer_gradient(self, forward: "_Forward", module: nn.Module, gradient: Tensor) -> None:
        if self._closed or self.paused:
            return
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
                forward.alone = True
        elif dimensions != self._dimensions:
            self._dimensions, self._over = dimensions, summed_dimensions(module, gradient)
        over = self._over if dimensions == self._dimensions else summed_dimensions(module, gradient)
        half = gradient.dtype in _HALF
        sums = gradient.sum(over, dtype=torch.float32) if half else gradient.sum(over)
        norms = _norm(gradient) if len(gradient) == len(now.slopes) else None
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
        passes, self._pending = self._pending, []
        self._reopened = None
        if self._noting is not None and self._ordered:
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
            self.losses = []
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


class _Forward:
    """One forward pass, and the backward pass through it that is under way."""

    __slots__ = ("alone", "calls", "open")

    def __init__(self) -> None:
        self.open: Pass | None = None
        self.alone = False
        self.calls = 0


_COMPARED = 16
"""The first steps, and then one in so many, at which is looked whether gradients were changed before the step."""
_HALF = (torch.float16, torch.bfloat16)


_OTHERS = tuple(tuple(range(1, dimensions)) for dimensions in range(9))


def _norm(gradient: Tensor) -> Tensor:
    if gradient.dtype in _HALF:
        return torch.linalg.vector_norm(gradient, dim=_OTHERS[gradient.ndim], dtype=torch.float32)
    return torch.linalg.vector_norm(gradient, dim=_OTHERS[gradient.ndim])


def _graph_task() -> int:
    """Return a number of the backward pass under way, the same for all hooks in it."""
    read = getattr(torch._C, "_current_graph_task_id", None)
    return -1 if read is None else read()


def _check_bias(layer: nn.Module, z: Tensor, name: str) -> None:
    bias = bias_of(layer)
    one = z if batched(layer, z) else z.unsqueeze(0)
    over = summed_dimensions(layer, one)
    left = tuple(size for dim, size in enumerate(one.shape) if dim not in over)
    if bias is not None and left != tuple(bias.shape):
        raise ValueError(
            f"layer {name!r}, a {type(layer).__name__}, has a bias of shape {tuple(bias.shape)} that does not"
            " belong to its output"
            f" of shape {tuple(z.shape)}; name another layer"
        )


def _operation(f: Tensor) -> str:
    """Return the operation that made f, behind those that only reshape or convert it."""
    node = f.grad_fn
    passed = ("View", "Reshape", "Squeeze", "Unsqueeze", "Alias", "ToCopy", "Clone", "Select", "Slice", "Expand")
    while node is not None and any(word in node.name() for word in passed) and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return "" if node is None else node.name()
