"""Classifiers whose first layer's neurons are all alike, on which λ_steady of Theorem 3 is tried.

A free search never comes across a counterexample to Theorem 3: the smallest known has 76 inputs. Alike neurons make one of any
width a handful of numbers, with points to match: every neuron in turn is lifted above the others, or all are as high.

A case of kind "symmetric" has

k        inputs and neurons of the first layer, W_1 = I
bias     of each of these
second   neurons of the second layer, (w, b, v) each: w/k is its weight from every neuron of the first, b its bias, v its weight
         in the output, whose bias is 0
points   (a, b) each: k training points that have a + b in one entry and b in all others; labels alternate
query    q, the point (q, …, q) where λ is measured
steps    how many steps with Dropout are watched, beside those at a point of each kind with every choice of second neurons kept,
         among which is the largest φ that any choice has
seed     of which points they visit and what they drop
"""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.evidence.attacks import cases, histories
from bthcheck.evidence.search import Comparison
from bthcheck.theory import dropout
from bthcheck.training.streams import kept_neurons, stream

if TYPE_CHECKING:
    from bthcheck.theory.dropout import Steady

RATE = 1e-7
"""At which patterns and slopes stay put, as Assumption 1 asks."""
WIDEST, MOST_SECOND, MOST_KINDS, MOST_STEPS = 512, 3, 8, 1000
EDGE = 1e-6
"""A neuron closer to 0 than this at some point sits on its edge, where rounding decides on which side."""
CHANGE = 1e-2
"""Most γ, beyond which slopes do not count as staying put."""
ROUNDING = 1e-10
"""Of λ_steady and λ, relative: sums of at most `WIDEST` terms in float64."""


@dataclass(frozen=True)
class Alike:
    """A classifier with its training: `layers`, points x (m, k) with labels y (m,), the query (1, k), and (T,) visits with what
    each keeps, (T, Σ n_l) of 0 and 1."""

    layers: histories.Layers
    x: np.ndarray
    y: np.ndarray
    query: np.ndarray
    visits: np.ndarray
    kept: np.ndarray


def alike(case: dict[str, Any]) -> Alike:
    """Return what a case of kind "symmetric" says, or raise ``ValueError`` with one sentence."""
    k, steps, seed = (int(cases.array(case, name, whole=True)) for name in ("k", "steps", "seed"))
    if not (2 <= k <= WIDEST and 0 <= steps <= MOST_STEPS and 0 <= seed < 2**32):
        raise ValueError(f"a symmetric case must have k from 2 to {WIDEST}, at most {MOST_STEPS} steps and a seed below 2**32")
    second, kinds = cases.array(case, "second", None, 3), cases.array(case, "points", None, 2)
    if len(second) > MOST_SECOND or len(kinds) > MOST_KINDS:
        raise ValueError(f"a symmetric case must have at most {MOST_SECOND} second neurons and {MOST_KINDS} kinds of points")
    bias, query = float(cases.array(case, "bias")), float(cases.array(case, "query"))
    layers: histories.Layers = [
        (None, np.full(k, bias)),
        (np.tile(second[:, :1] / k, (1, k)), second[:, 1].copy()),
        (second[None, :, 2].copy(), np.zeros(1)),
    ]
    x = np.concatenate([a * np.eye(k) + b for a, b in kinds])
    chosen = np.array([choice for choice in product((1.0, 0.0), repeat=len(second)) if any(choice)])
    whole = np.repeat(np.arange(len(kinds)) * k, len(chosen))  # the first of each kind
    visits = np.concatenate([whole, stream(seed, "order").integers(0, len(x), steps)])
    neurons = k + len(second)
    packed = kept_neurons(seed, steps, neurons)
    every = np.concatenate([np.ones((len(whole), k)), np.tile(chosen, (len(kinds), 1))], axis=1)
    kept = np.concatenate([every, np.unpackbits(packed, axis=-1, count=neurons)])
    return Alike(layers, x, (np.arange(len(x)) % 2).astype(float), np.full((1, k), query), visits, kept)


@neutral()
def watched(one: Alike) -> "Steady":
    """Train with Dropout and return what Theorem 3 asks of the steps, as `bthcheck.theory.dropout.watch` does, in NumPy."""
    layers: histories.Layers = [(weight if weight is None else weight.copy(), bias.copy()) for weight, bias in one.layers]
    phis, logits, slopes, patterns = [], [], [], []
    for step in range(len(one.visits) + 1):
        z = histories.forward(layers, one.x)
        whole = histories.output_slope(z[-1], True) * histories.backward(layers, z)[0]
        slopes.append(np.linalg.norm(whole, axis=1))  # W_1 = I
        patterns.append(np.concatenate([part > 0 for part in z[:-1]], axis=1))
        if step == len(one.visits):
            break
        visit = int(one.visits[step])
        at = [part[visit : visit + 1] for part in z]
        deltas = histories.backward(layers, at, one.kept[step : step + 1])
        s = at[-1]
        phis.append(float(np.linalg.norm(histories.output_slope(s, True) * deltas[0])))
        logits.append(float(s[0, 0]))
        slope, _ = histories.loss_slopes(logits[-1], float(one.y[visit]), True)
        h, starts = one.x[visit], np.cumsum([0, *(part.shape[1] for part in at[:-1])])
        for number, (weight, bias) in enumerate(layers):
            move = RATE * slope * deltas[number][0]
            layers[number] = (None if weight is None else weight - np.outer(move, h), bias - move)
            if number < len(layers) - 1:
                h = np.maximum(at[number][0], 0.0) * one.kept[step, starts[number] : starts[number + 1]]
    lowest, highest = np.min(slopes, axis=0), np.max(slopes, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = float(np.where(highest == lowest, 0.0, highest / lowest - 1).max())
    changed = np.any(np.array(patterns) != patterns[0], axis=(0, 2))
    mu = float(histories.logistic(-np.abs(np.array(logits))).min())
    return dropout.Steady(cases.network_of(tuple(layers), "sigmoid"), max(phis), 1.0, mu, gamma, changed)


@neutral()
def steady_bound(one: Alike) -> Comparison:
    """X9: λ at the query ≤ λ_steady, where all conditions of Theorem 3 hold; empty where one does not."""
    import torch

    from bthcheck.geometry import lipschitz, regions

    steady = watched(one)
    x, query = torch.from_numpy(one.x), torch.from_numpy(one.query)
    found = dropout.bound(steady, x)
    patterns = regions.activation_patterns(steady.network, query)
    hidden = histories.forward(one.layers, np.concatenate([one.x, one.query]))[:-1]
    on_edge = min(float(np.abs(z).min()) for z in hidden) < EDGE
    if on_edge or steady.changed.any() or not steady.gamma <= CHANGE or not np.isfinite(found.lipschitz) \
            or not dropout.covered(steady.network, x, patterns).all():  # fmt: skip
        return Comparison(np.empty(0), np.empty(0), np.empty(0))
    value = lipschitz.local_lipschitz(steady.network, query).numpy()
    bound = np.array([found.lipschitz])
    return Comparison(value, bound, ROUNDING * (value + bound))
