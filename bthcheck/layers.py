"""Which layer of a module is its first: the one whose bias is followed, in a module that need not be split behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bthcheck import faces, networks
from bthcheck.ambient import neutral

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


def kind_of(module: nn.Module) -> str | None:
    """Return what a module is for the purpose of finding a first layer; None if it has no weights of its own.

    "linear", "identity", "convolution", "embedding", "batch normalisation", "normalisation" or "other".
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "batch normalisation"
    if isinstance(module, (nn.modules.batchnorm._NormBase, nn.GroupNorm)) or type(module).__name__.endswith("Norm"):
        return "normalisation"
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    if isinstance(module, nn.modules.conv._ConvNd):
        return "convolution"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, networks.IdentityWithBias):
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
    if isinstance(layer, (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)):
        return (0, *range(2, z.ndim))
    bias = bias_of(layer)
    kept = 1 if bias is None else bias.ndim
    return tuple(range(z.ndim - kept))


def batched(layer: nn.Module, z: Tensor) -> bool:
    """Whether the first dimension of the layer's output is that of samples, and not that of one point alone."""
    if isinstance(layer, nn.modules.conv._ConvNd):
        return z.ndim == len(layer.kernel_size) + 2
    return z.ndim > 1


@neutral()
def find_first(module: nn.Module, x: Tensor, name: str | None = None, who: str = "the module") -> nn.Module:
    """Return the first layer of a module that runs on points: the first that runs and has weights, or the one of this name.

    A normalisation before it is part of the input. A layer without a bias will do if a normalisation right behind has one.

    Parameters
    ----------
    module : it is run once, in evaluation mode, and left as it was
    x : (m, n) points
    name : as in ``module.named_modules()``; None to find it
    who : what the module is called in an error

    Raises
    ------
    ValueError
        If there is no such layer, it has no bias or one that is not trained, or it does not run exactly once.
    """
    names = candidates(module)
    executed = _executed(module, names, x)
    if name is not None:
        found = named_layer(module, name)
    else:
        biased, weighted = first_layer(executed), first_layer(executed, biased=False)
        if weighted is None:
            raise ValueError(
                f"{who} has no layer with weights that runs, so that there is no first layer whose bias could be followed"
            )
        follows = executed.index(weighted) + 1
        behind = executed[follows : follows + 1] == [biased] and "normalisation" in str(kind_of(executed[follows]))
        found = executed[follows] if behind else weighted
    bias = bias_of(found)
    if bias is None:
        raise ValueError(
            f"the first layer {names[found]!r} of {who} must have a bias, whose path during training is what is measured;"
            " give it one, or name another layer with first="
        )
    if not bias.requires_grad:
        raise ValueError(
            f"the bias of the first layer {names[found]!r} of {who} must be trained, but it does not require a gradient"
        )
    if executed.count(found) != 1:
        raise ValueError(
            f"the first layer {names[found]!r} of {who} must run once a forward pass, got {executed.count(found)} times"
        )
    return found


def _executed(module: nn.Module, names: Iterable[nn.Module], x: Tensor) -> list[nn.Module]:
    """Run the module and return those of its parts that did, in their order."""
    order: list[nn.Module] = []
    handles = [part.register_forward_hook(lambda part, _args, _output: order.append(part)) for part in names]
    try:
        with evaluating(module), torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    return order


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block every part of the module is in evaluation mode, afterwards in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
