"""Tests of the tests: exact p-values against enumeration, error rates on null data, power on planted effects."""

import dataclasses
from itertools import permutations, product

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bthcheck import evidence
from bthcheck.evidence import (
    LEVEL,
    Verdict,
    correlation,
    dispersion,
    inequality,
    overall,
    paired,
    permuted,
    rate,
    trend,
    trends,
)
from bthcheck.evidence.search import Search
from bthcheck.harness.claims import Claim, Evidence

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
    monkeypatch.setattr(trends, "LEVEL", 0.05)
    monkeypatch.setattr(trends, "_bootstrap_mean", lambda values: (0.0, 0.0))
    generator = np.random.default_rng(levels * 100 + seeds)
    verdicts = []
    for number in range(4000):
        table = generator.normal(size=(seeds, levels))
        if number % 4 == 0:
            table = np.round(table)
        verdicts.append(trend(blocks(table), ALONG, minimum_effect=0.0).verdict)
    for verdict in (Verdict.SUPPORTED, Verdict.REFUTED):
        count = verdicts.count(verdict)
        assert stats.binomtest(count, len(verdicts), 0.05, alternative="greater").pvalue > 1e-4, (verdict, count)
    if levels > 2:
        assert verdicts.count(Verdict.SUPPORTED) > 40  # the test can reject at all


def test_placebo_is_null_whatever_the_effect(blocks, monkeypatch):
    monkeypatch.setattr(trends, "LEVEL", 0.05)
    monkeypatch.setattr(trends, "_bootstrap_mean", lambda values: (0.0, 0.0))
    generator = np.random.default_rng(3)
    strong = blocks(np.arange(4) * 10 + generator.normal(size=(8, 4)))
    assert trend(strong, ALONG).verdict is Verdict.SUPPORTED
    count = sum(trend(permuted(strong, ALONG, generator), ALONG).verdict is Verdict.SUPPORTED for _ in range(2000))
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
    covered = [low <= truth <= high for low, high in (trends._bootstrap_mean(taus(10)) for _ in range(300))]
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
    with pytest.raises(ValueError, match="at least 2 levels and 2 seeds, got 4 and 1"):
        trend(blocks(np.ones((1, 4))), ALONG)


def test_inequality_verdicts():
    held = inequality([1.0, 2], [2.0, 2], 1e-12, quantity="q")
    assert (held.verdict, held.cases) == (Verdict.SUPPORTED, 2)
    assert held.effect == pytest.approx(1.5)  # median of 2 and 1
    assert held.statistic == ("worst margin", 0.0)
    rounding = inequality([1 + 1e-13], [1.0], 1e-12, quantity="q")
    assert rounding.verdict is Verdict.SUPPORTED
    assert "1 needed the rounding tolerance" in rounding.reason
    violated = inequality([1.0, 2.1], [2.0, 2.0], 1e-12, quantity="q")
    assert violated.verdict is Verdict.REFUTED
    assert "violated in 1 of 2 cases, at worst 2.1 > 2" in violated.reason
    assert inequality([1.0], [5.0], 0, quantity="q", trivial=4.0).verdict is Verdict.VACUOUS
    assert inequality([1.0], [3.0], 0, quantity="q", trivial=4.0).verdict is Verdict.SUPPORTED
    assert inequality([np.nan], [3.0], 0, quantity="q").verdict is Verdict.INCONCLUSIVE
    with pytest.raises(ValueError, match="no case of q was measured"):
        inequality([], [], 0, quantity="q")


def test_an_infinite_bound_is_not_support():
    assert inequality([1.0], [np.inf], 0, quantity="q").verdict is Verdict.INCONCLUSIVE


def test_equality_verdicts():
    same = evidence.equality([1.0, 2 + 1e-12], [1.0, 2.0], 1e-9, quantity="q")
    assert (same.verdict, same.effect, same.cases) == (Verdict.SUPPORTED, pytest.approx(1), 2)
    twice = evidence.equality([2.0, 1.0, 6.0], [1.0, 1.0, 2.0], 1e-9, quantity="q")
    assert (twice.verdict, twice.effect) == (Verdict.REFUTED, 2)
    assert twice.reason == "q differs in 2 of 3 cases: 1 to 3 times the definition"
    lost = evidence.equality([1.0, np.inf, np.nan], 1.0, 1e-9, quantity="q")
    assert (lost.verdict, lost.effect) == (Verdict.REFUTED, 1)
    assert lost.reason.endswith("and not finite in 2")
    with pytest.raises(ValueError, match="no case of q was measured"):
        evidence.equality([], [], 0, quantity="q")
    with pytest.raises(ValueError, match="q must be defined by finite numbers above 0"):
        evidence.equality([1.0], [0.0], 0, quantity="q")


