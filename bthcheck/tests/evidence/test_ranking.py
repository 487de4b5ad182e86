"""Ψ and sign errors, against plain loops over pairs of models and SciPy's Kendall τ."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import kendalltau

from bthcheck.evidence import (
    axis_taus,
    granulated_tau,
    on_axes,
    pair_weight,
    robust_sign_error,
    shuffled,
    sign_errors,
)

AXES = {"width": [8, 32, 64], "depth": [1, 2], "rate": [0.001, 0.01, 0.1]}


def grid(seed=0, seeds=3, draw=None):
    """Random numbers over the axes and seeds."""
    generator = np.random.default_rng(seed)
    shape = (*map(len, AXES.values()), seeds)
    table = generator.normal(size=shape) if draw is None else draw(generator, shape)
    return xr.DataArray(table, {**AXES, "seed": list(range(seeds))}, (*AXES, "seed"), name="value")


def coarse(generator, shape):
    """Few values, so that many are tied."""
    return generator.integers(0, 3, shape).astype(float)


def sign(number):
    return (number > 0) - (number < 0)


def tau_by_hand(measure, gap, axis, seed):
    """The mean over settings of the other axes of Kendall's τ along one, pair by pair."""
    others = [name for name in AXES if name != axis]
    taus = []
    for setting in itertools.product(*(AXES[name] for name in others)):
        where = {**dict(zip(others, setting, strict=True)), "seed": seed}
        m, g = measure.sel(where).values.tolist(), gap.sel(where).values.tolist()
        pairs = list(itertools.permutations(range(len(m)), 2))
        taus.append(sum(sign(m[j] - m[i]) * sign(g[j] - g[i]) for i, j in pairs) / len(pairs))
    return sum(taus) / len(taus)


@pytest.mark.parametrize("draw", [None, coarse], ids=["all differ", "ties"])
def test_granulated_tau_is_that_of_loops(draw):
    measure, gap = grid(1, draw=draw), grid(2, draw=draw)
    taus, psi = axis_taus(measure, gap), granulated_tau(measure, gap)
    for seed in range(3):
        expected = {axis: tau_by_hand(measure, gap, axis, seed) for axis in AXES}
        for axis, value in expected.items():
            assert taus.sel(axis=axis, seed=seed).item() == pytest.approx(value, abs=1e-12)
        assert psi.sel(seed=seed).item() == pytest.approx(sum(expected.values()) / 3, abs=1e-12)
    chosen = granulated_tau(measure, gap, ["width", "rate"])
    np.testing.assert_allclose(chosen, taus.sel(axis=["width", "rate"]).mean("axis"), atol=1e-12)


def test_along_one_axis_alone_it_is_scipy_s_tau():
    measure, gap = grid(1).isel(depth=0, rate=0), grid(2).isel(depth=0, rate=0)
    expected = [kendalltau(measure.sel(seed=seed), gap.sel(seed=seed)).statistic for seed in range(3)]
    np.testing.assert_allclose(granulated_tau(measure, gap), expected)


def test_a_measure_ranks_like_itself_and_against_its_negative():
    gap = grid(3)
    assert granulated_tau(gap, gap).values.tolist() == [1, 1, 1]
    assert granulated_tau(-gap, gap).values.tolist() == [-1, -1, -1]
    np.testing.assert_allclose(granulated_tau(np.exp(grid(4)), gap), granulated_tau(grid(4), gap))  # of ranks alone


def test_a_setting_alone_orders_along_its_axis_and_ties_along_the_others():
    gap = grid(5) + 100 * xr.DataArray([0, 1, 2], dims="rate")
    rate = xr.DataArray(AXES["rate"], {"rate": AXES["rate"]}, "rate")
    assert axis_taus(rate, gap).sel(seed=1).values.tolist() == [0, 0, 1]
    assert granulated_tau(rate, gap).values == pytest.approx([1 / 3] * 3)


def test_a_seed_with_a_number_that_is_not_finite_has_no_psi():
    measure, gap = grid(1), grid(2)
    for bad in (np.nan, np.inf):
        broken = measure.copy()
        broken[1, 1, 1, 2] = bad
        for found in (granulated_tau(broken, gap), granulated_tau(gap, broken)):
            assert np.isfinite(found.values).tolist() == [True, True, False]


