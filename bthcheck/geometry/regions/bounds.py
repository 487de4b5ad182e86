"""Theorem 2: what the slopes at training points say of regions without any.

∇f of a fully connected ReLU network is linear in s(x), the Kronecker product of the 0/1 activation vectors of its hidden
layers. If s(x) = Σ k_i s(x_i) over training points x_i, then λ(x) ≤ ξ Σ |k_i| λ(x_i), where ξ is 1, or with a sigmoid output
0.25/(μ(1 − μ)) with μ ≤ f(x_i) ≤ 1 − μ. The smallest such sum is a linear program. Everything is computed in float64.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import in_float64
from bthcheck.geometry.lipschitz import first_weight, gamma
from bthcheck.geometry.pursuit import BasisPursuit
from bthcheck.geometry.regions.patterns import (
    check_size,
    chunks,
    distinct_rows,
    forward,
    hidden_widths,
    kronecker,
    output_slope,
    pattern_gradients,
    points_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from bthcheck.networks import Network


class Status(IntEnum):
    """What Theorem 2 says of a region: it holds a training point; a bound; nothing, as s(x) is not in the span; not known."""

    OCCUPIED = 0
    BOUNDED = 1
    INFEASIBLE = 2
    UNDECIDED = 3


class Bounds(NamedTuple):
    """Theorem 2 for r patterns, (r,) each; NaN where there is no bound.

    status : of `Status`
    bound : ξ Σ |k_i| λ(x_i)
    nonzeros : int, training patterns combined, |k_i| above `bthcheck.geometry.pursuit.NONZERO`
    tolerance : what rounding may add to a comparison of λ with `bound`
    programs : linear programs solved, a number
    """

    status: np.ndarray
    bound: np.ndarray
    nonzeros: np.ndarray
    tolerance: np.ndarray
    programs: int


@neutral()
def pattern_bounds(network: Network, x_train: Tensor, patterns: np.ndarray, slopes: np.ndarray | None = None) -> Bounds:
    """Bound λ in the regions of r activation patterns by Theorem 2.

    Parameters
    ----------
    network : fully connected
    x_train : (m, n) training points
    patterns : (r, bytes) of `activation_patterns`
    slopes : (m,) numbers to take for λ(x_i), such as σ_1 φ of past steps; the local Lipschitz constants if None

    Raises
    ------
    ValueError
        If the network is not fully connected or not finite, there is no training point, shapes do not fit, or s(x) has so
        many entries that S exceeds `MAX_NUMBERS`.
    """
    network, widths = in_float64(network), hidden_widths(network)
    x_train = points_of("x_train", x_train, network)
    patterns = np.asarray(patterns)
    if patterns.dtype != np.uint8 or patterns.ndim != 2 or patterns.shape[1] != -(-sum(widths) // 8):
        raise ValueError(
            f"patterns must be uint8 of shape (r, {-(-sum(widths) // 8)}), as `activation_patterns` returns them,"
            f" got {patterns.dtype} of shape {patterns.shape}"
        )
    packed, logit = forward(network, x_train)
    _, firsts, column = distinct_rows(packed)
    distinct = packed[firsts]
    check_size(len(distinct), widths)
    steep = output_slope(network, logit)
    chain = np.linalg.norm(pattern_gradients(network, distinct, absolute=True), axis=1)
    if slopes is None:
        slopes = steep * np.linalg.norm(pattern_gradients(network, distinct), axis=1)[column]
    slopes = np.asarray(slopes, float)
    if slopes.shape != (len(x_train),):
        raise ValueError(f"slopes must be one number a training point, ({len(x_train)},), got shape {slopes.shape}")
    if not (np.isfinite(slopes) & (slopes >= 0)).all():
        raise ValueError("slopes must be finite numbers of at least 0")
    order = np.lexsort((slopes, column))  # points of one pattern make one column; the flattest of them bounds lowest
    chosen = order[np.unique(column[order], return_index=True)[1]]
    lowest, error = slopes[chosen], steep[chosen] * chain
    with np.errstate(divide="ignore", over="ignore"):
        xi = float(0.25 / steep.min()) if network.sigmoid else 1.0  # the least f(1 − f) is μ(1 − μ)
    if not math.isfinite(xi):  # f is 0 or 1 to all digits at a training point
        unknown = np.full(len(patterns), np.nan)
        return Bounds(np.full(len(patterns), Status.UNDECIDED), unknown, np.zeros(len(patterns), int), unknown, 0)
    unit = gamma([first_weight(network)] + [weight for weight, _ in network.layers()[1:] if weight is not None])
    flattest = 0.25 if network.sigmoid else 1.0

    entries = kronecker(distinct, widths)
    alive = np.flatnonzero(entries.any(axis=1))  # s = 0 where a layer is off: such a column combines to nothing
    pursuit = BasisPursuit(entries[alive].T, lowest[alive])
    known = {row.tobytes(): number for number, row in enumerate(distinct)}
    holder = np.array([known.get(row.tobytes(), -1) for row in patterns], int)
    occupied = holder >= 0

    status = np.where(occupied, Status.OCCUPIED, Status.UNDECIDED)
    bound, tolerance = np.full((2, len(patterns)), np.nan)
    nonzeros = occupied.astype(int)
    bound[occupied] = xi * lowest[holder[occupied]]
    tolerance[occupied] = unit * (flattest * chain + xi * error)[holder[occupied]]
    everything = np.full((1, patterns.shape[1]), 255, np.uint8)  # all neurons on: nothing is steeper
    steepest = float(np.linalg.norm(pattern_gradients(network, everything, absolute=True)))
    for part in chunks(np.flatnonzero(~occupied), math.prod(widths)):
        solutions = pursuit.solve(kronecker(patterns[part], widths).T)
        status[part] = np.choose(solutions.outcome, [Status.BOUNDED, Status.INFEASIBLE, Status.UNDECIDED])
        bound[part] = xi * solutions.value
        nonzeros[part] = solutions.nonzeros
        own = np.linalg.norm(pattern_gradients(network, patterns[part], absolute=True), axis=1)
        combined = error[alive] @ np.abs(solutions.coefficients)
        # ∇f errs by γ times the same products of absolute values, and s − S k by what the solution leaves over.
        tolerance[part] = unit * (flattest * own + xi * combined) + flattest * steepest * solutions.residual
    tolerance += (len(distinct) + 10) * np.finfo(float).eps * bound  # the sum, ξ and the derivatives of the sigmoid
    return Bounds(status, bound, nonzeros, tolerance, pursuit.programs)
