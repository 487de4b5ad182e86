"""What is the same whichever engine trains: labels, levels, divergence, and what is refused before training."""

import numpy as np
import pytest
import torch
import xarray as xr

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tests.training.test_engines import SMALL, STACKS
from bthcheck.training import engines, fused, reference, stacked
from bthcheck.training.engines import resolve
from bthcheck.training.runs import Run
from bthcheck.training.statistics import STATISTICS


def test_a_run_does_not_depend_on_its_neighbours_or_on_threads():
    experiment = SINUSOIDS.replace(epochs=20, seeds=range(6))
    together = bthcheck.run(experiment, progress=False, threads=4)
    alone = bthcheck.run(experiment.replace(levels=(0.75,), seeds=(4,)), progress=False, threads=1)
    one = together.sel(frequency=0.75, seed=4)
    for name in [*STATISTICS, "parameters"]:
        assert np.array_equal(one[name], alone[name].isel(frequency=0, seed=0), equal_nan=True), name


def test_levels_share_points_initial_weights_and_order():
    low, high = (Run(SINUSOIDS, level, 7) for level in (0.25, 1.0))
    assert torch.equal(low.data().x_train, high.data().x_train)
    assert np.array_equal(low.order(), high.order())
    for a, b in zip(low.network().parameters(), high.network().parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_a_diverged_run_is_marked_and_infinite(engine):
    experiment = SMALL.replace(learning_rate=3.0, vary="learning_rate", levels=(0.001, 3.0), seeds=(0,), epochs=5)
    result = bthcheck.run(experiment, engine=engine, progress=False)
    assert result.diverged.values.tolist() == [[False], [True]]
    assert np.isinf(result.trajectory_length.sel(learning_rate=3.0).isel(epoch=-1)).all()
    assert np.isfinite(result.trajectory_length.sel(learning_rate=0.001)).all()
    assert float(result.trajectory_length.mean("epoch").isel(learning_rate=1, seed=0)) == np.inf
    assert result.trajectory_length.sum("epoch").coords["diverged"].values.tolist() == [[False], [True]]


def test_dataset_is_labelled_and_survives_a_file(tmp_path):
    result = bthcheck.run(SMALL.replace(levels=(0.25, 0.5), seeds=(0, 5)), progress=False)
    assert dict(result.sizes) == {"frequency": 2, "seed": 2, "epoch": 6, "parameter": 2507}
    assert result.trajectory_length.dims == ("frequency", "seed", "epoch")
    assert result.attrs["steps_per_epoch"] == 100
    assert result.attrs["lipschitz_every"] == 2
    for name in [*STATISTICS, "learning_rate"]:
        assert result[name].attrs["long_name"]
        assert result[name].attrs["units"]
    assert np.isnan(result.lipschitz_mean.sel(epoch=3)).all()
    assert result.bthcheck.configuration["task"]["train"] == 100
    result.to_netcdf(tmp_path / "runs.nc", engine="scipy")
    import xarray as xr

    with xr.open_dataset(tmp_path / "runs.nc", engine="scipy") as back:
        xr.testing.assert_identical(back.load().drop_vars("diverged"), result.drop_vars("diverged"))
        network = back.bthcheck.weights(0.5, 5)
    assert torch.equal(network.first.bias, result.bthcheck.weights(0.5, 5).first.bias)


def test_levels_may_be_architectures():
    kinds = SMALL.replace(vary="first_layer", levels=("identity", "trained"), seeds=(0,), epochs=1)
    result = bthcheck.run(kinds, progress=False)
    assert result.sizes["parameter"] == 2507 + 100
    for kind in kinds.levels:
        alone = bthcheck.run(kinds.replace(levels=(kind,)), progress=False)
        one, other = (ds.bthcheck.weights(kind, 0).state_dict() for ds in (result, alone))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert "first.weight" in one


def test_a_level_may_be_a_whole_network():
    networks = {"wide": MLP((10, 10, 12, 1)), "narrow": MLP((10, 10, 3, 1))}
    experiment = SMALL.replace(vary="network", levels=("narrow", "wide"), network=networks, seeds=(0, 1), epochs=2)
    result = bthcheck.run(experiment, progress=False)
    assert dict(result.sizes) == {"network": 2, "seed": 2, "epoch": 2, "parameter": 10 + 132 + 13}
    assert result.bthcheck.weights("narrow", 1).layers()[1][0].shape == (3, 10)
    assert result.bthcheck.weights("wide", 0).layers()[1][0].shape == (12, 10)
    assert result.bthcheck.task("wide") == experiment.task
    alone = bthcheck.run(experiment.replace(levels=("wide",)), engine="reference", progress=False)
    np.testing.assert_allclose(result.train_loss.sel(network="wide"), alone.train_loss.sel(network="wide"), rtol=1e-9)
    assert bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(0,)), progress=False).bthcheck.task(0.5).frequency == 0.5


