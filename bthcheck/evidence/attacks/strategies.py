"""What Hypothesis draws cases from: networks, points and trainings, towards the edges of what float64 can tell.

Small whole numbers are drawn one by one, so that they shrink and can be steered; many numbers at once come from a generator
with a drawn seed, at drawn scales. Ties are exact: a point on an axis and a bias that is the negative of one product.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from bthcheck.evidence.attacks import histories
from bthcheck.evidence.attacks.cases import Case

WIDEST = 6
WEIGHTS = ("whole", "normal", "scaled", "spread")
"""Whole numbers from −3 to 3; normal; normal, every layer at another scale; every number at another scale."""
FIRST = ("free", "identity", "alike rows", "tall scales")
"""W_1 as drawn; I, frozen or written out; two rows that differ by 10⁻⁹; columns at scales from 10⁻⁶ to 10⁶."""
EDGES = ("none", "tied", "dead", "tied and dead")
MOST_CERTAIN = 100.0
"""The logit may be no larger where the output is a sigmoid, whose slope leaves float64 beyond 700."""
STEPS = 40


@st.composite
def networks(draw: Any, *, shape: str = "any", readable: bool = False, extreme: bool = True, dropout: bool = False,
             training: bool = False) -> Case:  # fmt: skip
    """Draw a case of kind "network".

    Parameters
    ----------
    shape : "any", "narrow" for n_1 ≤ n or "wide" for n_1 > n
    readable : whether to draw only small networks of whole numbers
    extreme : whether scales range over many orders of magnitude
    dropout : whether a third of them have neurons that Dropout drops
    training : whether to draw training points for Theorem 2
    """
    layers, output, how = draw(_layers(shape=shape, readable=readable, extreme=extreme))
    n = _inputs(layers)
    x = draw(_points(n, 1 if readable else 4, whole=readable))
    if not readable:
        _onto_edges(draw, layers, x, exact=how == "whole" or not training)
    case: Case = {"kind": "network", "drawn": how, "layers": _plain(layers), "output": output, "x": x.tolist()}
    if dropout and draw(st.integers(0, 2)) == 0:
        size = len(x) * sum(len(bias) for _, bias in layers[:-1])
        bits = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
        case["kept"] = bits.reshape(len(x), -1).tolist()
    if training:
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        case["x_train"] = (3 * generator.standard_normal((draw(st.integers(1, 24)), n))).tolist()
        case["x"] = np.concatenate([x, 3 * generator.standard_normal((20, n))]).tolist()
    assume(_is_steep(layers, np.array(case["x"]), output))
    return case


@st.composite
def trainings(draw: Any) -> Case:
    """Draw a case of kind "history": up to `STEPS` steps of a small network on up to 5 points."""
    layers, output, how = draw(_layers(shape="any", readable=False, extreme=True))
    n = _inputs(layers)
    x = draw(_points(n, 5))
    _onto_edges(draw, layers, x, exact=True)
    steps = draw(st.integers(1, STEPS))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = generator.integers(0, 2, len(x)).astype(float)
    if output == "identity":
        y = y if draw(st.booleans()) else generator.standard_normal(len(x)) * 10.0 ** draw(st.integers(-3, 3))
    rate = 10.0 ** draw(st.floats(-8, 0))
    rates = rate * (10.0 ** generator.uniform(-2, 2, steps) if draw(st.booleans()) else np.ones(steps))
    if how == "whole" and draw(st.booleans()):
        rates = np.full(steps, 2.0 ** draw(st.integers(-10, 0)))
    assume(_is_steep(layers, x, output))
    visits = generator.integers(0, len(x), steps) if draw(st.booleans()) else np.arange(steps) % len(x)
    return {"kind": "history", "drawn": how, "layers": _plain(layers), "output": output, "x": x.tolist(), "y": y.tolist(),
            "visits": visits.tolist(), "rates": rates.tolist()}  # fmt: skip


@st.composite
def paths(draw: Any) -> Case:
    """Draw a case of kind "path": up to 40 points, some of which coincide or lie on a line."""
    how = draw(st.sampled_from(["whole", "normal", "spread"]))
    count, dimensions = draw(st.integers(2, 40 if how != "whole" else 8)), draw(st.integers(1, 4))
    if how == "whole":
        numbers = st.lists(st.integers(-3, 3).map(float), min_size=dimensions, max_size=dimensions)
        points = np.array(draw(st.lists(numbers, min_size=count, max_size=count)))
    else:
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        points = generator.standard_normal((count, dimensions))
        if how == "spread":
            points *= 10.0 ** generator.uniform(-6, 6, points.shape)
        if draw(st.booleans()):
            points = np.cumsum(points, axis=0)
    return {"kind": "path", "drawn": how, "points": points.tolist()}


@st.composite
def alike(draw: Any) -> Case:
    """Draw a case of kind "symmetric"; see `bthcheck.evidence.attacks.theorem3`."""
    quarter = st.integers(-8, 8).map(lambda number: number / 4)
    above = st.integers(1, 8).map(lambda number: number / 4)
    zero = st.just(0.0)
    kind = st.one_of(st.tuples(above, zero), st.tuples(zero, above), st.tuples(above, above)).map(list)
    kinds = draw(st.lists(kind, min_size=1, max_size=3, unique_by=tuple))
    second = draw(st.lists(st.tuples(quarter, quarter, st.sampled_from([1, -1, 3])), min_size=1, max_size=2))
    slope = 10.0 ** draw(st.integers(-3, 0))
    return {
        "kind": "symmetric", "drawn": "alike", "k": draw(st.one_of(st.integers(80, 160), st.integers(2, 160))),
        "bias": -draw(st.sampled_from([0.001, 0.25])), "second": [[w, b, v * slope] for w, b, v in second], "points": kinds,
        "query": draw(above), "steps": 4, "seed": draw(st.integers(0, 99)),
    }  # fmt: skip


@st.composite
def modules(draw: Any, *, activations: tuple[str, ...], normalisation: str = "none") -> Case:
    """Draw a case of kind "module" of `bthcheck.evidence.generated.modules`."""
    from bthcheck.evidence.generated import modules as generated
    from bthcheck.training.runs import flat_parameters

    activation = draw(st.sampled_from(activations))
    network, x = draw(generated(activation=activation, normalisation=normalisation))
    affine = [bias for _, bias in network.layers()]
    widths = [x.shape[1], *(len(bias) for bias in affine)]
    state = flat_parameters(network).tolist()
    whole = all(float(number).is_integer() for number in state)
    return {"kind": "module", "drawn": "whole" if whole else "scaled", "widths": widths, "activation": activation,
            "normalisation": normalisation, "state": state, "x": x.tolist()}  # fmt: skip


@st.composite
def _layers(draw: Any, *, shape: str, readable: bool, extreme: bool) -> tuple[histories.Layers, str, str]:
    """Draw the layers of a network, its output, and how its numbers were drawn."""
    widest = 3 if readable else WIDEST
    n = draw(st.integers(1, widest - 1))
    low, high = {"any": (1, widest), "narrow": (1, n), "wide": (n + 1, widest)}[shape]
    first = draw(st.sampled_from(FIRST)) if not readable and shape != "wide" else "free"
    n_1 = n if first == "identity" else draw(st.integers(low, high))
    hidden = draw(st.lists(st.integers(1, WIDEST), max_size=0 if readable else 4))
    how = "whole" if readable else draw(st.sampled_from(WEIGHTS if extreme else WEIGHTS[:2]))
    widths = [n, n_1, *hidden, 1]
    layers: histories.Layers = []
    size = sum((before + 1) * after for before, after in pairwise(widths))
    if how == "whole":
        # As one list, which shrinks as a whole.
        numbers = np.array(draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size)), float)
    else:
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        numbers = generator.standard_normal(size)
        if how == "spread":
            numbers *= 10.0 ** generator.uniform(-6, 6, size)
    for before, after in pairwise(widths):
        scale = 10.0 ** draw(st.integers(-8, 8)) if how == "scaled" else 1.0
        weight, numbers = numbers[: before * after].reshape(after, before) * scale, numbers[before * after :]
        bias, numbers = numbers[:after] * scale, numbers[after:]
        layers.append((weight, bias))
    weight, bias = layers[0]
    assert weight is not None
    if first == "identity":
        layers[0] = (None if draw(st.booleans()) else np.eye(n), bias)
    elif first == "alike rows" and len(weight) > 1:
        weight[1] = weight[0] * (1 + 1e-9)
    elif first == "tall scales":
        weight *= 10.0 ** np.linspace(-6, 6, n) if n > 1 else 1e-6
    output = "identity" if readable else draw(st.sampled_from(["identity", "identity", "sigmoid"]))
    return layers, output, how


@st.composite
def _points(draw: Any, n: int, most: int, whole: bool = False) -> np.ndarray:
    count = draw(st.integers(1, most))
    if whole or draw(st.booleans()):
        numbers = draw(st.lists(st.integers(-3, 3), min_size=count * n, max_size=count * n))
        return np.array(numbers, float).reshape(count, n)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return generator.standard_normal((count, n)) * 10.0 ** draw(st.integers(-3, 3))


def _onto_edges(draw: Any, layers: histories.Layers, x: np.ndarray, *, exact: bool) -> None:
    """Put a first neuron exactly on its edge at a point, or turn one off at all points, or both; in place."""
    edges = draw(st.sampled_from(EDGES))
    weight, bias = layers[0]
    neuron = draw(st.integers(0, len(bias) - 1))
    if "tied" in edges and exact:
        axis = draw(st.integers(0, x.shape[1] - 1))
        x[0] = 0.0
        x[0, axis] = 2.0 ** draw(st.integers(-3, 3))
        bias[neuron] = -(float(neuron == axis) if weight is None else weight[neuron, axis]) * x[0, axis]
    if "dead" in edges and len(bias) > 1:
        other = (neuron + 1) % len(bias)
        row = np.eye(len(bias))[other] if weight is None else weight[other]
        bias[other] = -2.0 * float(np.abs(x @ row).max()) - abs(bias[other]) - 1e-3


def _inputs(layers: histories.Layers) -> int:
    weight, bias = layers[0]
    return len(bias) if weight is None else weight.shape[1]


def _is_steep(layers: histories.Layers, x: np.ndarray, output: str) -> bool:
    """Whether the network is not flat at all points, and its sigmoid not beyond float64: 0 ≤ 0 cannot fail."""
    with np.errstate(all="ignore"):
        z = histories.forward(layers, x)
        if output == "sigmoid" and not (np.abs(z[-1]) <= MOST_CERTAIN).all():
            return False
        return bool(np.abs(histories.backward(layers, z)[0]).any() and np.isfinite(z[-1]).all())


def _plain(layers: histories.Layers) -> list[dict[str, Any]]:
    return [{"weight": None if weight is None else weight.tolist(), "bias": bias.tolist()} for weight, bias in layers]
