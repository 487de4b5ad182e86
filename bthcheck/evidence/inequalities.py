"""Exact tests: an inequality or an equality in every case, up to rounding, or an example that breaks it."""

import math

import numpy as np
from numpy.typing import ArrayLike

from bthcheck.ambient import neutral
from bthcheck.evidence.findings import Finding, Verdict, spread_of


@neutral()
def inequality(
    smaller: ArrayLike,
    larger: ArrayLike,
    tolerance: ArrayLike,
    *,
    quantity: str,
    trivial: ArrayLike | None = None,
) -> Finding:
    """Test that `smaller` ≤ `larger` in every case, up to a rounding `tolerance`.

    Parameters
    ----------
    smaller, larger, tolerance : arrays that broadcast together, one entry a case
    trivial : what is true of anything; where `larger` is at least this in every case the bound is vacuous

    Raises
    ------
    ValueError
        If there is no case.
    """
    left, right, slack = np.broadcast_arrays(*(np.asarray(array, float) for array in (smaller, larger, tolerance)))
    if left.size == 0:
        raise ValueError(f"no case of {quantity} was measured")
    excess = left - right
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(left > 0, right / left, np.nan)
    looseness = float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else math.nan
    if not np.isfinite(excess).all():
        verdict, reason = Verdict.INCONCLUSIVE, f"{int((~np.isfinite(excess)).sum())} of {left.size} cases are not finite"
    elif (excess > slack).any():
        worst = int(np.argmax((excess - slack).ravel()))
        verdict = Verdict.REFUTED
        reason = (
            f"violated in {int((excess > slack).sum())} of {left.size} cases, at worst"
            f" {left.ravel()[worst]:.6g} > {right.ravel()[worst]:.6g}"
        )
    elif trivial is not None and (right >= np.asarray(trivial, float)).all():
        verdict, reason = Verdict.VACUOUS, "the bound exceeds what is true of anything in every case"
    else:
        verdict, reason = Verdict.SUPPORTED, f"not violated in any of {left.size} cases"
    within = int(((excess > 0) & (excess <= slack)).sum())
    return Finding(
        quantity=quantity,
        test="exact inequality",
        verdict=verdict,
        reason=f"{reason}; {within} needed the rounding tolerance, its median {np.median(slack):.1e}",
        statistic=("worst margin", float(np.max(excess, initial=-np.inf))),
        effect_name="median bound / value",
        effect=looseness,
        cases=int(left.size),
        spread=spread_of(ratio),
    )


@neutral()
def equality(estimate: ArrayLike, definition: ArrayLike, tolerance: float, *, quantity: str) -> Finding:
    """Test that an estimate is what it estimates in every case, up to a relative `tolerance` for rounding.

    Parameters
    ----------
    estimate, definition : arrays that broadcast together, one entry a case; the definition's are finite and above 0

    Raises
    ------
    ValueError
        If there is no case or a definition is not above 0.
    """
    left, right = np.broadcast_arrays(np.asarray(estimate, float), np.asarray(definition, float))
    if left.size == 0:
        raise ValueError(f"no case of {quantity} was measured")
    if not (np.isfinite(right) & (right > 0)).all():
        raise ValueError(f"{quantity} must be defined by finite numbers above 0")
    ratio = left / right
    finite = ratio[np.isfinite(ratio)]
    differs = ~(np.abs(ratio - 1) <= tolerance)
    infinite = f", and not finite in {ratio.size - finite.size}" if finite.size < ratio.size else ""
    span = f"{finite.min():.6g} to {finite.max():.6g} times the definition" if finite.size else "never finite"
    return Finding(
        quantity=quantity,
        test="exact equality",
        verdict=Verdict.REFUTED if differs.any() else Verdict.SUPPORTED,
        reason=f"{quantity} differs in {int(differs.sum())} of {ratio.size} cases: {span}{infinite}",
        effect_name="median estimate / definition",
        effect=float(np.median(finite)) if finite.size else math.nan,
        cases=int(ratio.size),
        expectation=f"is the definition to a relative {tolerance:g}",
        spread=spread_of(ratio),
    )


def counterexample(found: bool, *, quantity: str, example: str) -> Finding:
    """State that an inequality fails outside its scope, shown by an example."""
    return Finding(
        quantity=quantity,
        test="counterexample",
        verdict=Verdict.SUPPORTED if found else Verdict.INCONCLUSIVE,
        reason=f"violated by {example}" if found else "no counterexample was found",
        cases=1,
    )
