"""Digests of runs: they differ where a bit does, and nowhere else."""

import importlib.metadata

import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.training import digests, machine
from bthcheck.training.statistics import STATISTICS

SMALL = SINUSOIDS.replace(levels=(0.5, 1.0), seeds=(0, 3), epochs=2)


@pytest.fixture(scope="module")
def runs():
    return bthcheck.run(SMALL, progress=False)


def test_a_digest_for_every_run_which_knows_nothing_of_the_others(runs):
    found = digests.of_runs(runs)
    assert {level: len(each) for level, each in found.items()} == {"0.5": 2, "1.0": 2}
    assert len({digest for each in found.values() for digest in each}) == 4
    alone = bthcheck.run(SMALL.replace(levels=(1.0,), seeds=(3,)), progress=False)
    assert digests.of_runs(alone) == {"1.0": [found["1.0"][1]]}
    assert digests.of_runs(runs.transpose("epoch", "seed", ...)) == found


@pytest.mark.parametrize("name", [*STATISTICS, "parameters"])
def test_one_bit_of_one_number_is_seen(runs, name):
    changed = runs.copy(deep=True)
    values = changed[name].transpose("frequency", "seed", ...).values
    values[1, 0, 0] = np.nextafter(values[1, 0, 0], np.inf, dtype=values.dtype) if np.isfinite(values[1, 0, 0]) else 0.0
    before, after = digests.of_runs(runs), digests.of_runs(changed)
    assert before["0.5"] == after["0.5"]
    assert before["1.0"][1] == after["1.0"][1]
    assert before["1.0"][0] != after["1.0"][0]


def test_divergence_is_seen_and_which_nan_is_not(runs):
    changed = runs.copy(deep=True)
    changed.coords["diverged"][0, 0] = True
    assert digests.of_runs(changed)["0.5"][0] != digests.of_runs(runs)["0.5"][0]
    assert np.isnan(runs.train_error.values).all()
    other = runs.copy(deep=True)
    other["train_error"] = -other["train_error"]  # the sign of a NaN
    assert digests.of_runs(other) == digests.of_runs(runs)


def test_what_fills_up_a_smaller_network_is_no_part_of_its_run():
    networks = {"small": MLP((10, 10, 4, 1)), "large": MLP((10, 10, 8, 1))}
    both = SINUSOIDS.replace(
        vary="network", levels=("small", "large"), network=networks, seeds=(0,), epochs=1, task=SINUSOIDS.at(0.5).task
    )
    alone = both.replace(levels=("small",))
    found = digests.of_runs(bthcheck.run(both, progress=False))
    assert digests.of_runs(bthcheck.run(alone, progress=False))["small"] == found["small"]


def test_the_environment_is_known_of_a_package_that_is_not_installed(monkeypatch):
    """One that is found by PYTHONPATH has no metadata: a session of nine minutes ended in an error for it."""
    version = importlib.metadata.version

    def installed(name):
        if name == "bthcheck":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert digests.environment("cpu")["bthcheck"] == bthcheck.__version__


def test_the_environment_is_known_by_what_changes_bits(monkeypatch):
    facts = digests.environment("cpu")
    assert facts["processor"]
    assert set(facts["libraries"]) == {"numpy", "torch", "numba"}
    assert facts == digests.environment("cpu")
    described = machine.describe("cpu")
    for change in ({"NUMBA_CPU_NAME": "generic"}, {"features": "+sse2"}, {"processor": "other"}):
        monkeypatch.setattr(machine, "describe", lambda device, change=change: {**described, **change})
        assert digests.environment("cpu")["digest"] != facts["digest"]
