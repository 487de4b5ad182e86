"""Does one measure rank models no worse than another, and is there anything to rank?

`non_inferiorities` compares the granulated Kendall coefficients of `bthcheck.evidence.ranking` seed by seed; `distinguishable`
asks first whether the gaps of models differ by more than noise, or no measure could rank them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.checks import positive
from bthcheck.evidence.exchange import signed_ranks
from bthcheck.evidence.families import LEVEL
from bthcheck.evidence.findings import CONDITION, CONFIDENCE, Finding, Verdict, plain
from bthcheck.evidence.ranking import granulated_tau
from bthcheck.evidence.trends import bootstrap_mean, name_of, problem_of

MARGIN = 0.1
"""By how much the Ψ of a measure that is no worse may be below that of its rival."""
MINIMUM_SHARE = 0.2
"""Default smallest share of the gap's variance that is between models. From there on a measure that knows how the models are
ordered on average has a Kendall τ of 0.3 within one seed, (2/π) arcsin √share for normal numbers: three times `MARGIN`."""
_SEED = "seed"
_DIGITS = 12  # beyond which differences of Ψ, sums of a few signs, are rounding


@neutral()
def non_inferiority(
    measure: xr.DataArray,
    rival: xr.DataArray,
    gap: xr.DataArray,
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
    axes: Sequence[str] | None = None,
) -> Finding:
    """Test that a measure ranks models no worse than a rival: Ψ(measure) − Ψ(rival) + margin > 0 within seeds.

    Wilcoxon's signed-rank test over seeds, one-sided and exact also with ties, as `bthcheck.evidence.exchange.signed_ranks`.
    Supported is that the difference exceeds −margin, refuted that it is below. The effect is the mean difference with a
    percentile bootstrap interval over seeds. Inconclusive where a number is not finite, as after a diverged run.

    Parameters
    ----------
    measure, rival, gap : (…axes, "seed"), as for `bthcheck.evidence.ranking.axis_taus`
    margin : above 0; 0.1 is that one in twenty pairs more is in the wrong order
    level : significance level
    axes : along which models are compared; all unless it is said

    Raises
    ------
    ValueError
        As `granulated_tau`, or if the margin is not positive.
    """
    return non_inferiorities(measure, {"": rival}, gap, margin=margin, level=level, axes=axes)[0]


@neutral()
def non_inferiorities(
    measure: xr.DataArray,
    rivals: Mapping[str, xr.DataArray],
    gap: xr.DataArray,
    *,
    margin: float = MARGIN,
    level: float = LEVEL,
    axes: Sequence[str] | None = None,
) -> list[Finding]:
    """Return `non_inferiority` to each of several rivals, p-values adjusted by `holm` for all, in both directions.

    Parameters
    ----------
    rivals : name → array; an empty name stands for the array's own

    Raises
    ------
    ValueError
        As `non_inferiority`, or if there is no rival.
    """
    margin = positive("margin", margin)
    if not rivals:
        raise ValueError("there must be at least one rival to compare with, got none")
    findings = [_tested(measure, rival, name, gap, margin, axes) for name, rival in rivals.items()]
    above, below = (
        holm([1.0 if p is None else p for p in ps]) for ps in ([f.p for f in findings], [f.p_opposite for f in findings])
    )
    return [
        _judged(finding, p, opposite, margin, level, len(rivals))
        for finding, p, opposite in zip(findings, above, below, strict=True)
    ]


@neutral()
def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, by Holm's step-down method (*Scand. J. Statist.* 6, 1979), in their order.

    The i-th smallest of m becomes the largest of min(1, (m − j + 1) p_(j)) over j ≤ i. Rejecting where that is at most a level
    keeps the probability of any error at most there, however the tests depend on each other.

    Raises
    ------
    ValueError
        If one is not from 0 to 1.
    """
    values = np.array(ps, float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p-values must be from 0 to 1, got {', '.join(f'{p:g}' for p in ps)}")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.arange(len(values), 0, -1) * values[order]))
    return adjusted.tolist()


@neutral()
def distinguishable(gap: xr.DataArray, *, minimum: float = MINIMUM_SHARE, level: float = LEVEL) -> Finding:
    """State the condition that the gaps of models differ by more than noise; unmet, there is nothing to rank.

    Two-way analysis of variance of gap = model + seed + noise. The effect is the share of the variance within seeds that is
    between models, (MS_m − MS_e)/(MS_m + (k − 1) MS_e) over k seeds, the intraclass correlation ICC(C,1) of McGraw & Wong
    (*Psychological Methods* 1, 1996) with their interval, and p is that of F = MS_m/MS_e against no difference. Both take the
    noise for normal and as large for every model.

    Parameters
    ----------
    gap : (…axes, "seed"); every combination of axes is a model. With one seed the condition is unmet
    minimum : smallest share that counts

    Raises
    ------
    ValueError
        If there are fewer than two models.
    """
    if _SEED not in gap.dims:
        raise ValueError(f"the gap must have a dimension {_SEED!r} and one for every axis, got {tuple(gap.dims)}")
    table = np.asarray(gap.transpose(_SEED, ...).values, float).reshape(gap.sizes[_SEED], -1)
    seeds, models = table.shape
    if models < 2:
        raise ValueError(f"there must be at least 2 models to compare, got {models}")
    quantity = f"differences of the {name_of(gap)} between models"
    expectation = f"at least {minimum:g} of the variance within seeds, p at most {level:g}"
    problem = problem_of(gap) or _not_finite(table) or ("one seed shows no noise" if seeds < 2 else None)
    if problem:
        return Finding(
            quantity, CONDITION, Verdict.INCONCLUSIVE, problem, level=level, blocks=seeds, minimum_effect=minimum,
            expectation=expectation,
        )  # fmt: skip
    of_models = table.mean(axis=0)
    noise = table - of_models - table.mean(axis=1, keepdims=True) + table.mean()
    rounding = (1e-12 * float(np.abs(table).max())) ** 2
    freedom = models - 1, (models - 1) * (seeds - 1)
    between = seeds * float(((of_models - table.mean()) ** 2).sum()) / freedom[0]
    within = float((noise**2).sum()) / freedom[1]
    between, within = (0.0 if square <= rounding else square for square in (between, within))
    ratio = 0.0 if between == 0 else between / within if within > 0 else math.inf
    p = float(scipy.stats.f.sf(ratio, *freedom))
    tail = (1 + CONFIDENCE) / 2
    low, high = ratio / scipy.stats.f.ppf(tail, *freedom), ratio * scipy.stats.f.ppf(tail, *freedom[::-1])
    share = _share(ratio, seeds)
    met = p <= level and share >= minimum
    return Finding(
        quantity=quantity,
        test=CONDITION,
        verdict=Verdict.SUPPORTED if met else Verdict.INCONCLUSIVE,
        reason=(
            f"{100 * max(share, 0.0):.0f} % of the variance of the {name_of(gap)} within seeds is between the {models} models"
            f" (F = {ratio:.3g}, p = {p:.2g} at level {level:g})" + ("" if met else ": there is too little to rank")
        ),
        statistic=("F", ratio),
        p=p,
        effect_name="share of the variance between models (ICC)",
        effect=share,
        interval=(_share(float(low), seeds), _share(float(high), seeds)),
        minimum_effect=minimum,
        level=level,
        blocks=seeds,
        expectation=expectation,
    )


def _share(ratio: float, seeds: int) -> float:
    return 1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + seeds - 1)


