"""What the cases of an attack were like: counts of how many had which depth, first layer, weights, dead and tied neurons."""

from collections import Counter
from typing import Any

import numpy as np

from bthcheck.evidence.attacks import histories
from bthcheck.evidence.attacks.cases import Case

ORDER = ("hidden layers", "first layer", "weights", "output", "neurons", "Dropout", "length", "k", "activation")
"""Aspects, in the order in which they are shown."""


def aspects(case: Case) -> dict[str, str]:
    """Return aspect → what the case is like in it, of those that its kind has."""
    kind = case["kind"]
    found = {"weights": str(case.get("drawn", "as given"))}
    if kind in ("network", "history"):
        layers = _layers(case)
        weight, bias = layers[0]
        n = len(bias) if weight is None else weight.shape[1]
        identity = weight is None or (weight.shape[0] == n and bool((weight == np.eye(n)).all()))
        found["hidden layers"] = str(len(layers) - 1)
        found["first layer"] = "identity" if identity else _relation(len(bias), n)
        found["output"] = case["output"]
        found["neurons"] = _neurons(layers, np.array(case["x"], float))
        if kind == "history":
            found["length"] = _length(len(case["visits"]), "steps")
        else:
            found["Dropout"] = "yes" if case.get("kept") is not None else "no"
    elif kind == "module":
        found["hidden layers"] = str(len(case["widths"]) - 2)
        found["first layer"] = _relation(case["widths"][1], case["widths"][0])
        found["activation"] = case["activation"]
    elif kind == "path":
        found["length"] = _length(len(case["points"]), "points")
    elif kind == "symmetric":
        found["k"] = "below 10" if case["k"] < 10 else "10 to 75" if case["k"] <= 75 else "above 75"
    return found


def count(counts: dict[str, Counter[str]], case: Case) -> None:
    """Add a case to the counts of what cases were like, aspect → value → how many."""
    for aspect, value in aspects(case).items():
        counts.setdefault(aspect, Counter())[value] += 1


def table(counts: dict[str, Any]) -> list[list[str]]:
    """Return the counts as rows (aspect, "value share, …"), the most frequent first."""
    rows = []
    for aspect in sorted(counts, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        total = sum(counts[aspect].values())
        values = sorted(counts[aspect].items(), key=lambda entry: (-entry[1], entry[0]))
        rows.append([aspect, ", ".join(f"{value} {number / total:.0%}" for value, number in values)])
    return rows


def _layers(case: Case) -> histories.Layers:
    return [
        (None if layer.get("weight") is None else np.array(layer["weight"], float), np.array(layer["bias"], float))
        for layer in case["layers"]
    ]


def _relation(n_1: int, n: int) -> str:
    return "wider" if n_1 > n else "narrower" if n_1 < n else "square"


def _neurons(layers: histories.Layers, x: np.ndarray) -> str:
    """Say whether some hidden neuron is off at all points, and whether one is exactly on its edge at some point."""
    with np.errstate(all="ignore"):
        hidden = histories.forward(layers, x)[:-1]
    dead, tied = any((z <= 0).all(axis=0).any() for z in hidden), any((z == 0).any() for z in hidden)
    return "dead and tied" if dead and tied else "dead" if dead else "tied" if tied else "all alive, none tied"


def _length(count: int, of: str) -> str:
    return f"to 3 {of}" if count <= 3 else f"4 to 15 {of}" if count < 16 else f"16 {of} and more"
