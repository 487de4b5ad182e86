"""What of somebody's model is looked at: the first layer with a bias, and f among what the model returns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bthcheck.networks import IdentityWithBias

_CHANNELS_SECOND = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)
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


def kind_of(module: nn.Module) -> str | None:
    """Return what a module is for the purpose of finding a first layer; None if it has no weights of its own.

    "linear", "identity", "convolution", "embedding", "batch normalisation", "normalisation" or "other".
    """
    if isinstance(module, _BATCH_NORMS):
        return "batch normalisation"
    if isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm)) or type(module).__name__.endswith("Norm"):
        return "normalisation"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if isinstance(module, nn.modules.conv._ConvNd):
        return "convolution"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, IdentityWithBias):
        return "identity"
    return "other" if {"weight", "bias"} & {name for name, value in module._parameters.items() if value is not None} else None


def candidates(model: nn.Module) -> dict[nn.Module, str]:
    """Return the modules with weights of their own, each with its name, in the order in which they were registered."""
    return {module: name for name, module in model.named_modules() if kind_of(module) is not None}


def bias_of(module: nn.Module) -> nn.Parameter | None:
    """Return the bias of a layer."""
    return module._parameters.get("bias")


def first_layer(executed: Iterable[nn.Module], biased: bool = True) -> nn.Module | None:
    """Return the first layer with a bias of modules in the order in which they run, or None.

    A normalisation before any layer with weights is part of the input; behind one it may have the bias that the layer lacks, as
    in convolution, BatchNorm. Where `biased` is False the first layer will do that has weights.
    """
    weighted = False
    for module in executed:
        weighted = weighted or "normalisation" not in str(kind_of(module))
        if weighted and (not biased or bias_of(module) is not None):
            return module
    return None


def named_layer(model: nn.Module, name: str) -> nn.Module:
    """Return the layer of this name.

    Raises
    ------
    ValueError
        If there is none, or it has no weights of its own.
    """
    there = {name: module for module, name in candidates(model).items()}
    if not there:
        raise ValueError("the model has no layer with weights, so that there is nothing to watch")
    if not isinstance(name, str) or name not in there:
        some = ", ".join(repr(one) for one in list(there)[:8])
        raise ValueError(f"layer must name a layer of the model, such as {some}{', …' if len(there) > 8 else ''}, got {name!r}")
    return there[name]


def summed_dimensions(layer: nn.Module, z: Tensor) -> tuple[int, ...]:
    """Return the dimensions of z, the first that of the samples, over which a bias of the layer is shared.

    What is left has the shape of the bias, or of the one that a layer without would have.
    """
    if isinstance(layer, _CHANNELS_SECOND):
        return (0, *range(2, z.ndim))
    bias = bias_of(layer)
    kept = 1 if bias is None else bias.ndim
    return tuple(range(z.ndim - kept))


def batched(layer: nn.Module, z: Tensor) -> bool:
    """Whether the first dimension of the layer's output is that of samples, and not that of one point alone."""
    if isinstance(layer, nn.modules.conv._ConvNd):
        return z.ndim == len(layer.kernel_size) + 2
    return z.ndim > 1


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


def process_of(model: nn.Module) -> tuple[int, int]:
    """Return the rank and the number of processes that train the model together."""
    outer = model
    while isinstance(inside := getattr(outer, "_orig_mod", None), nn.Module):
        outer = inside
    if not isinstance(outer, nn.parallel.DistributedDataParallel):
        return 0, 1
    return torch.distributed.get_rank(outer.process_group), torch.distributed.get_world_size(outer.process_group)