def _tested(
    measure: xr.DataArray, rival: xr.DataArray, name: str, gap: xr.DataArray, margin: float, axes: Sequence[str] | None
) -> Finding:
    """Compare with one rival; p-values are those of this test alone, and there is no verdict yet."""
    one, other = (granulated_tau(array, gap, axes).values for array in (measure, rival))
    names = [f"Ψ of {name_of(measure)}", f"Ψ of {name or name_of(rival)}"]
    values = np.column_stack([one, other])
    finding = Finding(
        quantity=names[0],
        test="Wilcoxon signed-rank test",
        verdict=Verdict.INCONCLUSIVE,
        reason=problem_of(measure) or problem_of(rival) or problem_of(gap) or _not_finite(values) or "",
        minimum_effect=-margin,
        blocks=len(values),
        table={"columns": names, "rows": gap[_SEED].values.tolist(), "values": plain(values)},
        expectation=f"is at most {margin:g} below {names[1]}",
    )
    if finding.reason:
        return finding
    difference = np.round(one - other + margin, _DIGITS)
    some = difference[difference != 0]
    statistic = float(scipy.stats.rankdata(np.abs(some))[some > 0].sum())
    return dataclasses.replace(
        finding,
        statistic=("W", statistic),
        p=signed_ranks(difference),
        p_opposite=signed_ranks(-difference),
        effect_name="mean difference of Ψ",
        effect=float((one - other).mean()),
        interval=bootstrap_mean(one - other),
    )


def _judged(finding: Finding, p: float, opposite: float, margin: float, level: float, rivals: int) -> Finding:
    """Return a finding of `_tested` with adjusted p-values and its verdict."""
    if finding.p is None or finding.effect is None:
        return dataclasses.replace(finding, level=level)
    if p <= level and finding.effect >= -margin:
        verdict, word = Verdict.SUPPORTED, str(finding.expectation)
    elif opposite <= level:
        verdict, word = Verdict.REFUTED, f"is significantly worse: not “{finding.expectation}”"
    else:
        verdict, word = Verdict.INCONCLUSIVE, f"is not shown to be no worse: not “{finding.expectation}”"
    smallest = rivals * 2.0 ** -int(finding.blocks or 0)
    if smallest > level:
        word += f": {finding.blocks} seeds are too few for any p below {smallest:.2g}"
    adjusted = f", Holm over {rivals} rivals" if rivals > 1 else ""
    return dataclasses.replace(
        finding,
        test=f"{finding.test}, exact{adjusted}",
        verdict=verdict,
        reason=f"{finding.quantity} {word} (p = {p:.2g} at level {level:g})",
        p=p,
        p_opposite=opposite,
        level=level,
    )


def _not_finite(values: np.ndarray) -> str | None:
    bad = int((~np.isfinite(values)).sum())
    return f"{bad} of {values.size} values are not finite" if bad else None
