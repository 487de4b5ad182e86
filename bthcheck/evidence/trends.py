"""Statistical and exact tests of claims, and the verdicts they give.

Every test is a pure function from arrays to a `Finding`. Verdicts:

supported     significant in the stated direction, with an effect of at least the stated minimum; or an inequality without a
              single violation beyond rounding
refuted       significant in the opposite direction, or an inequality violated
inconclusive  neither; or the data are not there, as after a diverged run
vacuous       a bound that holds and says nothing, because it exceeds what is true of anything

Failing to reject is never support.
"""

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from bthcheck.report.records import CONDITION

FAMILY_ERROR = 0.05
FAMILY_SIZE = 20
"""Statistical claims the project may ever register; the plugin refuses to collect more."""
LEVEL = FAMILY_ERROR / (2 * FAMILY_SIZE)
"""Level of each one-sided test, and of refuting a claim. By Bonferroni, all claims in both directions together err with
probability ≤ 5 %."""
MINIMUM_EFFECT = 0.3
"""Default smallest mean Kendall τ that counts: two levels of one seed are then in the stated order 65 % of the time."""
CONFIDENCE = 0.95
_RESAMPLES = 9999
_BLOCK = "seed"


class Verdict(StrEnum):
    """What a test says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    VACUOUS = "vacuous"


WORST_FIRST = (Verdict.REFUTED, Verdict.INCONCLUSIVE, Verdict.VACUOUS, Verdict.SUPPORTED)


@dataclass(frozen=True)
class Finding:
    """One test: what was measured and what came out. Numbers that do not apply are None.

    quantity : what was measured
    test : name of the test
    verdict, reason : what it says and why, in one sentence
    statistic : name and value of the test statistic
    p, p_opposite : one-sided p-values in the stated and in the opposite direction
    effect_name, effect, interval : effect size with its 95 % interval
    minimum_effect : smallest effect that counts as support
    level : significance level
    blocks : number of seeds
    cases : number of comparisons of an exact test
    table : the numbers the test was computed from: {"columns": […], "rows": […], "values": [[…]]}
    """

    quantity: str
    test: str
    verdict: Verdict
    reason: str
    statistic: tuple[str, float] | None = None
    p: float | None = None
    p_opposite: float | None = None
    effect_name: str | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    minimum_effect: float | None = None
    level: float | None = None
    blocks: int | None = None
    cases: int | None = None
    table: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values that JSON can hold; numbers that are not finite become None."""
        return plain(dataclasses.asdict(self))


def overall(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on a claim that makes several statements: the worst of theirs."""
    return min(verdicts, key=WORST_FIRST.index)


def trend(
    values: xr.DataArray,
    along: str,
    *,
    direction: int = 1,
    minimum_effect: float = MINIMUM_EFFECT,
    quantity: str | None = None,
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

    Raises
    ------
    ValueError
        If `values` has other dimensions than `along` and "seed", or fewer than two levels or seeds.
    """
    table = _block_table(values, along)
    return _ordered(
        table,
        direction=direction,
        minimum_effect=minimum_effect,
        quantity=quantity or _name(values),
        expectation=f"{'increases' if direction > 0 else 'decreases'} with {along}",
        problem=_problem(values),
        shown=_table(values, along),
    )


def paired(lower: xr.DataArray, higher: xr.DataArray, **options: Any) -> Finding:
    """Test whether `higher` exceeds `lower` seed by seed, two arrays over "seed": `trend` over two conditions.

    Raises
    ------
    ValueError
        As `trend`.
    """
    conditions = xr.concat([lower, higher], xr.Variable("condition", ["lower", "higher"]), coords="different", compat="equals")
    return trend(conditions, "condition", **options)


def correlation(
    first: xr.DataArray,
    second: xr.DataArray,
    along: str,
    *,
    direction: int = 1,
    minimum_effect: float = MINIMUM_EFFECT,
    quantity: str | None = None,
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
        quantity=quantity or f"{_name(second)} in the order of {_name(first)}",
        expectation=f"is in the {'same' if direction > 0 else 'opposite'} order within seeds",
        problem=_problem(first) or _problem(second),
        shown=None,
    )
    columns = [f"{_name(array)} at {level:g}" for array in (first, second) for level in values_of(array, along)]
    values = np.concatenate([a, b], axis=1)
    return dataclasses.replace(finding, table={"columns": columns, "rows": _rows(first), "values": plain(values)})


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
    )


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
    )


