"""Rivals of φ, against loops over the statistics of runs and autograd on their trained weights."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import bthcheck
from bthcheck.experiments import SINUSOIDS, Experiment, Training
from bthcheck.networks import MLP
from bthcheck.tasks import SinusoidSign
from bthcheck.tests.training.samples_own import Residual, Wave
from bthcheck.theory import rivals
from bthcheck.theory.capacity import distance, log_spectral_norms, parameter_count, path_norm
from bthcheck.theory.sharpness import sharpness
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

CLASSIFIERS = Experiment(
    "classifiers",
    SinusoidSign(train=30, test=40),
    "network",
    ("narrow", "wide"),
    {"narrow": MLP((10, 10, 4, 1), output="sigmoid"), "wide": MLP((10, 10, 9, 9, 1), output="sigmoid")},
    Training(epochs=8, learning_rate=0.03, decay=0.99, loss_factor=0.5, dtype="float64", windows=3, lipschitz_every=2),
    (0, 3),
)
RATES = SINUSOIDS.replace(
    vary="learning_rate", levels=(0.001, 0.01), seeds=(0, 1), epochs=4, network=MLP((10, 10, 5, 1)), dtype="float64"
)
COMMON = 0.3


@pytest.fixture(scope="module")
def classifiers():
    return bthcheck.run(CLASSIFIERS, engine="reference", progress=False)


@pytest.fixture(scope="module")
def table(classifiers):
    return rivals.measures(classifiers, COMMON, draws=3, limit=0.02)


def places():
    return [(level, seed) for level in CLASSIFIERS.levels for seed in CLASSIFIERS.seeds]


def by_hand(ds, level, seed):
    """What the statistics of one run say, in plain loops over its windows, three an epoch of ten steps each."""
    run = ds.sel(network=level, seed=seed)
    losses, lengths, updates = (run[name].values.tolist() for name in ("train_loss", "trajectory_length", "update_sum"))
    below = [i for i, value in enumerate(losses) if value < COMMON]
    first = max(
        next((i for i, value in enumerate(ds.train_loss.sel(network=other, seed=seed).values) if value < COMMON), math.nan)
        for other in CLASSIFIERS.levels
    )
    return {
        "loss_sum": sum(losses) / 3,
        "loss_last": sum(losses[-3:]) / 3,
        "loss_from_common": sum(losses[first:]) / 3,
        "update_sum": sum(updates),
        "phi_sum": sum(lengths),
        "phi_below": sum(lengths[i] for i in below) / (10 * len(below)),
        "lipschitz_mean": float(run.lipschitz_mean[-1]),
        "lipschitz_max": float(run.lipschitz_max[-1]),
    }


@pytest.mark.parametrize(("level", "seed"), places())
def test_measures_of_statistics_are_those_of_loops(classifiers, table, level, seed):
    expected = by_hand(classifiers, level, seed)
    assert 0 < expected["loss_from_common"] < expected["loss_sum"]  # the common loss is passed on the way
    for name, value in expected.items():
        assert table[name].sel(network=level, seed=seed).item() == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize(("level", "seed"), places())
def test_measures_of_weights_are_those_of_the_trained_network(classifiers, table, level, seed):
    run = Run(CLASSIFIERS, level, seed)
    network, initial = classifiers.bthcheck.weights(level, seed), run.network()
    x, y, x_test, y_test = run.data()
    found = {name: float(table[name].sel(network=level, seed=seed)) for name in table.data_vars}
    assert found["log_spectral"] == log_spectral_norms(network)
    assert found["path_norm"] == path_norm(network)
    assert found["weight_distance"] == distance(network, initial) > 0
    assert found["parameter_count"] == parameter_count(network) == {"narrow": 10 + 44 + 5, "wide": 10 + 99 + 90 + 10}[level]
    assert found["initial_rate"] == 0.03
    assert found["sharpness"] == sharpness(network, x, y, stream(seed, "perturbation"), draws=3, limit=0.02, loss_factor=0.5)
    assert found["sharpness"] > 1e-3  # far from the largest σ that is tried
    with torch.no_grad():
        f, f_test = network(x), network(x_test)
    cross_entropy = torch.nn.functional.binary_cross_entropy
    assert found["loss_gap"] == pytest.approx(float(cross_entropy(f_test, y_test) - cross_entropy(f, y)) / 2, rel=1e-9)
    wrong = [int((p > 0.5) != (label > 0.5)) for p, label in zip(f.tolist(), y.tolist(), strict=True)]
    wrong_test = [int((p > 0.5) != (label > 0.5)) for p, label in zip(f_test.tolist(), y_test.tolist(), strict=True)]
    assert found["error_gap"] == pytest.approx(np.mean(wrong_test) - np.mean(wrong), abs=1e-12)
    last = classifiers.sel(network=level, seed=seed).isel(epoch=-1)  # the engine's own word on the test points
    assert np.mean(wrong_test) == pytest.approx(last.test_error.item(), abs=1e-12)
    assert float(cross_entropy(f_test, y_test)) / 2 == pytest.approx(last.test_loss.item(), rel=1e-9)


def test_gaps_are_of_fresh_points_where_they_are_asked_for(classifiers, table):
    found = rivals.measures(classifiers, COMMON, draws=1, fresh=700)
    run = Run(CLASSIFIERS, "wide", 3)
    x, y = run.setting.task.fresh(stream(3, "data"), stream(3, "fresh"), 700)
    network = classifiers.bthcheck.weights("wide", 3)
    with torch.no_grad():
        error = float(((network(x) > 0.5) != (y > 0.5)).double().mean())
    trained = run.data()
    with torch.no_grad():
        train = float(((network(trained.x_train) > 0.5) != (trained.y_train > 0.5)).double().mean())
    assert found.error_gap.sel(network="wide", seed=3).item() == pytest.approx(error - train, abs=1e-12)
    others = [name for name in table.data_vars if name not in (*rivals.GAPS, "sharpness")]
    for name in others:
        np.testing.assert_array_equal(found[name], table[name])


def test_fresh_points_must_be_drawn_by_the_task():
    experiment = CLASSIFIERS.replace(
        task=Wave(), seeds=(0,), network=MLP((3, 3, 4, 1)), windows=1, vary="learning_rate", levels=(0.01,)
    )
    own = bthcheck.run(experiment, engine="reference", progress=False)
    with pytest.raises(ValueError, match="fresh points must be of a task that draws them, got Wave"):
        rivals.measures(own, COMMON, fresh=10)


def test_every_measure_is_labelled(table):
    assert table.sizes == {"network": 2, "seed": 2}
    assert all(array.attrs["long_name"] and array.attrs["units"] for array in table.data_vars.values())
    assert {*rivals.GAPS, *rivals.SETTINGS} <= set(table.data_vars)
    assert "diverged" in table.coords


def test_regression_has_sharpness_of_its_loss_and_no_error():
    ds = bthcheck.run(RATES, engine="reference", progress=False)
    table = rivals.measures(ds, 0.2, draws=3, limit=0.05)
    assert table.initial_rate.values.tolist() == [[0.001, 0.001], [0.01, 0.01]]
    assert np.isnan(table.error_gap).all()
    x, y, *_ = Run(RATES, 0.01, 1).data()
    expected = sharpness(ds.bthcheck.weights(0.01, 1), x, y, stream(1, "perturbation"), criterion="loss", limit=0.05, draws=3)
    assert table.sharpness.sel(learning_rate=0.01, seed=1) == expected
    last = ds.sel(learning_rate=0.01, seed=1).isel(epoch=-1)
    f = ds.bthcheck.weights(0.01, 1)(x).detach()
    gap = float(last.test_loss) - float((f - y).square().mean()) / 2
    assert table.loss_gap.sel(learning_rate=0.01, seed=1).item() == pytest.approx(gap, rel=1e-9)


def losses(table, seeds=(0, 1), dim="frequency"):
    table = np.asarray(table, float)
    coords = {"seed": list(seeds), "epoch": np.arange(1.0, table.shape[2] + 1)}
    return xr.DataArray(table, coords, (dim, "seed", "epoch"))


def test_the_common_epoch_is_of_the_slowest_run_of_a_seed():
    slow = losses([[[9, 1, 9, 1], [9, 9, 9, 1]], [[1, 1, 1, 1], [1, 9, 9, 9]]])
    other = losses([[[9, 9, 1, 9], [9, 9, 9, 9]]], dim="network")
    assert rivals.common_epoch(slow, threshold=2).values.tolist() == [2, 4]
    found = rivals.common_epoch(slow, other, threshold=2).values
    assert found[0] == 3
    assert np.isnan(found[1])  # one never passes
    half = rivals.common_epoch(losses([[[9, 1], [1, 1]], [[9, 9], [1, 1]]]), threshold=2).values
    assert np.isnan(half[0])
    assert half[1] == 1
    diverged = losses([[[9, 9, np.inf, np.inf], [9, 1, np.inf, np.inf]]])
    assert rivals.common_epoch(slow, diverged, threshold=2).values.tolist() == [2, 4]  # and is not waited for
    with pytest.raises(ValueError, match="must have the same seeds in the same order"):
        rivals.common_epoch(slow, losses([[[1], [1]]], seeds=(1, 0)), threshold=2)
    with pytest.raises(ValueError, match="threshold must be a finite number above 0"):
        rivals.common_epoch(slow, threshold=0)
    with pytest.raises(ValueError, match="at least one experiment's losses"):
        rivals.common_epoch(threshold=1.0)


def test_where_a_run_never_passes_there_is_no_common_sum_and_no_phi_below(classifiers):
    table = rivals.recorded(classifiers, 1e-9)
    assert np.isnan(table.loss_from_common).all()
    assert np.isnan(table.phi_below).all()
    assert np.isfinite(table.loss_sum).all()


def test_the_common_epoch_of_several_experiments_may_be_given(classifiers):
    start = rivals.common_epoch(classifiers.train_loss, threshold=COMMON) + 1
    found = rivals.recorded(classifiers, COMMON, start).loss_from_common
    for level, seed in places():
        run = classifiers.train_loss.sel(network=level, seed=seed)
        expected = sum(
            value for value, epoch in zip(run.values, run.epoch.values, strict=True) if epoch >= start.sel(seed=seed)
        )
        assert found.sel(network=level, seed=seed).item() == pytest.approx(expected / 3)
    for wrong in (start.isel(seed=[0]), start.isel(seed=0), start.isel(seed=[1, 0])):
        with pytest.raises(ValueError, match="start must be one epoch for each seed"):
            rivals.sum_of_losses_from(classifiers, wrong)


def test_a_run_that_diverged_has_infinite_measures_and_its_settings():
    ds = bthcheck.run(RATES.replace(levels=(0.001, 9.0)), engine="reference", progress=False)
    assert ds.diverged.values.tolist() == [[False, False], [True, True]]
    table = rivals.measures(ds, 0.2, draws=2)
    for name in table.data_vars:
        bad = table[name].sel(learning_rate=9.0).values
        if name in rivals.SETTINGS:
            assert np.isfinite(bad).all()
        else:
            assert not np.isfinite(bad).any(), name
    assert np.isfinite(table.sharpness.sel(learning_rate=0.001)).all()
    without = rivals.measures(ds, 0.2, draws=None)
    assert set(table) - set(without) == {"sharpness"}
    xr.testing.assert_identical(without, table.drop_vars("sharpness"))


def test_last_epochs_are_as_many_as_there_are(classifiers):
    with pytest.raises(ValueError, match="last must be at most the 8 epochs there are, got 9"):
        rivals.sum_of_losses(classifiers, last=9)
    whole = rivals.sum_of_losses(classifiers, last=8)
    np.testing.assert_allclose(whole, rivals.sum_of_losses(classifiers), rtol=1e-12)


def test_of_a_module_of_one_s_own_statistics_are_measured_and_weights_are_not():
    own = Experiment("own", Wave(), "frequency", (1.0,), Residual(), Training(2, 6), (0, 1))
    ds = bthcheck.run(own, progress=False)
    assert np.isfinite(rivals.recorded(ds, 100.0).phi_below).all()
    with pytest.raises(ValueError, match="measures of weights are for networks of bthcheck"):
        rivals.measures(ds, 100.0)
