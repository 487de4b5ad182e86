"""Tests of exchangeability against every outcome, gone through one by one."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from bthcheck.evidence import exchange
from bthcheck.evidence.exchange import any_of, beyond, shares, signed_ranks, two_samples

DIFFERENCES = {
    "no ties": np.array([0.3, -0.1, 0.7, 1.2, -0.4, 0.9]),
    "ties": np.array([1.0, -1.0, 2.0, 2.0, 2.0, -3.0, 3.0]),
    "zeros and infinity": np.array([0.0, 0.5, math.inf, -0.2, 0.0, math.inf, -math.inf]),
    "one": np.array([2.0]),
}


def by_enumeration(differences):
    """The share of all ways to choose signs that have as large a sum of the ranks above 0."""
    some = [d for d in differences if d != 0]
    ranks = [sum(abs(e) < abs(d) for e in some) + (sum(abs(e) == abs(d) for e in some) + 1) / 2 for d in some]
    at_hand = sum(rank for rank, d in zip(ranks, some, strict=True) if d > 0)
    sums = [sum(rank for rank, up in zip(ranks, ups, strict=True) if up) for ups in product((0, 1), repeat=len(some))]
    return sum(one >= at_hand for one in sums) / len(sums)


@pytest.mark.parametrize("differences", DIFFERENCES.values(), ids=DIFFERENCES)
def test_signed_ranks_are_those_of_all_signs(differences):
    assert signed_ranks(differences) == pytest.approx(by_enumeration(differences), rel=1e-12)
    assert signed_ranks(-differences) == pytest.approx(by_enumeration(-differences), rel=1e-12)


def test_signed_ranks_of_many_are_scipys():
    differences = np.random.default_rng(0).normal(0.3, 1, 45)
    expected = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert signed_ranks(differences) == pytest.approx(expected, rel=1e-9)
    assert signed_ranks(np.ones(40)) == 2.0**-40
    assert signed_ranks(np.zeros(3)) == signed_ranks(np.array([])) == 1


def test_beyond_a_margin_counts_what_is_above_or_below_it():
    differences, margin = np.array([0.5, 0.2, 0.9, 0.3, -0.6]), np.array([0.1, 0.3, 0.1, 0.2, 0.1])
    sides = [by_enumeration([sign * d - m for d, m in zip(differences, margin, strict=True)]) for sign in (1, -1)]
    assert beyond(differences, margin) == pytest.approx(min(1, 2 * min(sides)))
    assert beyond(np.full(12, 0.1), np.full(12, 0.2)) == beyond(np.full(12, -0.1), np.full(12, 0.2)) == 1
    assert beyond(np.full(12, 0.3), np.full(12, 0.2)) == beyond(np.full(12, -0.3), np.full(12, 0.2)) == 2.0**-11


def test_any_of_several_is_fishers_method():
    ps = [0.01, 0.4, 1.0, 0.2]
    assert any_of(ps) == pytest.approx(stats.combine_pvalues(ps, method="fisher").pvalue)
    assert any_of([0.3]) == pytest.approx(0.3)


def dealt_anew(first, second):
    """The p-value of `two_samples`, by going through all ways to choose the rows of the second sample."""
    whole = np.concatenate([first, second])
    ranks = np.array([[(column < x).sum() + ((column == x).sum() + 1) / 2 for x in column] for column in whole.T]).T
    scaled = (ranks - ranks.mean(axis=0)) / np.where(ranks.std(axis=0) > 0, ranks.std(axis=0), 1)

    def statistic(rows):
        sums = [sum(scaled[row, j] for row in rows) for j in range(whole.shape[1])]
        return sum(s**2 for s in sums) + sum(sums) ** 2

    at_hand = statistic(range(len(first), len(whole)))
    outcomes = [statistic(rows) for rows in combinations(range(len(whole)), len(second))]
    return sum(outcome >= at_hand - 1e-9 for outcome in outcomes) / len(outcomes)


@pytest.mark.parametrize(("rows", "columns"), [((4, 5), 2), ((3, 3), 1), ((2, 6), 3)])
def test_two_samples_are_dealt_in_all_ways(rows, columns):
    generator = np.random.default_rng(1)
    first, second = (generator.integers(0, 6, (count, columns)).astype(float) for count in rows)
    assert two_samples(first, second + 2) == pytest.approx(dealt_anew(first, second + 2))
    apart = two_samples(first, second + 10)
    assert apart == pytest.approx(dealt_anew(first, second + 10))
    if rows[0] == rows[1]:
        assert apart == 2 / math.comb(sum(rows), rows[0])  # the smallest there is: either sample may be the larger one


def test_two_samples_where_all_is_one_value():
    assert two_samples(np.ones((3, 2)), np.ones((4, 2))) == 1


def test_too_many_ways_are_drawn_from(monkeypatch):
    generator = np.random.default_rng(2)
    first, second = generator.normal(0, 1, (5, 2)), generator.normal(1, 1, (5, 2))
    exact = two_samples(first, second)
    monkeypatch.setattr(exchange, "MOST_ARRANGEMENTS", 250)
    exchange._dealt.cache_clear()
    try:
        drawn = two_samples(first, second)
        hits = round(drawn * 251) - 1  # all but the arrangement at hand
        assert stats.binomtest(hits, 250, exact).pvalue > 1e-4
        monkeypatch.setattr(exchange, "MOST_ARRANGEMENTS", 20)
        exchange._dealt.cache_clear()
        assert two_samples(first, second + 100) == pytest.approx(1 / 21)  # never 0
    finally:
        exchange._dealt.cache_clear()


def test_shares_are_those_of_all_tables():
    def hypergeometric(x):
        return math.comb(8, x) * math.comb(12, 7 - x) / math.comb(20, 7)

    at_hand = hypergeometric(5)
    assert shares(5, 8, 2, 12) == pytest.approx(
        sum(hypergeometric(x) for x in range(8) if hypergeometric(x) <= at_hand + 1e-12)
    )