def fitted(loss: xr.DataArray, threshold: float, *, quantity: str, epochs: int = 1) -> Finding:
    """State the condition that every run has a training loss below `threshold` in its last epochs; unmet, it decides nothing.

    Parameters
    ----------
    loss : (level, "seed", "epoch")
    epochs : how many at the end count, of which the largest loss must be below: those of a claim's window
    """
    final = loss.isel(epoch=slice(-epochs, None)).max("epoch", skipna=False)
    when = "after the last epoch" if epochs == 1 else f"in each of the last {epochs} epochs"
    fit = (final < threshold).values  # NaN is not
    worst = final.fillna(np.inf).argmax(...)
    largest = final.isel(worst)
    where = ", ".join(f"{dim} {largest[dim].item()}" for dim in final.dims)
    return Finding(
        quantity=quantity,
        test=CONDITION,
        verdict=Verdict.SUPPORTED if fit.all() else Verdict.INCONCLUSIVE,
        reason=(
            f"{int(fit.sum())} of {fit.size} runs have a training loss below {threshold:.3g} {when};"
            f" the largest is {float(largest):.3g} ({where})"
        ),
        statistic=("largest loss", float(largest)),
        cases=int(fit.size),
    )


def rate(violations: int, cases: int, limit: float, *, quantity: str) -> Finding:
    """Test that the probability of a violation is at most `limit`, by the exact binomial test over independent cases."""
    below = stats.binomtest(violations, cases, limit, alternative="less").pvalue
    above = stats.binomtest(violations, cases, limit, alternative="greater").pvalue
    interval = stats.binomtest(violations, cases, limit).proportion_ci(CONFIDENCE)
    verdict = Verdict.SUPPORTED if below <= LEVEL else Verdict.REFUTED if above <= LEVEL else Verdict.INCONCLUSIVE
    return Finding(
        quantity=quantity,
        test="exact binomial test",
        verdict=verdict,
        reason=f"violated in {violations} of {cases} independent cases, where {limit:.2g} is allowed",
        statistic=("violations", float(violations)),
        p=float(below),
        p_opposite=float(above),
        effect_name="violation rate",
        effect=violations / cases,
        interval=(float(interval.low), float(interval.high)),
        level=LEVEL,
        cases=cases,
    )