def test_rate_verdicts():
    assert rate(0, 200, 0.05, quantity="q").verdict is Verdict.SUPPORTED
    assert rate(0, 100, 0.05, quantity="q").verdict is Verdict.INCONCLUSIVE  # too few to show so small a rate
    assert rate(40, 200, 0.05, quantity="q").verdict is Verdict.REFUTED
    assert rate(10, 200, 0.05, quantity="q").verdict is Verdict.INCONCLUSIVE
    assert rate(0, 200, 0.05, quantity="q").p == pytest.approx(0.95**200)


def test_dispersion_verdicts():
    z = np.random.default_rng(7).normal(size=400)
    assert dispersion(z, quantity="q").verdict is Verdict.SUPPORTED
    assert dispersion(0.3 * z, quantity="q").verdict is Verdict.REFUTED
    assert dispersion(2 * z, quantity="q").verdict is Verdict.REFUTED
    assert dispersion(z[:20], quantity="q").verdict is Verdict.INCONCLUSIVE
    assert dispersion(0.3 * z, quantity="q", calibrated=False).verdict is Verdict.SUPPORTED
    assert dispersion(z, quantity="q", calibrated=False).verdict is Verdict.REFUTED
    finding = dispersion(z, quantity="q")
    assert finding.effect == pytest.approx(z.std(ddof=1))
    assert finding.interval[0] < finding.effect < finding.interval[1]


def test_dispersion_holds_its_level(monkeypatch):
    monkeypatch.setattr(trends, "LEVEL", 0.05)
    generator = np.random.default_rng(8)
    edge = [dispersion(0.8 * generator.normal(size=100), quantity="q").verdict for _ in range(2000)]
    count = edge.count(Verdict.SUPPORTED)  # at the edge of what counts as calibrated
    assert stats.binomtest(count, 2000, 0.05, alternative="greater").pvalue > 1e-4


def test_overall_is_the_worst():
    assert overall([Verdict.SUPPORTED, Verdict.VACUOUS]) is Verdict.VACUOUS
    assert overall([Verdict.SUPPORTED, Verdict.INCONCLUSIVE, Verdict.VACUOUS]) is Verdict.INCONCLUSIVE
    assert overall([Verdict.REFUTED, Verdict.INCONCLUSIVE]) is Verdict.REFUTED


# ------------------------------------------------------------------------------------------ presenting it


def test_a_placebo_swaps_conditions_at_random(tmp_path, blocks):
    both = blocks(np.random.default_rng(9).normal(size=(40, 2)) + np.array([0, 5]))
    low, high = (both.isel(frequency=i, drop=True) for i in (0, 1))
    real = Evidence(Claim("A", "s", "t"), tmp_path)
    placebo = Evidence(Claim("A", "s", "t"), tmp_path, np.random.default_rng(0))
    assert real.exceeds(high, low).verdict is Verdict.SUPPORTED
    assert placebo.exceeds(high, low).verdict is Verdict.INCONCLUSIVE
    assert placebo.findings[0].blocks == 40


def test_many_tests_refute_a_claim_no_more_easily_than_one(tmp_path, blocks):
    """Five seeds against the claim, one of them not quite: p_opposite lies between a third of the level and the level."""
    table = np.tile(np.array([4.0, 3, 2, 1]), (5, 1))
    table[0] = [3, 2, 1, 4]
    against = trend(blocks(table), ALONG)
    assert LEVEL / 3 < against.p_opposite <= LEVEL
    assert against.verdict is Verdict.REFUTED
    other = trend(blocks(np.tile(np.arange(4.0), (5, 1))), ALONG)
    alone = Evidence(Claim("A", "s", "t"), tmp_path, findings=[against])
    among = Evidence(Claim("A", "s", "t"), tmp_path, findings=[other, other, against])
    assert alone.verdict is Verdict.REFUTED
    assert among.verdict is Verdict.INCONCLUSIVE
    assert among.reason == against.reason
    strong = trend(blocks(np.tile(np.arange(4.0)[::-1], (5, 1))), ALONG)
    assert Evidence(Claim("A", "s", "t"), tmp_path, findings=[other, other, strong]).verdict is Verdict.REFUTED


def losses(table):
    """Label a (levels, seeds, epochs) array."""
    table = np.asarray(table, float)
    dims = ("corruption", "seed", "epoch")
    coords = {dim: np.arange(size) + (dim == "epoch") for dim, size in zip(dims, table.shape, strict=True)}
    return xr.DataArray(table, coords, dims)