@pytest.mark.parametrize(("difference", "points"), [(0.0, 2000), (0.03, 2000), (0.05, 2000), (0.05, 100), (-0.5, 100)])
def test_weights_are_hoeffding_s(difference, points):
    half = 2 * math.exp(-2 * points * (difference / 2) ** 2)  # one error is off by more than half the difference
    expected = max(0.0, max(0.0, 1 - half) ** 2 - 0.5)
    found = pair_weight(xr.DataArray([difference]), points)
    assert found.item() == pytest.approx(expected, abs=1e-12)


def errors(seed, seeds=3):
    return 0.15 + 0.1 * grid(seed, seeds)


def environment_by_hand(measure, gap, axis, low, high, points, setting=None):
    total = squares = wrong = 0.0
    count = 0
    others = [name for name in AXES if name != axis]
    for place in [setting] if setting else itertools.product(*(AXES[name] for name in others)):
        for seed in gap.seed.values.tolist():
            where = {**dict(zip(others, place, strict=True)), "seed": seed}
            m, g = ([float(array.sel({axis: value, **where})) for value in (low, high)] for array in (measure, gap))
            w = max(0.0, max(0.0, 1 - 2 * math.exp(-points * (g[1] - g[0]) ** 2 / 2)) ** 2 - 0.5)
            total, squares, count = total + w, squares + w**2, count + 1
            wrong += w * (1 - sign(m[1] - m[0]) * sign(g[1] - g[0])) / 2
    return wrong / total, total**2 / squares, count


@pytest.mark.parametrize("draw", [None, coarse], ids=["all differ", "ties"])
def test_sign_errors_are_those_of_loops(draw):
    measure, gap = grid(1, draw=draw), errors(2)
    found = sign_errors(measure, gap, 2000)
    pairs = [(axis, *pair) for axis, values in AXES.items() for pair in itertools.combinations(values, 2)]
    assert found.sizes == {"environment": 7}
    for row, (axis, low, high) in enumerate(pairs):
        one = found.isel(environment=row)
        assert (one.axis.item(), one.low.item(), one.high.item()) == (axis, f"{low:g}", f"{high:g}")
        expected = environment_by_hand(measure, gap, axis, low, high, 2000)
        assert [one.sign_error.item(), one.effective.item(), one.pairs.item()] == pytest.approx(expected, rel=1e-12)


def test_an_environment_may_be_a_pair_of_settings():
    measure, gap = grid(1, 20), errors(2, 20)
    found = sign_errors(measure, gap, 2000, grouping="settings")
    assert found.sizes == {"environment": 3 * 6 + 1 * 9 + 3 * 6}
    row = found.isel(environment=7)
    assert (row.axis.item(), row.low.item(), row.high.item(), row.others.item()) == ("width", "8", "64", "depth=1, rate=0.01")
    expected = environment_by_hand(measure, gap, "width", 8, 64, 2000, (1, 0.01))
    assert [row.sign_error.item(), row.effective.item(), row.pairs.item()] == pytest.approx(expected)
    assert expected[2] == 20


def test_the_worst_environment_with_enough_pairs_counts():
    table = xr.Dataset(
        {"sign_error": ("environment", [0.2, 0.9, 0.4, np.nan]), "effective": ("environment", [12.0, 11.9, 50.0, 0.0])}
    )
    assert robust_sign_error(table) == 0.4
    assert math.isnan(robust_sign_error(table.isel(environment=[1, 3])))


def test_sign_errors_of_the_gap_itself_its_negative_and_what_tells_nothing_apart():
    gap = errors(2, 12)
    for measure, expected in ((gap, 0.0), (-gap, 1.0), (xr.zeros_like(gap), 0.5)):
        assert robust_sign_error(sign_errors(measure, gap, 2000)) == expected


def test_a_coin_errs_in_half_of_the_pairs_and_so_does_a_placebo():
    gap = errors(2, 400)
    for measure in (grid(7, 400), shuffled(gap, np.random.default_rng(0))):
        found = sign_errors(measure, gap, 2000)
        assert (found.effective > 500).all()
        np.testing.assert_allclose(found.sign_error, 0.5, atol=0.08)
        assert abs(float(granulated_tau(measure, gap).mean())) < 0.03


