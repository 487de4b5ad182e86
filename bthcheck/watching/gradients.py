"""What hooks on tensors need to know of a gradient, and of the backward pass that it comes from."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bthcheck.watching.layers import batched, bias_of, summed_dimensions
from bthcheck.watching.observed import Pass

HALF = (torch.float16, torch.bfloat16)


_OTHERS = tuple(tuple(range(1, dimensions)) for dimensions in range(9))


def sample_norms(gradient: Tensor) -> Tensor:
    """Return the norm of every sample, (m,) of (m, …), at least in float32."""
    if gradient.dtype in HALF:
        return torch.linalg.vector_norm(gradient, dim=_OTHERS[gradient.ndim], dtype=torch.float32)
    return torch.linalg.vector_norm(gradient, dim=_OTHERS[gradient.ndim])


def graph_task() -> int:
    """Return a number of the backward pass under way, the same for all hooks in it."""
    read = getattr(torch._C, "_current_graph_task_id", None)
    return -1 if read is None else read()


def check_bias(layer: nn.Module, z: Tensor, name: str) -> None:
    """Raise ``ValueError`` unless the layer's bias has the shape that is left of its output when that is summed."""
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


def operation_of(f: Tensor) -> str:
    """Return the operation that made f, behind those that only reshape or convert it."""
    node = f.grad_fn
    passed = ("View", "Reshape", "Squeeze", "Unsqueeze", "Alias", "ToCopy", "Clone", "Select", "Slice", "Expand")
    while node is not None and any(word in node.name() for word in passed) and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return "" if node is None else node.name()


def unconverted(f: Tensor) -> tuple[Any, int] | None:
    """Return where f was made in lower precision before it was converted: a node of the graph and which of its results."""
    node = f.grad_fn
    if node is None or node.name() != "ToCopyBackward0" or f.dtype not in (torch.float32, torch.float64):
        return None
    inner, number = node.next_functions[0]
    half = inner is not None and inner._input_metadata[number].dtype in (torch.float16, torch.bfloat16)
    return (inner, number) if half else None


def on_gradient(f: Tensor, function: Callable[[Tensor], None]) -> None:
    """Have `function` called with the gradient of f.

    Where f was converted, it is called with that of f before: accelerate converts what a model returns, whose loss is made of
    what was there before.
    """
    place = unconverted(f)
    if place is None:
        f.register_hook(function)
        return
    node, number = place

    def before(gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[number]
        if gradient is not None:
            function(gradient)

    node.register_prehook(before)


class Forward:
    """One forward pass, and the backward pass through it that is under way."""

    __slots__ = ("alone", "calls", "last", "open", "version", "z")

    def __init__(self) -> None:
        self.open: Pass | None = None
        self.alone = self.last = False
        self.calls = self.version = 0
        self.z: weakref.ref[Tensor] | None = None
