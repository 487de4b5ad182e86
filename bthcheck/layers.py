"""Which layer of a module is its first: the one whose bias is followed, in a module that need not be split behind it."""

from collections.abc import Iterable

from torch import Tensor, nn

from bthcheck.networks import IdentityWithBias

_CHANNELS_SECOND = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)


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
