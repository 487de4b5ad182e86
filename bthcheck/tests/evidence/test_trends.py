"""Tests of the tests: exact p-values against enumeration, error rates on null data, power on planted effects."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from bthcheck import evidence
from bthcheck.evidence import (
    LEVEL,
    Verdict,
    correlation,
    paired,
    permuted,
    trend,
    trends,
)

ALONG = "frequency"


# ------------------------------------------------------------------------------------------------- p-values


def test_trend_p_is_the_share_of_orders_at_least_as_extreme(blocks):
    """Page's test by brute force: every order of three levels in three seeds is as likely."""
    table = np.array([[1.0, 3, 2], [1, 2, 3], [2, 1, 3]])
    ranks = np.arange(1, 4)
    observed = (stats.rankdata(table, axis=1) * ranks).sum()
    orders = [sum((np.array(order) * ranks).sum() for order in choice) for choice in product(permutations((1, 2, 3)), repeat=3)]
    finding = trend(blocks(table), ALONG)
    assert finding.p == pytest.approx(np.mean(np.array(orders) >= observed))
    assert finding.p_opposite == pytest.approx(np.mean(np.array(orders) <= observed))
    assert finding.statistic == ("Page's L", observed)


def test_two_levels_give_the_exact_signed_rank_test(blocks):
    differences = np.array([3.0, 1, 4, -2, 5, 9, 2.5, 6])
    finding = trend(blocks(np.column_stack([np.zeros(8), differences])), ALONG)
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [ranks[np.array(signs)].sum() for signs in product([False, True], repeat=8)]
    assert finding.p == pytest.approx(np.mean(np.array(sums) >= observed))


def test_paired_comparison_is_a_trend_over_two_conditions(blocks):
    table = np.random.default_rng(9).normal(size=(12, 2)) + np.array([0, 2])
    both = blocks(table)
    low, high = (both.isel(frequency=i, drop=True) for i in (0, 1))
    finding, expected = paired(low, high), trend(both, ALONG)
    assert (finding.p, finding.effect, finding.blocks) == (expected.p, expected.effect, 12)
    assert finding.verdict is Verdict.SUPPORTED
    assert paired(high, low).verdict is Verdict.REFUTED
    diverged = low.assign_coords(diverged=("seed", [True] + [False] * 11))
    assert "diverged: condition=lower, seed=0" in paired(diverged, high.assign_coords(diverged=("seed", [False] * 12))).reason


def test_effect_is_the_mean_of_kendalls_tau(blocks):
    table = np.random.default_rng(0).normal(size=(7, 5))
    expected = np.mean([stats.kendalltau(row, np.arange(5)).statistic for row in table])
    finding = trend(blocks(table), ALONG)
    assert finding.effect == pytest.approx(expected)
    assert finding.interval[0] <= expected <= finding.interval[1]


def test_correlation_is_the_sum_over_seeds_of_products_of_ranks(blocks):
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 6, 4))
    observed = (stats.rankdata(a, axis=1) * stats.rankdata(b, axis=1)).sum()
    finding = correlation(blocks(a), blocks(b), ALONG)
    assert finding.statistic == ("Page's L", observed)
    assert finding.p == pytest.approx(correlation(blocks(b), blocks(a), ALONG).p)


def test_correlation_is_blind_to_differences_between_seeds(blocks):
    """Seeds with longer trajectories and higher losses must not pass for a correlation within seeds."""
    generator = np.random.default_rng(2)
    seeds = 100 * np.arange(40)[:, None]
    a, b = generator.normal(size=(2, 40, 4)) + seeds
    assert stats.spearmanr(a.ravel(), b.ravel()).statistic > 0.99
    assert correlation(blocks(a), blocks(b), ALONG).verdict is Verdict.INCONCLUSIVE


# --------------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("seeds", [5, 10])
def test_false_support_is_no_more_likely_than_the_level(blocks, levels, seeds, monkeypatch):
    """On null data, at a level that 4000 data sets can resolve; with ties, which make the test conservative."""
    monkeypatch.setattr(trends, "bootstrap_mean", lambda values: (0.0, 0.0))
    generator = np.random.default_rng(levels * 100 + seeds)
    verdicts = []
    for number in range(4000):
        table = generator.normal(size=(seeds, levels))
        if number % 4 == 0:
            table = np.round(table)
        verdicts.append(trend(blocks(table), ALONG, minimum_effect=0.0, level=0.05).verdict)
    for verdict in (Verdict.SUPPORTED, Verdict.REFUTED):
        count = verdicts.count(verdict)
        assert stats.binomtest(count, len(verdicts), 0.05, alternative="greater").pvalue > 1e-4, (verdict, count)
    if levels > 2:
        assert verdicts.count(Verdict.SUPPORTED) > 40  # the test can reject at all


