"""Local Lipschitz constants of somebody's model in the midst of its training, which must not notice.

A probe evaluates the model in evaluation mode; buffers and random states are set back afterwards. Gradients are taken with
respect to the input alone, so that no ``.grad`` is touched.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bthcheck.ambient import neutral
from bthcheck.geometry.jacobians import local_constants
from bthcheck.watching.layers import Pick, picked


class Probe:
    """Points at which a model is probed.

    Parameters
    ----------
    points : a tensor (m, …), or a tuple or mapping of what the model takes, all tensors in it of m rows. Derivatives are taken
        with respect to the first floating-point tensor; where all are whole numbers, such as tokens, to the first embedding.

    Raises
    ------
    ValueError
        If there is no point, or rows do not match.
    """

    def __init__(self, points: Any) -> None:
        named = isinstance(points, Mapping)
        self._args: tuple[Any, ...] = () if named else tuple(points) if isinstance(points, (tuple, list)) else (points,)
        self._kwargs: dict[str, Any] = dict(points) if named else {}
        values: dict[Any, Any] = {**dict(enumerate(self._args)), **self._kwargs}
        tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
        if not tensors:
            raise ValueError(f"probe must be a tensor, or a tuple or mapping of tensors, got a {type(points).__name__}")
        sizes = {len(value) if value.ndim else 0 for value in tensors.values()}
        if len(sizes) > 1 or 0 in sizes:
            shapes = ", ".join(str(tuple(value.shape)) for value in tensors.values())
            raise ValueError(f"probe must have one row a point, at least one, in each tensor; got shapes {shapes}")
        self.size = sizes.pop()
        floating = [key for key, value in tensors.items() if value.is_floating_point()]
        self._key = floating[0] if floating else None
        bad = [key for key in floating if not bool(tensors[key].isfinite().all())]
        if bad:
            raise ValueError("probe must hold finite numbers only")

    def constants(self, model: nn.Module, pick: Pick | None, rows: slice = slice(None)) -> Tensor:
        """λ at every point, (m,), of the model as it would be used: in evaluation mode, in its own type."""
        with neutral(), undisturbed(model):
            function, x = self._function(model, pick, rows)
            return local_constants(function, x)

    def goes_around(self, model: nn.Module, layer: nn.Module, pick: Pick | None) -> bool:
        """Whether f depends on the input by another way than through the layer, at the first point."""
        with neutral(), undisturbed(model):
            function, x = self._function(model, pick, slice(0, 1))
            x = x.detach().requires_grad_()
            with _replacing(layer, lambda z: z.detach() if isinstance(z, Tensor) else z):
                f = function(x)
            if not f.requires_grad:
                return False
            (gradient,) = torch.autograd.grad(f.sum(), x, allow_unused=True)
            return gradient is not None and bool(gradient.any())

    def _function(self, model: nn.Module, pick: Pick | None, rows: slice) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return f as a function of points, which come in the order of the probe's rows, and the points."""
        device = next(model.parameters()).device

        def placed(value: Any) -> Any:
            return value.detach()[rows].to(device) if isinstance(value, Tensor) else value

        args = [placed(value) for value in self._args]
        kwargs = {key: placed(value) for key, value in self._kwargs.items()}
        begun = 0

        def call(x: Tensor | None, count: int) -> Tensor:
            nonlocal begun
            part = slice(begun, begun + count)
            begun += count
            inputs = [value[part] if isinstance(value, Tensor) else value for value in args]
            named = {key: value[part] if isinstance(value, Tensor) else value for key, value in kwargs.items()}
            if x is not None:
                given: Any = named if isinstance(self._key, str) else inputs
                given[self._key] = x
            return picked(model(*inputs, **named), pick)

        if self._key is not None:
            return lambda x: call(x, len(x)), (args[self._key] if isinstance(self._key, int) else kwargs[self._key])
        embedding = _embedding(model)
        found: list[Tensor] = []
        with torch.no_grad(), _replacing(embedding, lambda z: found.append(z)):
            call(None, len(next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))))
        begun = 0

        def of_embedded(e: Tensor) -> Tensor:
            with _replacing(embedding, lambda _: e):
                return call(None, len(e))

        return of_embedded, found[0]


def _embedding(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            return module
    raise ValueError("probe must hold floating-point numbers: the model has no embedding to differentiate with respect to")


@contextlib.contextmanager
def _replacing(module: nn.Module, change: Callable[[Any], Any]) -> Iterator[None]:
    """Within the block the first output of the module in a call is what `change` makes of it."""
    handle = module.register_forward_hook(lambda _module, _args, output: change(output))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Have the model in evaluation mode and not compiled; set modes, buffers and random states back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module._buffers, name, value, value._version, value.detach().clone())
        for module, _ in modes for name, value in module._buffers.items() if value is not None
    ]  # fmt: skip
    devices = sorted({value.device.index or 0 for value in model.parameters() if value.device.type == "cuda"})
    numbers, own = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng(devices), torch.compiler.set_stance("force_eager"):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            with torch.no_grad():
                for there, name, value, version, copy in buffers:
                    there[name] = value
                    if value._version != version:  # a copy of the same would disturb a graph that holds it
                        value.copy_(copy)
            np.random.set_state(numbers)  # noqa: NPY002
            random.setstate(own)