def test_auto_is_fused_where_it_can_be(monkeypatch):
    assert resolve([Run(SMALL.replace(batch_size=16), 0.5, 0)])[0] is fused
    assert resolve([Run(STACKS["convolutions"], 0.5, 0)])[0] is fused
    monkeypatch.setattr(engines, "check_device", lambda device, here=True: None)
    assert resolve([Run(SMALL, 0.5, 0)], device="cuda")[0] is stacked
    with pytest.raises(ValueError, match="engine 'fused' runs on the cpu, got device='cuda'"):
        resolve([Run(SMALL, 0.5, 0)], "fused", "cuda")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "warp"}, "engine must be one of 'auto', 'fused', 'stacked', 'reference', got 'warp'"),
        ({"device": "tpu"}, "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
        ({"device": "cuda:x"}, "device must be"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
        ({"threads": 0}, "threads must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_before_training(arguments, message, monkeypatch):
    monkeypatch.setattr(fused, "train", lambda *a: pytest.fail("it trained"))
    monkeypatch.setattr(reference, "train", lambda *a: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        bthcheck.run(SMALL, progress=False, **arguments)


def test_trace_refuses_more_steps_than_there_are():
    with pytest.raises(ValueError, match="steps must be at most the 600 steps of the experiment, got 601"):
        bthcheck.trace(SMALL, 0.5, 0, 601)


def test_reference_agrees_with_itself_on_another_device(place):
    experiment = SMALL.replace(levels=(0.5,), seeds=(0,), epochs=2)
    cpu, there = (bthcheck.run(experiment, device=device, engine="reference", progress=False) for device in ("cpu", place))
    np.testing.assert_allclose(there.trajectory_length, cpu.trajectory_length, rtol=1e-9)


@pytest.fixture(scope="module")
def pair():
    """Results of two sessions over different seeds."""
    some = SMALL.replace(levels=(0.25, 0.5), epochs=1)
    return [bthcheck.run(some.replace(seeds=seeds), progress=False) for seeds in ((0, 1), (4,))]


def test_results_put_together_know_all_their_seeds(pair):
    """`.experiment` once had the seeds of the first alone."""
    both = xr.concat(pair, "seed", data_vars="minimal")
    assert both.bthcheck.experiment.seeds == (0, 1, 4)
    assert both.bthcheck.experiment == pair[0].bthcheck.experiment.replace(seeds=(0, 1, 4))
    assert torch.equal(both.bthcheck.weights(0.5, 4).first.bias, pair[1].bthcheck.weights(0.5, 4).first.bias)
    assert pair[0].sel(seed=[1]).bthcheck.experiment.seeds == (0, 1)  # a selection keeps it whole
    again = bthcheck.run(both.bthcheck.experiment, progress=False)
    xr.testing.assert_equal(again.drop_vars("diverged"), both.drop_vars("diverged"))


def test_results_that_are_not_of_one_experiment_say_so(pair):
    other = bthcheck.run(SMALL.replace(levels=(0.25, 0.5), epochs=1, seeds=(7,), loss_factor=0.5), progress=False)
    both = xr.concat([pair[0], other], "seed", data_vars="minimal", combine_attrs="drop_conflicts")
    with pytest.raises(ValueError, match="has lost its attribute 'experiment'"):
        _ = both.bthcheck.experiment


def test_weights_of_a_selection_are_those_of_the_run(pair):
    """`sel(seed=1)` leaves no dimension to select from."""
    whole = pair[0]
    expected = whole.bthcheck.weights(0.5, 1).first.bias
    for selected in (whole.sel(seed=1), whole.sel(frequency=0.5), whole.sel(seed=1, frequency=0.5), whole.isel(seed=[1])):
        assert torch.equal(selected.bthcheck.weights(0.5, 1).first.bias, expected)
    with pytest.raises(KeyError, match="the Dataset holds seed 1, got 0"):
        whole.sel(seed=1).bthcheck.weights(0.5, 0)
    with pytest.raises(KeyError, match=r"the Dataset holds frequency 0\.25, 0\.5, got 0\.3"):
        whole.bthcheck.weights(0.3, 0)