def test_placebo_is_null_whatever_the_effect(blocks, monkeypatch):
    monkeypatch.setattr(trends, "bootstrap_mean", lambda values: (0.0, 0.0))
    generator = np.random.default_rng(3)
    strong = blocks(np.arange(4) * 10 + generator.normal(size=(8, 4)))
    assert trend(strong, ALONG).verdict is Verdict.SUPPORTED
    count = sum(trend(permuted(strong, ALONG, generator), ALONG, level=0.05).verdict is Verdict.SUPPORTED for _ in range(2000))
    assert stats.binomtest(count, 2000, 0.05, alternative="greater").pvalue > 1e-4
    shuffled = permuted(strong, ALONG, generator)
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.sort(strong, axis=1))


@pytest.mark.parametrize(("shift", "least"), [(1.0, 0.75), (2.0, 0.99)])
def test_planted_effects_are_found(blocks, shift, least):
    """Ten seeds, four levels, a shift of so many standard deviations from level to level."""
    generator = np.random.default_rng(4)
    found = [
        trend(blocks(shift * np.arange(4) + generator.normal(size=(10, 4)) + 5 * generator.normal(size=(10, 1))), ALONG)
        for _ in range(200)
    ]
    assert np.mean([finding.verdict is Verdict.SUPPORTED for finding in found]) >= least
    assert all(finding.verdict is not Verdict.REFUTED for finding in found)
    against = trend(blocks(-shift * np.arange(4) + generator.normal(size=(30, 4))), ALONG)
    assert against.verdict is Verdict.REFUTED


def test_interval_covers_the_true_effect():
    """Percentile intervals of ten seeds are a little short: they must cover at least nine times in ten."""
    generator = np.random.default_rng(5)

    def taus(seeds):
        return evidence.mean_tau(np.arange(4) + generator.normal(size=(seeds, 4)))

    truth = taus(100_000).mean()
    covered = [low <= truth <= high for low, high in (trends.bootstrap_mean(taus(10)) for _ in range(300))]
    assert np.mean(covered) > 0.88


def test_levels_hold_the_family_wise_error():
    assert pytest.approx(0.05) == 2 * evidence.FAMILY_SIZE * LEVEL


# ------------------------------------------------------------------------------------------------ verdicts


def test_significant_but_small_is_not_support(blocks):
    table = np.random.default_rng(6).normal(size=(400, 4)) + 0.3 * np.arange(4)
    finding = trend(blocks(table), ALONG, minimum_effect=0.5)
    assert finding.p < LEVEL
    assert finding.effect < 0.5
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "less than the stated minimum effect" in finding.reason
    assert trend(blocks(table), ALONG, minimum_effect=0.1).verdict is Verdict.SUPPORTED


def test_too_few_seeds_are_said(blocks):
    finding = trend(blocks(np.array([[1.0, 2]] * 5)), ALONG)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "5 seeds are too few for any p below 0.031" in finding.reason


def test_all_ties_are_inconclusive(blocks):
    for levels in (2, 4):
        finding = trend(blocks(np.ones((10, levels))), ALONG)
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert finding.effect == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_inconclusive(blocks, bad):
    table = np.arange(40.0).reshape(10, 4)
    table[3, 2] = bad
    finding = trend(blocks(table), ALONG)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == "1 of 40 values are not finite"
    assert correlation(blocks(np.arange(40.0).reshape(10, 4)), blocks(table), ALONG).verdict is Verdict.INCONCLUSIVE


def test_a_diverged_run_is_inconclusive_with_that_reason(blocks):
    table = np.arange(40.0).reshape(10, 4)
    diverged = np.zeros((10, 4), bool)
    diverged[7, 3] = True
    values = blocks(table, diverged)
    assert trend(blocks(table), ALONG).verdict is Verdict.SUPPORTED
    for finding in (trend(values, ALONG), trend(values * 2, ALONG), correlation(blocks(table), values, ALONG)):
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert finding.reason == "1 run(s) diverged: seed=7, frequency=1.0"


def test_a_forgotten_dimension_is_named(blocks):
    values = blocks(np.ones((3, 4))).expand_dims(epoch=2)
    with pytest.raises(ValueError, match=r"needs one number a seed and level.*got \('epoch', 'seed', 'frequency'\)"):
        trend(values, ALONG)
    with pytest.raises(ValueError, match="at least 2 levels, got 1"):
        trend(blocks(np.ones((4, 1))), ALONG)


def test_one_seed_says_nothing_and_is_no_error(blocks):
    """As with ``--seeds 1``, and where a claim keeps one seed of two for choosing."""
    one = blocks(np.arange(4.0)[None])
    pair = (one.isel(frequency=0, drop=True), one.isel(frequency=1, drop=True))
    for finding in (trend(one, ALONG), correlation(one, one, ALONG), paired(*pair), paired(*(half[:0] for half in pair))):
        assert finding.verdict is Verdict.INCONCLUSIVE
        assert finding.reason == f"a test needs at least 2 seeds, got {finding.blocks}"
