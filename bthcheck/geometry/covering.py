"""Covering numbers N(X; ℓ_2, r): how few balls of radius r cover a set, bounded from both sides."""

import math
from typing import NamedTuple

import numpy as np
import scipy

from bthcheck.ambient import neutral
from bthcheck.checks import positive, positive_int

_ROUNDING = 1e-9
"""What rounding may add to a volume; rounding up must not make a lower bound larger than it is."""


class Covering(NamedTuple):
    """lower ≤ N(X; ℓ_2, r) ≤ upper; infinite at r = 0 unless the set is finite."""

    lower: float
    upper: float


@neutral()
def cover_box(sides: tuple[float, ...], radius: float) -> Covering:
    """Bound the covering number of a k-dimensional box with these sides, embedded isometrically in any dimension.

    From below by volume: a ball meets the box's space in a ball of the same radius at most. From above by the cubes that fit
    into a ball.

    Raises
    ------
    ValueError
        If a side is not positive or the radius is negative.
    """
    sides = tuple(positive("each side", float(side)) for side in sides)
    radius = _radius(radius)
    k = len(sides)
    if radius == 0:
        return Covering(math.inf, math.inf)
    with np.errstate(over="ignore"):
        volume = float(np.exp(sum(map(math.log, sides)) - _log_ball(k) - k * math.log(radius)))
    cubes = math.prod(_ceil(side * math.sqrt(k) / (2 * radius)) for side in sides)
    return Covering(_ceil(volume * (1 - _ROUNDING)), cubes)


@neutral()
def cover_separate_balls(count: int, size: float, gap: float, dimension: int, radius: float) -> Covering:
    """Bound the covering number of `count` balls of radius `size`, in `dimension` dimensions, whose centres are `gap` apart.

    Raises
    ------
    ValueError
        If the balls overlap, a number is not positive or the radius is negative.
    """
    count, dimension = positive_int("count", count), positive_int("dimension", dimension)
    size, gap, radius = positive("size", float(size)), positive("gap", float(gap)), _radius(radius)
    if 2 * size > gap:
        raise ValueError(f"balls of radius {size:g} whose centres are {gap:g} apart overlap")
    if radius == 0:
        return Covering(math.inf, math.inf)
    with np.errstate(over="ignore"):
        each = max(1.0, float(np.exp(dimension * (math.log(size) - math.log(radius)))))  # by volume
    whole = 1 if radius >= size else cover_box((2 * size,) * dimension, radius).upper
    separate = 2 * radius < gap - 2 * size  # no ball of this radius meets two
    least = _ceil(each * (1 - _ROUNDING))
    return Covering(count * least if separate else least, count * whole)


@neutral()
def cover_points(points: np.ndarray, radius: float) -> Covering:
    """Bound the covering number of m points (m, n) by visiting, again and again, the point farthest from those visited.

    While that distance exceeds 2r no ball holds two of the visited: their number bounds the covering number of any set that
    contains the points from below. Once it is at most r they are centres that cover the points.

    Raises
    ------
    ValueError
        If there is no point, one is not finite, or the radius is negative.
    """
    points, radius = np.asarray(points, float), _radius(radius)
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError("points must be a table (m, n) of finite numbers with at least one row")
    distance = np.linalg.norm(points - points[0], axis=1)
    lower = upper = 1
    while distance.max() > radius:
        farthest = int(distance.argmax())
        if distance[farthest] > 2 * radius:
            lower += 1
        upper += 1
        distance = np.minimum(distance, np.linalg.norm(points - points[farthest], axis=1))
    return Covering(lower, upper)


def _radius(radius: float) -> float:
    if not radius >= 0:
        raise ValueError(f"radius must be a number of at least 0, got {radius!r}")
    return float(radius)


def _log_ball(k: int) -> float:
    """Logarithm of the volume of the unit ball in k dimensions."""
    return k / 2 * math.log(math.pi) - float(scipy.special.gammaln(k / 2 + 1))


def _ceil(value: float) -> float:
    """Round up to a whole number, at least 1; beyond what a float counts in ones, leave it."""
    return value if value > 2**52 else float(max(1, math.ceil(value)))
