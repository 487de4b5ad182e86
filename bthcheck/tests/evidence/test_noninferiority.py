"""Tests of "no worse than" by enumeration of signs, Holm's method by its definition, and analysis of variance by loops."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bthcheck.evidence import (
    CONDITION,
    LEVEL,
    Verdict,
    distinguishable,
    granulated_tau,
    holm,
    non_inferiorities,
    non_inferiority,
    noninferiority,
)
from bthcheck.tests.evidence.test_ranking import grid


def planted(noise, seeds=12, seed=11):
    """A gap that depends on width and rate, and a measure that is the gap with noise of its own."""
    gap = grid(seed, seeds) * 0.1 + xr.DataArray([0, 1, 2], dims="width") + xr.DataArray([2.0, 1, 0], dims="rate")
    return (gap + noise * grid(seed + 1, seeds)).rename("measure"), gap.rename("gap")


def p_by_signs(differences):
    """The share of all signs of the differences that have at least the sum of positive ranks that was found."""
    some = differences[differences != 0]
    ranks = stats.rankdata(np.abs(some))
    sums = [ranks[np.array(signs)].sum() for signs in itertools.product([False, True], repeat=len(some))]
    return np.mean(np.array(sums) >= ranks[some > 0].sum() - 1e-9)


@pytest.mark.parametrize("margin", [0.1, 0.02])
def test_p_is_that_of_all_signs_of_the_differences_of_psi(margin):
    measure, gap = planted(1.0, seeds=9)
    rival = planted(1.5, seeds=9)[0]
    rival = rival.copy(data=rival.values[..., ::-1])
    finding = non_inferiority(measure, rival, gap, margin=margin)
    difference = (granulated_tau(measure, gap) - granulated_tau(rival, gap)).values
    shifted = np.round(difference + margin, 10)
    assert finding.p == pytest.approx(p_by_signs(shifted))
    assert finding.p_opposite == pytest.approx(p_by_signs(-shifted))
    ranks = stats.rankdata(np.abs(shifted[shifted != 0]))
    assert finding.statistic == ("W", ranks[shifted[shifted != 0] > 0].sum())
    assert finding.effect == pytest.approx(difference.mean())
    assert finding.interval[0] <= finding.effect <= finding.interval[1]
    assert (finding.blocks, finding.level, finding.minimum_effect) == (9, LEVEL, -margin)
    assert finding.table["values"] == [[*pair] for pair in zip(*(
        granulated_tau(array, gap).values.tolist() for array in (measure, rival)), strict=True)]  # fmt: skip


def test_a_measure_is_no_worse_than_itself_or_a_worse_one_and_the_worse_one_is():
    measure, gap = planted(0.2)
    worse = planted(3.0)[0].rename("worse")
    assert non_inferiority(measure, measure, gap).verdict is Verdict.SUPPORTED
    supported, refuted = non_inferiority(measure, worse, gap), non_inferiority(worse, measure, gap)
    assert (supported.verdict, refuted.verdict) == (Verdict.SUPPORTED, Verdict.REFUTED)
    assert supported.quantity == "Ψ of measure"
    assert supported.expectation == "is at most 0.1 below Ψ of worse"
    assert refuted.reason.startswith("Ψ of worse is significantly worse: not “is at most 0.1 below Ψ of measure”")


def test_below_by_exactly_the_margin_says_nothing():
    """Ψ of −1 and 1, and a margin of 2: every difference plus the margin is 0."""
    gap = grid(1, 12)
    finding = non_inferiority(-gap, gap, gap, margin=2)
    assert finding.p == finding.p_opposite == 1
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_few_seeds_are_said():
    measure, gap = planted(0.2, seeds=4)
    finding = non_inferiority(measure, measure, gap)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "4 seeds are too few for any p below 0.062" in finding.reason


def test_axes_may_be_chosen():
    measure, gap = planted(0.2)
    rival = measure * xr.DataArray([1.0, -1], dims="depth")
    whole, part = (non_inferiority(rival, measure, gap, axes=axes) for axes in (None, ["width"]))
    expected = granulated_tau(rival, gap, ["width"]) - granulated_tau(measure, gap, ["width"])
    assert part.effect == pytest.approx(float(expected.mean()))
    assert part.effect != pytest.approx(whole.effect)


def test_p_values_of_several_rivals_are_holm_s():
    measure, gap = planted(0.8)
    rivals = {f"rival {k}": planted(noise)[0].copy(data=planted(noise, seed=30 + k)[0]) for k, noise in enumerate((0.2, 2, 3))}
    alone = [non_inferiority(measure, rival, gap) for rival in rivals.values()]
    together = non_inferiorities(measure, rivals, gap)
    assert [finding.p for finding in together] == pytest.approx(holm([finding.p for finding in alone]))
    assert [finding.p_opposite for finding in together] == pytest.approx(holm([finding.p_opposite for finding in alone]))
    assert [finding.table["columns"][1] for finding in together] == [f"Ψ of {name}" for name in rivals]
    assert all(finding.test == "Wilcoxon signed-rank test, exact, Holm over 3 rivals" for finding in together)
    assert [finding.verdict for finding in non_inferiorities(measure, rivals, gap, level=1e-9)] == [Verdict.INCONCLUSIVE] * 3


def holm_by_hand(ps):
    """Hypothesis i is rejected at a level if the j smallest are, each at level/(m − j + 1): the smallest such level."""
    adjusted = {}
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, (len(ps) - rank) * ps[index])
        adjusted[index] = min(1.0, largest)
    return [adjusted[index] for index in range(len(ps))]


@pytest.mark.parametrize("ps", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.4, 0.9], [0.2], [0.01, 0.01, 0.01], [0.01, 0.02, 0.021]])
def test_holm_by_its_definition(ps):
    assert holm(ps) == pytest.approx(holm_by_hand(ps))


def test_holm_of_an_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with pytest.raises(ValueError, match=r"p-values must be from 0 to 1, got 0\.5, 1\.5"):
        holm([0.5, 1.5])


def test_runs_that_are_not_finite_decide_nothing_and_the_others_stay():
    measure, gap = planted(0.2)
    broken = measure.copy()
    broken[0, 0, 0, 3] = np.nan
    first, second = non_inferiorities(measure, {"broken": broken, "whole": measure}, gap)
    assert first.verdict is Verdict.INCONCLUSIVE
    assert first.p is None
    assert first.reason == "1 of 24 values are not finite"
    assert second.verdict is Verdict.SUPPORTED
    diverged = measure.assign_coords(diverged=measure > measure.max() - 1e-12)
    assert "1 run(s) diverged: width=" in non_inferiority(diverged, measure, gap).reason


def test_errs_no_more_often_than_its_level_where_neither_is_better(monkeypatch):
    monkeypatch.setattr(noninferiority, "bootstrap_mean", lambda values: (0.0, 0.0))
    generator = np.random.default_rng(0)
    coords, dims = {"width": range(4), "seed": range(10)}, ("width", "seed")
    level, hits, trials = 0.05, 0, 60
    for _ in range(trials):
        gap, one, other = (xr.DataArray(generator.normal(size=(4, 10)), coords, dims) for _ in range(3))
        hits += non_inferiority(one, other, gap, margin=1e-9, level=level).p <= level
    assert hits <= stats.binom.ppf(0.999, trials, level)


def by_loops(table):
    """F and ICC(C,1) of (seeds, models) numbers, sums of squares one by one."""
    seeds, models = len(table), len(table[0])
    grand = sum(map(sum, table)) / (seeds * models)
    columns = [sum(row[j] for row in table) / seeds for j in range(models)]
    rows = [sum(row) / models for row in table]
    between = sum(seeds * (mean - grand) ** 2 for mean in columns) / (models - 1)
    within = sum((table[i][j] - rows[i] - columns[j] + grand) ** 2 for i in range(seeds) for j in range(models)) / (
        (models - 1) * (seeds - 1)
    )
    return between / within, (between - within) / (between + (seeds - 1) * within)


def test_shares_of_the_variance_are_those_of_loops():
    gap = planted(0.0)[1]
    table = gap.transpose("seed", ...).values.reshape(12, 18)
    ratio, share = by_loops(table.tolist())
    finding = distinguishable(gap)
    assert finding.statistic == ("F", pytest.approx(ratio))
    assert finding.effect == pytest.approx(share)
    assert finding.test == CONDITION
    assert finding.verdict is Verdict.SUPPORTED
    within = finding.interval
    assert within[0] < share < within[1]


def test_the_p_of_models_is_that_of_the_two_way_analysis():
    gap = grid(3, 5)
    table = gap.transpose("seed", ...).values.reshape(5, 18)
    ratio, _ = by_loops(table.tolist())
    assert distinguishable(gap).p == pytest.approx(float(stats.f.sf(ratio, 17, 17 * 4)))
    shifted = distinguishable(gap + 7 * xr.DataArray(np.arange(5), dims="seed"))  # what seeds have in common is no noise
    assert shifted.statistic[1] == pytest.approx(ratio)


def test_the_interval_covers_the_true_share():
    generator = np.random.default_rng(1)
    truth, covered = 0.4, 0
    for _ in range(300):
        table = math.sqrt(truth) * generator.normal(size=(9, 1)) + math.sqrt(1 - truth) * generator.normal(size=(9, 8))
        low, high = distinguishable(xr.DataArray(table, dims=("width", "seed"))).interval
        covered += low <= truth <= high
    assert 0.91 * 300 <= covered <= 0.985 * 300


def test_noise_alone_is_nothing_to_rank_and_a_small_share_neither():
    finding = distinguishable(grid(3, 12))
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason.endswith("there is too little to rank")
    small = grid(3, 400) + 0.25 * xr.DataArray([0, 1, 2], dims="width")
    finding = distinguishable(small)
    assert finding.p < LEVEL
    assert 0 < finding.effect < 0.2
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert distinguishable(small, minimum=0.01).verdict is Verdict.SUPPORTED


def test_gaps_that_are_all_the_same_or_the_same_in_every_seed():
    constant = xr.full_like(grid(1), 0.1)
    assert distinguishable(constant).verdict is Verdict.INCONCLUSIVE
    certain = constant + xr.DataArray([0, 1, 2], dims="width")
    finding = distinguishable(certain)
    assert (finding.verdict, finding.effect, finding.p) == (Verdict.SUPPORTED, 1, 0)


def test_what_cannot_be_compared_is_said():
    measure, gap = planted(0.2)
    cases = [
        (lambda: non_inferiority(measure, measure, gap, margin=0), "margin must be a finite number above 0, got 0"),
        (lambda: non_inferiorities(measure, {}, gap), "at least one rival"),
        (lambda: distinguishable(gap.isel(seed=0)), "the gap must have a dimension 'seed'"),
        (
            lambda: distinguishable(gap.isel({dim: [0] for dim in gap.dims if dim != "seed"})),
            "at least 2 models to compare, got 1",
        ),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    broken = gap.where(gap.seed > 0)
    assert distinguishable(broken).reason == "18 of 216 values are not finite"


def test_one_seed_shows_no_noise():
    _, gap = planted(0.2)
    found = distinguishable(gap.isel(seed=[0]))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "one seed shows no noise")
