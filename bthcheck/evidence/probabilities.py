"""Tests of statements that hold with a probability, over independent cases."""

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike

from bthcheck.ambient import neutral
from bthcheck.evidence.families import LEVEL
from bthcheck.evidence.findings import CONFIDENCE, Finding, Verdict


@neutral()
def rate(violations: int, cases: int, limit: float, *, quantity: str, level: float = LEVEL) -> Finding:
    """Test that the probability of a violation is at most `limit`, by the exact binomial test over independent cases."""
    below = scipy.stats.binomtest(violations, cases, limit, alternative="less").pvalue
    above = scipy.stats.binomtest(violations, cases, limit, alternative="greater").pvalue
    interval = scipy.stats.binomtest(violations, cases, limit).proportion_ci(CONFIDENCE)
    verdict = Verdict.SUPPORTED if below <= level else Verdict.REFUTED if above <= level else Verdict.INCONCLUSIVE
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
        expectation=f"violated in at most {limit:.3g} of cases",
        interval=(float(interval.low), float(interval.high)),
        level=level,
        cases=cases,
    )


@neutral()
def dispersion(
    scores: ArrayLike,
    *,
    quantity: str,
    calibrated: bool = True,
    low: float = 0.8,
    high: float = 1.25,
    level: float = LEVEL,
) -> Finding:
    """Test the standard deviation of independent, standardised, nearly normal scores, by χ² tests.

    `calibrated` states that it lies within (low, high), shown by two one-sided tests; otherwise that it is below `low`, which
    is what over-concentration means.
    """
    z = np.asarray(scores, float)
    squares, freedom = float(((z - z.mean()) ** 2).sum()), len(z) - 1

    def below(bound: float) -> float:
        return float(scipy.stats.chi2.cdf(squares / bound**2, freedom))  # p of "the deviation is below bound"

    def above(bound: float) -> float:
        return float(scipy.stats.chi2.sf(squares / bound**2, freedom))

    inside, outside = max(above(low), below(high)), min(1.0, 2 * min(below(low), above(high)))
    p, opposite = (inside, outside) if calibrated else (below(low), above(low))
    verdict = Verdict.SUPPORTED if p <= level else Verdict.REFUTED if opposite <= level else Verdict.INCONCLUSIVE
    tail = (1 - CONFIDENCE) / 2
    interval = tuple(math.sqrt(squares / scipy.stats.chi2.ppf(q, freedom)) for q in (1 - tail, tail))
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
        expectation=f"is {expectation}",
        interval=(interval[0], interval[1]),
        level=level,
        cases=len(z),
    )
