"""What of somebody's model is looked at: the first layer with a bias, and f among what the model returns."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bthcheck.layers import batched, bias_of, candidates, first_layer, kind_of, named_layer, summed_dimensions

__all__ = [
    "Pick", "batched", "bias_of", "candidates", "f_of", "first_layer", "inner_optimizer", "is_compiled", "kind_of",
    "named_layer", "picked", "process_of", "summed_dimensions", "unwrapped",
]  # fmt: skip

_REFUSED = {
    "FullyShardedDataParallel": "FSDP shards the first layer's gradients over ranks",
    "DeepSpeedEngine": "DeepSpeed trains with gradients of its own",
    "DataParallel": "DataParallel runs copies of the model, use DistributedDataParallel",
}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the user's own module inside DistributedDataParallel and ``torch.compile``.

    Raises
    ------
    TypeError
        If it is no module, or one that cannot be watched: scripted, sharded by FSDP or DeepSpeed, replicated by DataParallel.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    while True:
        name = next((kind.__name__ for kind in type(model).__mro__ if kind.__name__ in _REFUSED), None)
        if name is not None:
            raise TypeError(f"a model wrapped in {name} cannot be watched: {_REFUSED[name]}")
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inside := getattr(model, "_orig_mod", None), nn.Module):
            model = inside
        else:
            break
    for module in model.modules():
        kinds = {kind.__name__ for kind in type(module).__mro__}
        if kinds & {"FSDPModule", "FullyShardedDataParallel"}:
            raise TypeError("a model sharded by FSDP cannot be watched: the first layer's gradients are spread over ranks")
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError("a scripted model cannot be watched: torch.jit runs no hooks on tensors; use torch.compile")
    lazy = [name for name, parameter in model.named_parameters() if isinstance(parameter, nn.UninitializedParameter)]
    if lazy:
        raise ValueError(f"the model has lazy parameters without a shape, such as {lazy[0]!r}; call it once before watching it")
    return model


def is_compiled(model: nn.Module) -> bool:
    """Whether ``torch.compile`` or ``model.compile()`` was applied to the model or a part of it."""
    return any(hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None for part in model.modules())


def inner_optimizer(optimizer: Any) -> Optimizer:
    """Return PyTorch's optimizer inside what accelerate and Lightning wrap it in.

    Raises
    ------
    TypeError
        If there is none with hooks.
    """
    seen = optimizer
    while isinstance(inside := getattr(seen, "optimizer", None), Optimizer):
        seen = inside
    if not isinstance(seen, Optimizer) or not hasattr(seen, "_optimizer_step_post_hooks"):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, or wrap one as .optimizer, got {type(optimizer).__name__}")
    return seen


def f_of(output: Any) -> Tensor:
    """Return f: the one tensor that a model returns, or its ``logits``.

    Raises
    ------
    ValueError
        If it is not clear which tensor that is.
    """
    if isinstance(output, Tensor):
        return output
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if isinstance(output, (tuple, list)) and len(output) == 1 and isinstance(output[0], Tensor):
        return output[0]
    what = f"a {type(output).__name__}"
    if isinstance(output, Mapping):
        what += f" with {', '.join(map(repr, output))}"
    raise ValueError(f"the model returns {what}; say which tensor is f, as in output=lambda returned: returned[0]")


Pick = Callable[[Any], Tensor]


def picked(output: Any, pick: Pick | None) -> Tensor:
    """Return f as `pick` or, where that is None, `f_of` finds it in what the model returns.

    Raises
    ------
    ValueError
        If that is no floating-point tensor.
    """
    if pick is None:
        found = f_of(output)
    else:
        try:
            found = pick(output)
        except Exception as error:
            raise ValueError(
                f"output= failed on what the model returns, a {type(output).__name__}: {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, Tensor) or not found.is_floating_point():
        what = f"a tensor of {found.dtype}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"f must be a floating-point tensor, and output= picked {what}")
    return found


def process_of(model: nn.Module) -> tuple[int, int]:
    """Return the rank and the number of processes that train the model together."""
    outer = model
    while isinstance(inside := getattr(outer, "_orig_mod", None), nn.Module):
        outer = inside
    if not isinstance(outer, nn.parallel.DistributedDataParallel):
        return 0, 1
    return torch.distributed.get_rank(outer.process_group), torch.distributed.get_world_size(outer.process_group)
