"""Trainings of generated networks on generated data, a step at a time in NumPy, apart from every engine.

Plain SGD at batch size 1 in float64. Gradients are products of masked matrices, so that what the chains of the corollaries are
tried on shares no code with what trains experiments; a test compares both.
"""

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.evidence.attacks.cases import History
from bthcheck.evidence.search import Comparison
from bthcheck.theory.trajectory import distance_chain, first_singular_values, variance_chain

LARGEST = 1e60
"""A training is looked at up to the step at which one of its numbers exceeds this: squares must fit into float64."""
UNIT = float(np.finfo(float).eps) / 2
Layers = list[tuple[np.ndarray | None, np.ndarray]]


def forward(layers: Layers, x: np.ndarray) -> list[np.ndarray]:
    """Return the pre-activations z_l of every layer at points x (m, n), (m, n_l) each."""
    found, h = [], x
    for weight, bias in layers:
        z = (h if weight is None else h @ weight.T) + bias
        found.append(z)
        h = np.maximum(z, 0.0)
    return found


def backward(layers: Layers, z: list[np.ndarray], kept: np.ndarray | None = None) -> list[np.ndarray]:
    """Return ∂s/∂z_l of the last pre-activation s for every layer, (m, n_l) each.

    Parameters
    ----------
    kept : (m, Σ n_l) of 0 and 1: hidden neurons that Dropout drops pass nothing back
    """
    masks = [(part > 0).astype(float) for part in z[:-1]]
    if kept is not None:
        ends = np.cumsum([part.shape[1] for part in masks])
        masks = [mask * part for mask, part in zip(masks, np.split(kept, ends[:-1], axis=1), strict=True)]
    found = [np.ones_like(z[-1])]
    for (weight, _), mask in zip(reversed(layers[1:]), reversed(masks), strict=True):
        assert weight is not None
        found.append((found[-1] @ weight) * mask)
    return found[::-1]


def logistic(s: np.ndarray) -> np.ndarray:
    """Return σ(s), which is accurate for s of either sign."""
    return np.exp(-np.logaddexp(0.0, -s))


def output_slope(s: np.ndarray, sigmoid: bool) -> np.ndarray:
    """Return ∂f/∂s."""
    return logistic(s) * logistic(-s) if sigmoid else np.ones_like(s)


def loss_slopes(s: float, y: float, sigmoid: bool) -> tuple[float, float]:
    """Return ∂ℓ/∂s and ε = |∂ℓ/∂f| of the squared loss or the cross-entropy at one point."""
    if not sigmoid:
        return s - y, abs(s - y)
    right = 2 * y - 1
    wrong = float(logistic(np.array(-right * s)))  # 1 − the probability of the label
    return -right * wrong, float(np.exp(np.logaddexp(0.0, -right * s)))


@neutral()
def traced(history: History) -> xr.Dataset:
    """Train and return every step before its update, as `bthcheck.trace` does, with W_1 after every step too.

    Fewer steps are returned where numbers grow beyond `LARGEST`; there may be none.
    """
    layers: Layers = [(weight if weight is None else weight.copy(), bias.copy()) for weight, bias in history.layers]
    columns: dict[str, list[np.ndarray | float]] = {
        name: [] for name in ("phi", "lipschitz", "epsilon", "learning_rate", "gradient_norm", "point_lipschitz")
    }
    biases, firsts = [layers[0][1].copy()], [_first(layers)]
    with np.errstate(all="ignore"):
        for visit, rate in zip(history.visits.tolist(), history.rates.tolist(), strict=True):
            z = forward(layers, history.x)
            deltas = backward(layers, z)
            gradient = output_slope(z[-1], history.sigmoid) * deltas[0]
            norms = np.linalg.norm(gradient, axis=1)
            steep = np.linalg.norm(gradient @ firsts[-1], axis=1)
            slope, epsilon = loss_slopes(float(z[-1][visit, 0]), float(history.y[visit]), history.sigmoid)
            h = history.x[visit]
            updated: Layers = []
            for number, (weight, bias) in enumerate(layers):
                move = rate * slope * deltas[number][visit]
                updated.append((None if weight is None else weight - np.outer(move, h), bias - move))
                h = np.maximum(z[number][visit], 0.0)
            row = {"phi": norms[visit], "lipschitz": steep[visit], "epsilon": epsilon, "learning_rate": rate,
                   "gradient_norm": norms, "point_lipschitz": steep}  # fmt: skip
            if not all(_small(value) for value in row.values()) or not all(_small(p) for one in updated for p in one):
                break
            layers = updated
            for name, value in row.items():
                columns[name].append(value)
            biases.append(layers[0][1].copy())
            firsts.append(_first(layers))
    steps = len(columns["phi"])
    m = len(history.x)
    per_point = ("gradient_norm", "point_lipschitz")
    shaped = {
        name: (("step", "point"), np.array(values).reshape(steps, m))
        if name in per_point
        else (("step",), np.array(values, float))
        for name, values in columns.items()
    }
    return xr.Dataset({
        **shaped,
        "bias": (("step_after", "neuron"), np.array(biases)),
        "first_weight": (("step", "neuron", "input"), np.array(firsts[:-1]).reshape(steps, *firsts[0].shape)),
        "first_weight_after": (("step", "neuron", "input"), np.array(firsts[1:]).reshape(steps, *firsts[0].shape)),
    })  # fmt: skip


