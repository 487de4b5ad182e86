"""Tests over seeds: does a quantity grow along ordered levels, and do two share their order within every seed?"""

import dataclasses
import math
from itertools import combinations
from typing import Any

import numpy as np
import scipy
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.evidence.families import LEVEL
from bthcheck.evidence.findings import CONFIDENCE, Finding, Verdict, plain, table_of

MINIMUM_EFFECT = 0.3
"""Default smallest mean Kendall τ that counts: two levels of one seed are then in the stated order 65 % of the time."""
_RESAMPLES = 9999
_BLOCK = "seed"


@neutral()
def trend(
    values: xr.DataArray,
    along: str,
    *,
    direction: int = 1,
    minimum_effect: float = MINIMUM_EFFECT,
    quantity: str | None = None,
    level: float = LEVEL,
) -> Finding:
    """Test whether `values` grow (`direction` 1) or shrink (−1) along ordered levels, seed by seed.

    Page's trend test (Page, *JASA* 58, 1963), with the exact null distribution unless there are too many blocks, against the
    null hypothesis that within a seed every order of the levels is as likely. The effect is the mean over seeds of Kendall's τ
    between value and level, with a percentile bootstrap interval over seeds. With two levels, the Wilcoxon signed-rank test.

    Parameters
    ----------
    values : one number a level and seed
    along : the dimension of the levels, in order of complexity
    quantity : what the values are, for the report
    level : of the test, in either direction; that of a family, see `bthcheck.evidence.families`

    Raises
    ------
    ValueError
        If `values` has other dimensions than `along` and "seed", or fewer than two levels.
    """
    table = _block_table(values, along)
    return _ordered(
        table,
        direction=direction,
        minimum_effect=minimum_effect,
        quantity=quantity or name_of(values),
        expectation=f"{'increases' if direction > 0 else 'decreases'} with {along}",
        problem=problem_of(values),
        shown=table_of(values, along),
        level=level,
    )


@neutral()
def paired(lower: xr.DataArray, higher: xr.DataArray, **options: Any) -> Finding:
    """Test whether `higher` exceeds `lower` seed by seed, two arrays over "seed": `trend` over two conditions.

    Raises
    ------
    ValueError
        As `trend`.
    """
    conditions = xr.concat([lower, higher], xr.Variable("condition", ["lower", "higher"]), coords="different", compat="equals")
    return trend(conditions, "condition", **options)


@neutral()
def correlation(
    first: xr.DataArray,
    second: xr.DataArray,
    along: str,
    *,
    direction: int = 1,
    minimum_effect: float = MINIMUM_EFFECT,
    quantity: str | None = None,
    level: float = LEVEL,
) -> Finding:
    """Test whether two quantities are in the same order (`direction` 1) over the levels, within every seed.

    `second` is put in the order of `first` within each seed and tested for a trend, which makes Page's L the sum over seeds of
    the products of their ranks: a rank correlation that nothing between seeds can confound.

    Raises
    ------
    ValueError
        As `trend`.
    """
    a, b = _block_table(first, along), _block_table(second, along)
    order = np.argsort(a, axis=1, kind="stable")
    finding = _ordered(
        np.take_along_axis(b, order, axis=1),
        direction=direction,
        minimum_effect=minimum_effect,
        quantity=quantity or f"{name_of(second)} in the order of {name_of(first)}",
        expectation=f"is in the {'same' if direction > 0 else 'opposite'} order within seeds",
        problem=problem_of(first) or problem_of(second),
        shown=None,
        level=level,
    )
    columns = [f"{name_of(array)} at {level:g}" for array in (first, second) for level in values_of(array, along)]
    values = np.concatenate([a, b], axis=1)
    return dataclasses.replace(finding, table={"columns": columns, "rows": _rows(first), "values": plain(values)})


@neutral()
def mean_tau(table: np.ndarray) -> np.ndarray:
    """Return Kendall's τ_a between the entries of each row and their position, shape (rows,); ties count as 0."""
    pairs = list(combinations(range(table.shape[1]), 2))
    return np.mean([np.sign(table[:, j] - table[:, i]) for i, j in pairs], axis=0)


@neutral()
def permuted(values: xr.DataArray, along: str, generator: np.random.Generator) -> xr.DataArray:
    """Return `values` with the levels of every seed in a random order: a placebo, on which no trend is real."""
    table = generator.permuted(_block_table(values, along), axis=1)
    return values.transpose(_BLOCK, along).copy(data=table)


def values_of(array: xr.DataArray, along: str) -> list[Any]:
    """Return the levels of an array as plain Python values."""
    return array[along].values.tolist()


