"""Could two sets of numbers be exchanged for each other? Exact p-values from the numbers alone, whatever their distribution.

If recorded and new numbers come from the same setup, which of the two is called new does not matter. Exchanging them turns the
sign of a difference within a run, or deals the seeds of two samples anew, and every outcome of that is as likely.
"""

import functools
import math
from itertools import combinations

import numpy as np
import scipy

from bthcheck.ambient import neutral

MOST_ARRANGEMENTS = 200_000
"""Most that are gone through; beyond that, as many are drawn."""


@neutral()
def signed_ranks(differences: np.ndarray) -> float:
    """Return the one-sided p-value of "differences tend to be above 0", by Wilcoxon's signed ranks (*Biometrics* 1, 1945).

    Under the null hypothesis every sign is as likely as the other, independently. Exact also with ties, which share the mean of
    their ranks; differences of 0 say nothing and are left out.

    Parameters
    ----------
    differences : (n,), also infinite, not NaN
    """
    some = differences[differences != 0]
    doubled = np.rint(2 * scipy.stats.rankdata(np.abs(some))).astype(int)
    chance = np.zeros(doubled.sum() + 1)
    chance[0] = 1
    for rank in doubled:
        chance[rank:] = chance[rank:] + chance[: len(chance) - rank]  # the right side is a new array
        chance /= 2
    return float(min(1.0, chance[doubled[some > 0].sum() :].sum()))


@neutral()
def beyond(differences: np.ndarray, margin: np.ndarray) -> float:
    """Return the two-sided p-value of "differences tend to be beyond ± `margin`", (n,) each, by `signed_ranks`."""
    return min(1.0, 2 * min(signed_ranks(differences - margin), signed_ranks(-differences - margin)))


@neutral()
def any_of(ps: list[float]) -> float:
    """Return the p-value of "not all null hypotheses are true" of independent tests, by Fisher's method.

    Where p-values can only take some values it errs on the safe side.
    """
    return float(scipy.stats.chi2.sf(-2 * np.log(ps).sum(), 2 * len(ps)))


@neutral()
def two_samples(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of "the rows of one sample differ from those of the other in place", two-sided.

    A permutation test: rows are dealt anew between the samples, every entry replaced by its rank in its column. The statistic
    is Σ_j S_j² + (Σ_j S_j)², with S_j the sum of the centred, standardised ranks of `second` in column j: large where columns
    differ, each in its direction, and larger where all do in the same. Exact; beyond `MOST_ARRANGEMENTS`, that many are drawn.

    Parameters
    ----------
    first, second : (n, k) and (m, k), finite
    """
    ranks = scipy.stats.rankdata(np.concatenate([first, second]), axis=0)
    ranks -= ranks.mean(axis=0)
    spread = ranks.std(axis=0)
    ranks /= np.where(spread > 0, spread, 1)
    dealt = _dealt(len(first), len(second))
    outcomes, at_hand = _statistic(dealt @ ranks), _statistic(ranks[len(first) :].sum(axis=0))
    drawn = len(dealt) < arrangements(len(first), len(second))  # then the one at hand is one more that could have been
    return float((np.sum(outcomes >= at_hand * (1 - 1e-9)) + drawn) / (len(dealt) + drawn))


@functools.lru_cache(maxsize=2)
def _dealt(first: int, second: int) -> np.ndarray:
    """Return who is in the second sample, (arrangements, first + second) of 0 and 1."""
    total = first + second
    if arrangements(first, second) <= MOST_ARRANGEMENTS:
        members = np.array(list(combinations(range(total), second)))
    else:
        rows = np.tile(np.arange(total, dtype=np.int16), (MOST_ARRANGEMENTS, 1))
        members = np.random.default_rng(0).permuted(rows, axis=1)[:, :second]
    dealt = np.zeros((len(members), total))
    np.put_along_axis(dealt, members.astype(np.intp), 1, axis=1)
    return dealt


def _statistic(sums: np.ndarray) -> np.ndarray:
    return (sums**2).sum(axis=-1) + sums.sum(axis=-1) ** 2


@neutral()
def arrangements(first: int, second: int) -> int:
    """Return how many ways there are to deal rows to two samples of these sizes."""
    return math.comb(first + second, second)


@neutral()
def shares(first: int, of_first: int, second: int, of_second: int) -> float:
    """Return the p-value of "two shares differ", by Fisher's exact test, two-sided."""
    return float(scipy.stats.fisher_exact([[first, of_first - first], [second, of_second - second]]).pvalue)
