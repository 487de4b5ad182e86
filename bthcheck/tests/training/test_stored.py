"""Results as a file: what is read is what was saved, and nothing else is read."""

import numpy as np
import pytest
import xarray as xr

import bthcheck
from bthcheck.experiments import MNIST_ARCHITECTURES, SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tasks import CorruptedImages, Sinusoid
from bthcheck.training.stored import LARGEST_SEED, load, save

TINY = SINUSOIDS.replace(task=Sinusoid(train=4, test=2), network=MLP((10, 10, 3, 1)), levels=(0.5, 1.0), seeds=(2, 5), epochs=2)
NAMED = MNIST_ARCHITECTURES.replace(
    task=CorruptedImages("mnist", ("3", "6"), train=4, test=2),
    levels=("φ", "MLP"),
    network={"φ": MLP((784, 784, 2, 1), output="sigmoid"), "MLP": MLP((784, 784, 3, 1), output="sigmoid")},
    seeds=(0,),
    epochs=2,
)


@pytest.fixture(scope="module")
def results():
    return bthcheck.run(TINY, engine="reference", progress=False)


@pytest.mark.parametrize(
    "experiment", [TINY, NAMED, TINY.replace(dtype="float64", learning_rate=1e9)], ids=["tiny", "named", "infinite"]
)
def test_what_is_read_is_what_was_saved(tmp_path, experiment):
    results = bthcheck.run(experiment, engine="reference", progress=False)
    path = tmp_path / "new" / "results.nc"
    save(results, path)
    read = load(path)
    assert read.identical(results)
    save(results, str(path))  # a path is anything that names a file
    assert load(str(path)).identical(results)
    assert read.bthcheck.experiment == experiment
    assert [read[name].attrs for name in read.variables] == [results[name].attrs for name in read.variables]
    level = experiment.levels[-1]
    for mine, theirs in zip(read.bthcheck.weights(level, experiment.seeds[0]).parameters(),
                            results.bthcheck.weights(level, experiment.seeds[0]).parameters(), strict=True):  # fmt: skip
        assert np.array_equal(mine.detach(), theirs.detach(), equal_nan=True)


def test_the_same_results_are_the_same_file(tmp_path, results):
    for name in ("a.nc", "b.nc"):
        save(results, tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_seed_that_netcdf_cannot_hold_is_refused(tmp_path, results):
    with pytest.raises(ValueError, match=f"seeds must be at most {LARGEST_SEED} to be saved as netCDF, got {2**40}"):
        save(results.assign_coords(seed=[0, 2**40]), tmp_path / "x.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda ds: ds.drop_attrs(), "it names no experiment"),
        (lambda ds: ds.assign_attrs(experiment="{"), "Expecting property name"),
        (lambda ds: ds.assign_attrs(experiment="{}"), "network"),
        (lambda ds: ds.drop_vars("train_loss"), "it has no train_loss of every level, seed and epoch"),
        (lambda ds: ds.isel(epoch=slice(1)), "it has no trajectory_length of every level"),
        (lambda ds: ds.drop_vars("diverged"), "it does not say how it was trained"),
        (lambda ds: ds.assign_attrs(level="seed"), "it does not say how it was trained"),
    ],
)
def test_what_is_not_as_it_was_saved_is_refused(tmp_path, results, change, why):
    path = tmp_path / "x.nc"
    path.write_bytes(bytes(change(results).to_netcdf(engine="scipy")))
    with pytest.raises(ValueError, match=f"x.nc is no file of results that bthcheck saved: .*{why}"):
        load(path)


def test_any_netcdf_is_not_ours(tmp_path):
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "x.nc", engine="scipy")
    with pytest.raises(ValueError, match="it names no experiment"):
        load(tmp_path / "x.nc")
