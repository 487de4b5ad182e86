"""Cases: examples as plain values that JSON can hold, and what measures are given in their place.

A case is a dictionary with a `kind`, one of `KINDS`:

network    `layers`, each {"weight": rows or null for a frozen identity (the first alone), "bias": numbers}; `output`; points
           `x`; optionally `kept`, a row of 0 and 1 a point over all hidden neurons, and `x_train`, more points
history    `layers`, `output`, training points `x` and `y`, `visits`, which point each step visits, and its learning `rates`
module     `widths`, `activation`, `normalisation` of `bthcheck.experiments.extensions.ActivatedMLP`, `state`, all its numbers
           in order, and points `x`
path       `points`, what a bias passes
symmetric  a classifier with W_1 = I whose first layer's neurons are alike; see `bthcheck.evidence.attacks.theorem3`

`drawn` may say how the numbers were drawn; nothing depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bthcheck.checks import one_of
from bthcheck.networks import MLP, OUTPUTS

if TYPE_CHECKING:
    from torch import Tensor

    from bthcheck.evidence.search import Example

Case = dict[str, Any]
MOST_NUMBERS = 1_000_000
"""Of one array of a case."""


class Networked(NamedTuple):
    """A float64 network with the points it is looked at; `kept` and `x_train` where the case has them."""

    example: "Example"
    kept: "Tensor | None" = None
    x_train: "Tensor | None" = None


@dataclass(frozen=True)
class History:
    """What a training at batch size 1 consists of, in float64.

    layers : (W_l, b_l) of every affine layer; the first weight is None where it is frozen at the identity
    sigmoid : whether the output is a sigmoid, trained with the cross-entropy, or else linear, with (f − y)²/2
    x, y : (m, n) points and (m,) targets
    visits, rates : (T,) the point and the learning rate of every step
    """

    layers: tuple[tuple[np.ndarray | None, np.ndarray], ...]
    sigmoid: bool
    x: np.ndarray
    y: np.ndarray
    visits: np.ndarray
    rates: np.ndarray


def built(case: Any) -> Any:
    """Return what measures of a case's kind are given.

    Raises
    ------
    ValueError
        If the case is none: one sentence that says what is wrong and what is allowed.
    """
    if not isinstance(case, dict):
        raise ValueError(f"a case must be a JSON object with a kind, got {_short(case)}")
    return KINDS[one_of("the kind of a case", case.get("kind"), KINDS)](case)


def array(case: Case, name: str, *shape: int | None, whole: bool = False) -> np.ndarray:
    """Return an array of a case as float64, or as whole numbers.

    Parameters
    ----------
    shape : length of each dimension; None for any of at least 1

    Raises
    ------
    ValueError
        If it is missing, not of finite numbers or of another shape.
    """
    wanted = "(" + ", ".join("any" if length is None else str(length) for length in shape) + ("," * (len(shape) == 1)) + ")"
    problem = f"{name} of a case must be finite numbers of shape {wanted}"
    if name not in case:
        raise ValueError(f"{problem}, and it is missing")
    if not _is_numbers(case[name], len(shape)):
        raise ValueError(f"{problem}, got {_short(case[name])}")
    try:
        found = np.array(case[name], float)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{problem}, got rows of different lengths") from None
    if found.size > MOST_NUMBERS:
        raise ValueError(f"{name} of a case must have at most {MOST_NUMBERS} numbers, got {found.size}")
    fits = found.ndim == len(shape) and all(
        have >= 1 if want is None else have == want for have, want in zip(found.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{problem}, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{problem}, got one that is not finite")
    if whole and not (found == np.rint(found)).all():
        raise ValueError(f"{problem}, all whole, got {_short(case[name])}")
    return found.astype(int) if whole else found


def layers_of(case: Case) -> tuple[tuple[np.ndarray | None, np.ndarray], ...]:
    """Return (W_l, b_l) of every layer of a case, the last of one output, or raise ``ValueError``."""
    layers = case.get("layers")
    if not isinstance(layers, list) or len(layers) < 2 or not all(isinstance(layer, dict) for layer in layers):
        raise ValueError(f"layers of a case must be at least two, each with a weight and a bias, got {_short(layers)}")
    found: list[tuple[np.ndarray | None, np.ndarray]] = []
    width: int | None = None
    for number, layer in enumerate(layers, start=1):
        try:
            bias = array(layer, "bias", None)
            frozen = number == 1 and layer.get("weight") is None
            weight = None if frozen else array(layer, "weight", len(bias), width)
        except ValueError as error:
            raise ValueError(f"in layer {number}, {error}") from None
        found.append((weight, bias))
        width = len(bias)
    if width != 1:
        raise ValueError(f"the last layer of a case must have one output, got {width}")
    return tuple(found)


def inputs_of(layers: tuple[tuple[np.ndarray | None, np.ndarray], ...]) -> int:
    """Return the input dimension n."""
    weight, bias = layers[0]
    return len(bias) if weight is None else weight.shape[1]


def network_of(layers: tuple[tuple[np.ndarray | None, np.ndarray], ...], output: str) -> Any:
    """Return a float64 `Network` with these layers."""
    from bthcheck.training.runs import load_parameters

    widths = (inputs_of(layers), *(len(bias) for _, bias in layers))
    network = MLP(widths, "identity" if layers[0][0] is None else "trained", output).build().double()
    numbers = [part.ravel() for layer in layers for part in layer if part is not None]
    load_parameters(network, np.concatenate(numbers))
    return network


def _network(case: Case) -> Networked:
    import torch

    from bthcheck.evidence.search import Example

    layers, output = layers_of(case), one_of("output of a case", case.get("output"), OUTPUTS)
    n = inputs_of(layers)
    x = torch.from_numpy(array(case, "x", None, n))
    kept = x_train = None
    if case.get("kept") is not None:
        neurons = sum(len(bias) for _, bias in layers[:-1])
        numbers = array(case, "kept", len(x), neurons, whole=True)
        if not np.isin(numbers, (0, 1)).all():
            raise ValueError("kept of a case must be 0 and 1")
        kept = torch.from_numpy(numbers)
    if case.get("x_train") is not None:
        x_train = torch.from_numpy(array(case, "x_train", None, n))
    return Networked(Example(network_of(layers, output), x), kept, x_train)


def _history(case: Case) -> History:
    layers, output = layers_of(case), one_of("output of a case", case.get("output"), OUTPUTS)
    x = array(case, "x", None, inputs_of(layers))
    y = array(case, "y", len(x))
    visits = array(case, "visits", None, whole=True)
    rates = array(case, "rates", len(visits))
    if not ((visits >= 0) & (visits < len(x))).all():
        raise ValueError(f"visits of a case must be from 0 to {len(x) - 1}, the points there are, got {_short(case['visits'])}")
    if not (rates > 0).all():
        raise ValueError("rates of a case must be above 0")
    if output == "sigmoid" and not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("y of a case with a sigmoid output must be 0 and 1")
    return History(layers, output == "sigmoid", x, y, visits, rates)


def _module(case: Case) -> "Example":
    import torch

    from bthcheck.evidence.search import Example
    from bthcheck.experiments.extensions import ActivatedMLP
    from bthcheck.training.runs import load_parameters, state_size

    widths = array(case, "widths", None, whole=True).tolist()
    if max(widths) > 10_000:
        raise ValueError(f"widths of a case must be at most 10000, got {max(widths)}")
    network = ActivatedMLP(tuple(widths), str(case.get("activation")), str(case.get("normalisation"))).build().double()
    load_parameters(network, array(case, "state", state_size(network)))
    return Example(network, torch.from_numpy(array(case, "x", None, widths[0])))


def _path(case: Case) -> np.ndarray:
    return array(case, "points", None, None)


def _symmetric(case: Case) -> Any:
    from bthcheck.evidence.attacks.theorem3 import alike

    return alike(case)


KINDS: dict[str, Callable[[Case], Any]] = {
    "network": _network, "history": _history, "module": _module, "path": _path, "symmetric": _symmetric,
}  # fmt: skip


def _is_numbers(value: Any, depth: int) -> bool:
    """Whether a value is lists in lists, so deep, of numbers."""
    if depth == 0:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, list) and all(_is_numbers(entry, depth - 1) for entry in value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