def _ordered(
    table: np.ndarray,
    *,
    direction: int,
    minimum_effect: float,
    quantity: str,
    expectation: str,
    problem: str | None,
    shown: dict[str, Any] | None,
    level: float,
) -> Finding:
    """Test rows of `table` for being in increasing (1) or decreasing (−1) order."""
    blocks, levels = table.shape
    test = "Page's trend test" if levels > 2 else "Wilcoxon signed-rank test"
    if problem is None and not np.isfinite(table).all():
        problem = f"{int((~np.isfinite(table)).sum())} of {table.size} values are not finite"
    if problem is None and blocks < 2:
        problem = f"a test needs at least 2 seeds, got {blocks}"
    if problem:
        return Finding(
            quantity, test, Verdict.INCONCLUSIVE, problem, minimum_effect=minimum_effect, level=level, blocks=blocks,
            table=shown, expectation=expectation,
        )  # fmt: skip
    ordered = table * direction
    statistic, p, detail = _p_value(ordered)
    _, opposite, _ = _p_value(-ordered)
    taus = mean_tau(ordered)
    effect = float(taus.mean())
    if p <= level and effect >= minimum_effect:
        verdict, word = Verdict.SUPPORTED, expectation
    elif opposite <= level:
        verdict, word = Verdict.REFUTED, f"is significantly against: not “{expectation}”"
    elif p <= level:
        verdict, word = Verdict.INCONCLUSIVE, f"{expectation}, but by less than the stated minimum effect"
    else:
        verdict, word = Verdict.INCONCLUSIVE, "shows no significant order"
    smallest = math.factorial(levels) ** -blocks if levels > 2 else 2.0**-blocks
    if smallest > level:
        word += f": {blocks} seeds are too few for any p below {smallest:.2g}"
    return Finding(
        quantity=quantity,
        test=f"{test}, {detail}",
        verdict=verdict,
        reason=f"{quantity} {word} (p = {p:.2g} at level {level:g}, mean τ = {effect:.2f})",
        statistic=statistic,
        p=p,
        p_opposite=opposite,
        effect_name="mean within-seed Kendall τ",
        effect=effect,
        interval=bootstrap_mean(taus),
        minimum_effect=minimum_effect,
        level=level,
        blocks=blocks,
        table=shown,
        expectation=expectation,
    )


def _p_value(table: np.ndarray) -> tuple[tuple[str, float], float, str]:
    """One-sided test that rows increase: (statistic, p, how p was computed)."""
    blocks, levels = table.shape
    if levels == 2:
        difference = table[:, 1] - table[:, 0]
        if not difference.any():
            return ("W", 0.0), 1.0, "all pairs tied"
        method = "exact" if blocks <= 50 and difference.all() else "approx"
        result = scipy.stats.wilcoxon(difference, alternative="greater", method=method)
        return ("W", float(result.statistic)), float(result.pvalue), method
    # Beyond these sizes the exact distribution takes seconds and the normal one is as good.
    method = "exact" if levels <= 6 and blocks <= 30 else "asymptotic"
    result = scipy.stats.page_trend_test(table, method=method)
    return ("Page's L", float(result.statistic)), float(result.pvalue), method


@neutral()
def bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean over seeds, (seeds,), by resampling the seeds."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _block_table(values: xr.DataArray, along: str) -> np.ndarray:
    """Return `values` as a (seeds, levels) array."""
    if set(values.dims) != {_BLOCK, along}:
        raise ValueError(
            f"a test along {along!r} needs one number a seed and level, dimensions ({_BLOCK!r}, {along!r});"
            f" got {tuple(values.dims)}"
        )
    if values.sizes[along] < 2:
        raise ValueError(f"a test needs at least 2 levels, got {values.sizes[along]}")
    return np.asarray(values.transpose(_BLOCK, along).values, dtype=float)


@neutral()
def problem_of(values: xr.DataArray) -> str | None:
    """Return why the values cannot be tested: the runs that diverged, if any."""
    if "diverged" not in values.coords or not values.coords["diverged"].any():
        return None
    diverged = values.coords["diverged"].stack(run=values.coords["diverged"].dims)
    runs = [
        ", ".join(f"{dim}={value}" for dim, value in zip(values.coords["diverged"].dims, run, strict=True))
        for run in diverged.run.values[diverged.values]
    ]
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return f"{len(runs)} run(s) diverged: {'; '.join(runs[:3])}{more}"


@neutral()
def name_of(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name") or values.name or "value")


def _rows(values: xr.DataArray) -> list[Any]:
    return values[_BLOCK].values.tolist()