def dispersion(scores: ArrayLike, *, quantity: str, calibrated: bool = True, low: float = 0.8, high: float = 1.25) -> Finding:
    """Test the standard deviation of independent, standardised, nearly normal scores, by χ² tests.

    `calibrated` states that it lies within (low, high), shown by two one-sided tests; otherwise that it is below `low`, which
    is what over-concentration means.
    """
    z = np.asarray(scores, float)
    squares, freedom = float(((z - z.mean()) ** 2).sum()), len(z) - 1

    def below(bound: float) -> float:
        return float(stats.chi2.cdf(squares / bound**2, freedom))  # p of "the deviation is below bound"

    def above(bound: float) -> float:
        return float(stats.chi2.sf(squares / bound**2, freedom))

    inside, outside = max(above(low), below(high)), min(1.0, 2 * min(below(low), above(high)))
    p, opposite = (inside, outside) if calibrated else (below(low), above(low))
    verdict = Verdict.SUPPORTED if p <= LEVEL else Verdict.REFUTED if opposite <= LEVEL else Verdict.INCONCLUSIVE
    tail = (1 - CONFIDENCE) / 2
    interval = tuple(math.sqrt(squares / stats.chi2.ppf(q, freedom)) for q in (1 - tail, tail))
    deviation = math.sqrt(squares / freedom)
    expectation = f"between {low:g} and {high:g}" if calibrated else f"below {low:g}"
    return Finding(
        quantity=quantity,
        test="χ² test of a standard deviation",
        verdict=verdict,
        reason=f"standard deviation {deviation:.3g} of {len(z)} standardised deviations, expected {expectation}",
        statistic=("χ²", squares),
        p=p,
        p_opposite=opposite,
        effect_name="standard deviation",
        effect=deviation,
        interval=(interval[0], interval[1]),
        level=LEVEL,
        cases=len(z),
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


def mean_tau(table: np.ndarray) -> np.ndarray:
    """Return Kendall's τ_a between the entries of each row and their position, shape (rows,); ties count as 0."""
    pairs = list(combinations(range(table.shape[1]), 2))
    return np.mean([np.sign(table[:, j] - table[:, i]) for i, j in pairs], axis=0)


def permuted(values: xr.DataArray, along: str, generator: np.random.Generator) -> xr.DataArray:
    """Return `values` with the levels of every seed in a random order: a placebo, on which no trend is real."""
    table = generator.permuted(_block_table(values, along), axis=1)
    return values.transpose(_BLOCK, along).copy(data=table)


def values_of(array: xr.DataArray, along: str) -> list[Any]:
    """Return the levels of an array as plain Python values."""
    return array[along].values.tolist()


def plain(value: Any) -> Any:
    """Return `value` in plain Python types, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Verdict):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _ordered(
    table: np.ndarray,
    *,
    direction: int,
    minimum_effect: float,
    quantity: str,
    expectation: str,
    problem: str | None,
    shown: dict[str, Any] | None,
) -> Finding:
    """Test rows of `table` for being in increasing (1) or decreasing (−1) order."""
    blocks, levels = table.shape
    test = "Page's trend test" if levels > 2 else "Wilcoxon signed-rank test"
    if problem is None and not np.isfinite(table).all():
        problem = f"{int((~np.isfinite(table)).sum())} of {table.size} values are not finite"
    if problem:
        return Finding(quantity, test, Verdict.INCONCLUSIVE, problem, level=LEVEL, blocks=blocks, table=shown)
    ordered = table * direction
    statistic, p, detail = _p_value(ordered)
    _, opposite, _ = _p_value(-ordered)
    taus = mean_tau(ordered)
    effect = float(taus.mean())
    if p <= LEVEL and effect >= minimum_effect:
        verdict, word = Verdict.SUPPORTED, expectation
    elif opposite <= LEVEL:
        verdict, word = Verdict.REFUTED, f"is significantly against: not “{expectation}”"
    elif p <= LEVEL:
        verdict, word = Verdict.INCONCLUSIVE, f"{expectation}, but by less than the stated minimum effect"
    else:
        verdict, word = Verdict.INCONCLUSIVE, "shows no significant order"
    smallest = math.factorial(levels) ** -blocks if levels > 2 else 2.0**-blocks
    if smallest > LEVEL:
        word += f": {blocks} seeds are too few for any p below {smallest:.2g}"
    return Finding(
        quantity=quantity,
        test=f"{test}, {detail}",
        verdict=verdict,
        reason=f"{quantity} {word} (p = {p:.2g} at level {LEVEL:g}, mean τ = {effect:.2f})",
        statistic=statistic,
        p=p,
        p_opposite=opposite,
        effect_name="mean within-seed Kendall τ",
        effect=effect,
        interval=_bootstrap_mean(taus),
        minimum_effect=minimum_effect,
        level=LEVEL,
        blocks=blocks,
        table=shown,
    )


def _p_value(table: np.ndarray) -> tuple[tuple[str, float], float, str]:
    """One-sided test that rows increase: (statistic, p, how p was computed)."""
    blocks, levels = table.shape
    if levels == 2:
        difference = table[:, 1] - table[:, 0]
        if not difference.any():
            return ("W", 0.0), 1.0, "all pairs tied"
        method = "exact" if blocks <= 50 and difference.all() else "approx"
        result = stats.wilcoxon(difference, alternative="greater", method=method)
        return ("W", float(result.statistic)), float(result.pvalue), method
    # Beyond these sizes the exact distribution takes seconds and the normal one is as good.
    method = "exact" if levels <= 6 and blocks <= 30 else "asymptotic"
    result = stats.page_trend_test(table, method=method)
    return ("Page's L", float(result.statistic)), float(result.pvalue), method


def _bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = stats.bootstrap(
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
    if values.sizes[along] < 2 or values.sizes[_BLOCK] < 2:
        raise ValueError(f"a test needs at least 2 levels and 2 seeds, got {values.sizes[along]} and {values.sizes[_BLOCK]}")
    return np.asarray(values.transpose(_BLOCK, along).values, dtype=float)


def _problem(values: xr.DataArray) -> str | None:
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


def _name(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name") or values.name or "value")


def _rows(values: xr.DataArray) -> list[Any]:
    return values[_BLOCK].values.tolist()


def _table(values: xr.DataArray, along: str) -> dict[str, Any]:
    columns = [f"{level:g}" if isinstance(level, float) else str(level) for level in values_of(values, along)]
    return {"columns": columns, "rows": _rows(values), "values": plain(_block_table(values, along))}
