"""What one comparison says: whether it is violated, by how much, and how close both sides came."""

import math
from dataclasses import dataclass

import numpy as np

from bthcheck.evidence.search import Comparison

SMALLEST, LARGEST = 1e-140, 1e140
"""Numbers whose squares are beyond float64 are no measurements: entries with one, other than 0, do not count."""
EXACT = 1e-6
"""A ratio counts as measured where rounding can change it by no more than this."""


@dataclass(frozen=True)
class Judged:
    """What a comparison says.

    margin : the largest (smaller − larger)/(smaller + larger), which a search steers up; above 0 on the side of a violation
    violated : whether the excess is beyond rounding in some entry
    smaller, larger, tolerance : of the worst entry
    informative : the share of entries whose smaller side is above 0, so that something is said
    ratio : the smallest larger/smaller among entries in which rounding changes it little; infinite if there is none
    at : smaller and larger of that
    """

    margin: float
    violated: bool
    smaller: float
    larger: float
    tolerance: float
    informative: float
    ratio: float
    at: tuple[float, float]


def judged(comparison: Comparison) -> Judged | None:
    """Return what a comparison says, or None if no entry counts: none is there, or none is finite and within range."""
    sides = np.broadcast_arrays(*(np.asarray(part, float) for part in comparison))
    smaller, larger, tolerance = (side.ravel() for side in sides)
    with np.errstate(all="ignore"):
        usable = np.isfinite(smaller) & np.isfinite(larger) & np.isfinite(tolerance)
        for side in (smaller, larger):
            size = np.abs(side)
            usable &= (size == 0) | ((size >= SMALLEST) & (size <= LARGEST))
        if not usable.any():
            return None
        smaller, larger, tolerance = smaller[usable], larger[usable], tolerance[usable]
        excess = smaller - larger
        scale = np.abs(smaller) + np.abs(larger)
        margin = np.where(scale > 0, excess / np.where(scale > 0, scale, 1.0), -1.0)
        beyond = excess > tolerance
        worst = int(np.argmax(np.where(beyond, 2.0 + margin, margin)))
        exact = (smaller > 0) & (tolerance <= EXACT * smaller)
        ratio = np.where(exact, larger / np.where(exact, smaller, 1.0), math.inf)
    closest = int(np.argmin(ratio))
    return Judged(
        margin=float(margin.max()),
        violated=bool(beyond.any()),
        smaller=float(smaller[worst]),
        larger=float(larger[worst]),
        tolerance=float(tolerance[worst]),
        informative=float(np.mean(smaller > 0)),
        ratio=float(ratio[closest]),
        at=(float(smaller[closest]), float(larger[closest])),
    )
