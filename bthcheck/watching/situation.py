"""What is known of a network and the loop that trains it: the facts from which `bthcheck.watching.reading` concludes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bthcheck.watching.hooks import Recorder
from bthcheck.watching.layers import bias_of, kind_of

_PROBABILITIES = ("Sigmoid", "Logistic", "Softmax", "Erf")
_LOGARITHMS = ("LogSoftmax", "LogSigmoid")


@dataclass(frozen=True)
class Situation:
    """Facts of a watched training. None is what has not been seen yet.

    layer, kind : name of the first layer with a bias, and what it is, see `bthcheck.watching.layers.kind_of`
    inputs, neurons : n and n_1 of a fully connected first layer, else None
    bias : "trained", "frozen", "left out" (of the optimizer) or "none"
    weights_trained : whether the layer has trained weights
    shared : whether the bias is shared by several positions of a sample
    direct : whether the layer is given the model's input itself
    last : whether the layer's output is f itself
    around : whether f depends on the input by another way than through the layer; known from a probe
    before, behind : kinds of modules that run before and behind the layer, normalisations in training mode alone
    dropout, attention : whether the model has any
    outputs : numbers a sample that f consists of
    probability : whether f came out of a logistic function or a softmax
    samples, passes : largest number of samples a backward pass, and of passes a step
    calls : how often the layer is called in a forward pass
    discarded, unmatched, astray : see `bthcheck.watching.observed.Seen`
    optimizer : name of its class
    plain : whether it is SGD without momentum
    decay : weight decay of the bias
    rate_changed : whether the learning rate of the bias changed
    clipped : whether what reached the optimizer was less than the gradient of the passes; None where that cannot be told
    autocast, compiled : mixed precision, torch.compile
    processes : of a distributed training
    probed : points of the probe
    """

    layer: str
    kind: str
    inputs: int | None = None
    neurons: int | None = None
    bias: str = "trained"
    weights_trained: bool = True
    shared: bool = False
    direct: bool | None = True
    last: bool = False
    around: bool | None = None
    before: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    dropout: bool = False
    attention: bool = False
    outputs: int | None = 1
    probability: bool | None = False
    samples: int = 1
    passes: int = 1
    calls: int = 1
    discarded: int = 0
    unmatched: int = 0
    astray: int = 0
    optimizer: str = "SGD"
    plain: bool = True
    decay: float = 0.0
    rate_changed: bool = False
    clipped: bool | None = False
    autocast: bool = False
    compiled: bool = False
    processes: int = 1
    probed: int = 0


class Given:
    """How what the optimizer was given for the bias compares with the gradient of the recorded passes."""

    def __init__(self) -> None:
        self.least, self.most = math.inf, -math.inf
        self.odd = False
        self.rates: set[float] = set()

    def add(self, gradient: np.ndarray, block: dict[str, np.ndarray]) -> None:
        """Take note of more steps.

        Parameters
        ----------
        gradient : norm of what the optimizer was given at every step; NaN where not looked at
        block : quantities of the steps
        """
        self.rates.update(block["learning_rate"][:1].tolist())
        self.rates.update(block["learning_rate"][-1:].tolist())
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = gradient / (block["phi"] * block["slope_sum"])
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        if len(ratio):
            self.least, self.most = min(self.least, float(ratio.min())), max(self.most, float(ratio.max()))
            exponent = np.log2(ratio)
            self.odd = self.odd or bool((np.abs(exponent - exponent.round()) > 0.03).any())

    def clipped(self, scaled: bool) -> bool:
        """Whether gradients shrank between backward pass and step; a scaler's powers of two do not count where `scaled`."""
        return self.odd if scaled else self.least < 0.99


def situation(recorder: Recorder, given: Given, *, around: bool | None, processes: int, probed: int) -> Situation:
    """Gather the facts."""
    model, layer, seen, group = recorder.model, recorder.layer, recorder.seen, recorder.group
    if layer is None:
        raise ValueError("nothing has run through the model yet, so that its first layer is not known")
    weight = getattr(layer, "weight", None)
    widths = tuple(weight.shape) if kind_of(layer) == "linear" and isinstance(weight, torch.Tensor) else (None, None)
    order = seen.executed
    place = order.index(layer) if layer in order else 0
    z, f = seen.z_shape, seen.f_shape
    bias = bias_of(layer)
    operation = seen.f_operation
    return Situation(
        layer=recorder.names[layer],
        kind=kind_of(layer) or "other",
        inputs=widths[1],
        neurons=widths[0],
        bias=_bias(recorder),
        weights_trained=isinstance(weight, torch.Tensor) and weight.requires_grad,
        shared=z is not None and (math.prod(z[1:]) > (bias.numel() if bias is not None else z[-1])) and len(z) > 1,
        direct=seen.direct,
        last=seen.last,
        around=around,
        before=_kinds(order[:place], seen.training),
        behind=_kinds(order[place + 1 :], seen.training),
        dropout=any(isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0 for module in model.modules()),
        attention=any("Attention" in type(module).__name__ for module in model.modules()),
        outputs=None if f is None else math.prod(f if seen.alone else f[1:]),
        probability=None
        if f is None or "Compiled" in operation
        else any(word in operation for word in _PROBABILITIES) and not any(word in operation for word in _LOGARITHMS),
        samples=seen.samples,
        passes=seen.passes,
        calls=seen.calls,
        discarded=seen.discarded,
        unmatched=seen.unmatched,
        astray=seen.astray,
        optimizer=type(recorder.optimizer).__name__,
        plain=isinstance(recorder.optimizer, torch.optim.SGD) and not group.get("momentum"),
        decay=float(group.get("weight_decay", 0.0)),
        rate_changed=len(given.rates) > 1,
        clipped=None if processes > 1 else given.clipped(seen.autocast),
        autocast=seen.autocast,
        compiled=recorder.by_bias,
        processes=processes,
        probed=probed,
    )


def _bias(recorder: Recorder) -> str:
    bias = recorder.bias
    if bias is None:
        return "none"
    if not bias.requires_grad:
        return "frozen"
    listed = any(one is bias for group in recorder.optimizer.param_groups for one in group["params"])
    return "trained" if listed else "left out"


def _kinds(executed: Iterable[nn.Module], training: set[nn.Module]) -> frozenset[str]:
    kinds = ((kind_of(module) or "", module in training) for module in executed)
    return frozenset(kind for kind, trains in kinds if trains or kind != "batch normalisation")