@neutral()
def corollary_2(history: History) -> Comparison:
    """X5: Σ‖Δb₁‖²/4m ≤ variance and Σ(αελ/σ₁)² ≤ Σ‖Δb₁‖² over windows of 2, of half and of all biases."""
    trace = traced(history)
    steps = trace.sizes["step"]
    parts = []
    with np.errstate(all="ignore"):
        for biases in sorted({2, steps // 2 + 1, steps + 1} - {1}) if steps else []:
            (lower, middle, variance), tolerance = variance_chain(trace, biases)
            parts.append((middle, variance, tolerance))
            # σ₁ and λ are of the same W_1: each errs by γ of it.
            parts.append((lower, middle, tolerance + 4 * _gamma(history) * middle))
    return _joined(parts)


@neutral()
def corollary_3(history: History) -> Comparison:
    """X6: distance ≤ Σαε‖g‖ and, if n_1 ≤ n, that ≤ Σαελ/σ_min."""
    trace = traced(history)
    if not trace.sizes["step"]:
        return _joined([])
    with np.errstate(all="ignore"):
        (distance, path, upper), tolerance = distance_chain(trace)
        parts = [(distance, path, tolerance)]
        weight = trace.first_weight.values
        if weight.shape[1] <= weight.shape[2]:
            sigma = np.linalg.svd(weight, compute_uv=False)
            scale = trace.learning_rate.values * trace.epsilon.values * trace.phi.values
            # The smallest singular value errs by γ times the Frobenius norm, which an ill-conditioned W_1 makes much of it.
            condition = np.linalg.norm(weight, axis=(1, 2)) / sigma[:, -1]
            parts.append((path, upper, tolerance + 4 * _gamma(history) * np.cumsum(scale * condition)))
    return _joined(parts)


@neutral()
def corollary_1(history: History) -> Comparison:
    """X4: λ_t(x) ≤ σ₁ max‖g‖ at all points and steps."""
    from bthcheck.evidence.measures import largest_gradient

    trace = traced(history)
    if not trace.sizes["step"]:
        return _joined([])
    sigma, _ = first_singular_values(trace)
    return largest_gradient(sigma, trace.point_lipschitz.values, float(trace.gradient_norm.max()))


@neutral()
def weight_moves(history: History) -> Comparison:
    """E5-weight: ‖ΔW₁‖ = α ε φ ‖x‖, in both directions."""
    trace = traced(history)
    if not trace.sizes["step"] or history.layers[0][0] is None:
        return _joined([])
    before, after = trace.first_weight.values, trace.first_weight_after.values
    moved = np.linalg.norm(after - before, axis=(1, 2))
    x = np.linalg.norm(history.x, axis=1)[history.visits[: len(moved)]]
    said = (trace.learning_rate * trace.epsilon * trace.phi).values * x
    rounding = 4 * np.finfo(float).eps * np.linalg.norm(before, axis=(1, 2)) + 200 * np.finfo(float).eps * said
    return _joined([(moved, said, rounding), (said, moved, rounding)])


@neutral()
def tree_of_path(points: np.ndarray) -> Comparison:
    """E10: the minimum spanning tree of the points of a path is no longer than the path."""
    from bthcheck.theory.topology import path_length, spanning_tree_length

    path = path_length(points)
    return Comparison(*(np.array([value]) for value in (spanning_tree_length(points), path, 1e-12 * path)))


def _first(layers: Layers) -> np.ndarray:
    weight, bias = layers[0]
    return np.eye(len(bias)) if weight is None else weight.copy()


def _small(value: np.ndarray | float | None) -> bool:
    return value is None or bool((np.abs(value) <= LARGEST).all())  # NaN is not


def _gamma(history: History) -> float:
    """γ_k for a product with W_1, a singular value and a norm of it."""
    weight, bias = history.layers[0]
    additions = 2 * (len(bias) + (len(bias) if weight is None else weight.shape[1])) + 10
    return additions * UNIT * max(1.0, float(np.sqrt(len(bias))))


def _joined(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Comparison:
    """Return several comparisons as one; without any, an empty one."""
    if not parts:
        return Comparison(np.empty(0), np.empty(0), np.empty(0))
    return Comparison(*(np.concatenate([np.ravel(part[i]) for part in parts]) for i in range(3)))