def test_fitted_looks_at_the_last_epoch_and_names_the_worst_run():
    table = np.full((2, 3, 4), 0.05)
    table[1, 2, :3] = 9.0
    met = evidence.fitted(losses(table), 0.1, quantity="loss")
    assert (met.verdict, met.test, met.cases) == (Verdict.SUPPORTED, evidence.CONDITION, 6)
    table[1, 2, 3] = 0.1  # at the threshold is not below it
    unmet = evidence.fitted(losses(table), 0.1, quantity="loss")
    assert unmet.verdict is Verdict.INCONCLUSIVE
    assert "5 of 6 runs" in unmet.reason
    assert "0.1 (corruption 1, seed 2)" in unmet.reason
    table[0, 1, 3] = np.nan
    assert "(corruption 0, seed 1)" in evidence.fitted(losses(table), 0.1, quantity="loss").reason


def test_fitted_looks_at_every_epoch_of_a_window(tmp_path):
    table = np.full((2, 3, 6), 0.05)
    table[1, 0, 2] = 0.2
    assert evidence.fitted(losses(table), 0.1, quantity="loss", epochs=3).verdict is Verdict.SUPPORTED
    unmet = Evidence(Claim("A", "s", "t"), tmp_path).fitted(losses(table), 0.1, epochs=4, of="batches of 16")
    assert unmet.verdict is Verdict.INCONCLUSIVE
    assert unmet.quantity == "training loss in the last 4 epochs, batches of 16"
    assert "5 of 6 runs have a training loss below 0.1 in each of the last 4 epochs; the largest is 0.2" in unmet.reason
    table[0, 1, 5] = np.nan
    assert "4 of 6" in evidence.fitted(losses(table), 0.1, quantity="loss", epochs=4).reason


def test_a_condition_that_is_not_met_makes_a_claim_inconclusive_whatever_its_tests_say(tmp_path, blocks):
    rising = np.arange(4.0) + np.zeros((8, 1))
    for direction in (1, -1):
        presented = Evidence(Claim("A", "s", "t"), tmp_path)
        presented.fitted(losses(np.full((2, 3, 4), 0.5)), 0.1)
        assert presented.verdict is None  # a condition is no evidence
        presented.increases(blocks(direction * rising), "frequency")
        assert presented.verdict is Verdict.INCONCLUSIVE
        assert presented.reason.startswith("0 of 6 runs have a training loss below 0.1")
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.fitted(losses(np.full((2, 3, 4), 0.05)), 0.1)
    presented.increases(blocks(rising), "frequency")
    assert presented.verdict is Verdict.SUPPORTED


def test_a_condition_is_not_counted_among_the_tests_of_a_claim(tmp_path, blocks):
    against = evidence.trend(blocks(-np.arange(4.0) + np.zeros((8, 1))), "frequency")
    against = dataclasses.replace(against, p_opposite=evidence.LEVEL * 0.9)
    presented = Evidence(Claim("A", "s", "t"), tmp_path, findings=[against])
    presented.fitted(losses(np.full((2, 3, 4), 0.05)), 0.1)
    assert presented.verdict is Verdict.REFUTED


def test_what_falsifies_a_bound_is_in_its_reason(tmp_path):
    search = Search(np.array([2.0]), np.array([1.0]), np.zeros(1), 1, "x = 1")
    finding = Evidence(Claim("A", "s", "t", kind="exact"), tmp_path).withstands(search, "a bound")
    assert finding.verdict is Verdict.REFUTED
    assert finding.reason.endswith("the smallest counterexample is x = 1")


def test_a_claim_cannot_be_tested_as_another_kind(tmp_path, blocks):
    exact = Evidence(Claim("A", "s", "t", kind="exact"), tmp_path)
    with pytest.raises(ValueError, match="claim A is registered as 'exact', but its test is 'trend'"):
        exact.increases(blocks(np.ones((3, 4))), ALONG)
    assert exact.verdict is None


def test_bad_claims_are_refused():
    with pytest.raises(ValueError, match="a claim's id must be letters, digits"):
        Claim("a b", "s", "t")
    with pytest.raises(ValueError, match="the kind of claim A must be one of"):
        Claim("A", "s", "t", kind="vague")


def test_a_table_has_an_entry_a_column(tmp_path):
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.table("caption", ["a", "b"], [["1", "2"]])
    assert presented.to_dict()["tables"] == [{"caption": "caption", "columns": ["a", "b"], "rows": [["1", "2"]]}]
    with pytest.raises(ValueError, match="every row of the table 'caption' must have 2 entries"):
        presented.table("caption", ["a", "b"], [["1"]])


def test_records_are_plain_json(tmp_path, blocks):
    import json

    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.increases(blocks(np.full((3, 4), np.nan)), ALONG)
    presented.decreases(blocks(np.arange(12.0).reshape(3, 4)), ALONG)
    text = json.dumps(presented.to_dict(), allow_nan=False)
    assert json.loads(text)["verdict"] == "refuted"
    assert json.loads(text)["findings"][0]["table"]["values"][0] == [None] * 4