def test_a_placebo_has_the_numbers_of_each_seed():
    measure = grid(1).transpose("seed", "rate", "width", "depth")
    placebo = shuffled(measure, np.random.default_rng(0))
    assert placebo.dims == measure.dims
    for seed in range(3):
        before, after = (array.sel(seed=seed).values.ravel() for array in (measure, placebo))
        assert sorted(before) == sorted(after)
        assert (before != after).any()
    with pytest.raises(ValueError, match="the measure must have a dimension 'seed'"):
        shuffled(measure.isel(seed=0), np.random.default_rng(0))


def test_levels_become_axes():
    names = {"64-1": (64, 1), "8-2": (8, 2), "8-1": (8, 1), "64-2": (64, 2)}
    axes = {name: dict(zip(("width", "depth"), place, strict=True)) for name, place in names.items()}
    values = xr.DataArray(
        np.arange(12.0).reshape(4, 3),
        {"network": list(names), "seed": [0, 1, 2], "diverged": (("network", "seed"), np.arange(12).reshape(4, 3) == 4)},
        ("network", "seed"),
    )
    found = on_axes(values, "network", axes)
    assert found.dims == ("width", "depth", "seed")
    for name, (width, depth) in names.items():
        there = found.sel(width=width, depth=depth)
        assert there.values.tolist() == values.sel(network=name).values.tolist()
        assert there.diverged.values.tolist() == values.sel(network=name).diverged.values.tolist()
    assert found.diverged.dtype == bool
    whole = on_axes(xr.Dataset({"value": values}), "network", axes)
    xr.testing.assert_identical(whole.value, found.rename("value"))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"a": {"width": 1}}, "must say what every level of 'network' stands for, got nothing for 'b'"),
        ({"a": {"width": 1}, "b": {"depth": 1}}, "every level must have the axes width, got depth for 'b'"),
        ({"a": {"width": 1}, "b": {"width": 1}}, "each of its 1 combinations of width once, got 1 of them in 2 levels"),
        ({"a": {"width": 1, "depth": 1}, "b": {"width": 2, "depth": 2}}, "each of its 4 combinations of width, depth once"),
    ],
)
def test_what_is_no_grid_is_said(axes, message):
    values = xr.DataArray(np.zeros((2, 2)), {"network": ["a", "b"], "seed": [0, 1]}, ("network", "seed"))
    with pytest.raises(ValueError, match=message):
        on_axes(values, "network", axes)


def test_what_cannot_be_ranked_is_said():
    measure, gap = grid(1), errors(2)
    cases = [
        (lambda: axis_taus(measure.isel(seed=0), gap.isel(seed=0)), "the gap must have a dimension 'seed'"),
        (lambda: axis_taus(measure, gap.isel(width=0)), "the measure must have no other dimensions than the gap, .* got width"),
        (lambda: axis_taus(measure.isel(seed=[0, 1]), gap), "must have the same values of 'seed'"),
        (lambda: axis_taus(measure.isel(rate=[2, 1, 0]), gap), "must have the same values of 'rate'"),
        (lambda: axis_taus(measure, gap, ["heads"]), "each of axes must be one of 'width', 'depth', 'rate', got 'heads'"),
        (lambda: axis_taus(measure, gap, "rate"), "axes must be a sequence of names, got 'rate'"),
        (lambda: axis_taus(measure, gap, []), "axes must name at least one value"),
        (
            lambda: axis_taus(*(array.isel(width=[0], depth=[0], rate=[0]) for array in (measure, gap))),
            "must have an axis with at least two values",
        ),
        (lambda: sign_errors(measure, gap.where(gap.seed > 0), 100), "need finite numbers, got 1 of 3 seeds"),
        (lambda: sign_errors(measure, gap, 0), "points must be a whole number of at least 1, got 0"),
        (lambda: sign_errors(measure, gap, 100, grouping="all"), "grouping must be one of 'values', 'settings', got 'all'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
