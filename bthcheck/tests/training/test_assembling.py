"""A Dataset is put together from runs of any sizes, and no number is in memory more often than it has to be."""

import tracemalloc

import numpy as np

from bthcheck.experiments import SINUSOIDS, Experiment
from bthcheck.networks import MLP
from bthcheck.training.dataset import assemble
from bthcheck.training.runs import RunResult
from bthcheck.training.statistics import STATISTICS


def made_up(experiment, sizes, *, diverged=()):
    random = np.random.default_rng(0)
    return {
        (level, seed): RunResult(
            {name: random.random(experiment.training.rows) for name in STATISTICS},
            random.random(size).astype(np.float32),
            (level, seed) in diverged,
            0.0,
        )
        for level, size in zip(experiment.levels, sizes, strict=True)
        for seed in experiment.seeds
    }


def test_every_number_is_where_its_level_and_seed_say():
    networks = {"small": MLP((10, 10, 4, 1)), "large": MLP((10, 10, 8, 1))}
    experiment = Experiment("two", SINUSOIDS.task, "network", ("small", "large"), networks, seeds=(3, 1, 7)).replace(epochs=5)
    results = made_up(experiment, (40, 70), diverged=[("large", 1)])
    dataset = assemble(experiment, results, {"engine": "made up"})
    assert dataset.parameters.dtype == np.float32
    for (level, seed), result in results.items():
        one = dataset.sel(network=level, seed=seed)
        for name in STATISTICS:
            assert one[name].values.tolist() == result.statistics[name].tolist()
        kept = len(result.parameters)
        assert one.parameters.values[:kept].tolist() == result.parameters.tolist()
        assert np.isnan(one.parameters.values[kept:]).all()
        assert len(one.parameters) == 70
        assert bool(one.diverged) == result.diverged
    assert int(dataset.diverged.sum()) == 1


def test_no_number_is_copied_twice():
    experiment = SINUSOIDS.replace(levels=(0.5,), seeds=range(20), epochs=500)
    results = made_up(experiment, (100_000,))
    tracemalloc.start()
    try:
        dataset = assemble(experiment, results, {})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dataset.nbytes > 8e6
    assert peak < 1.1 * dataset.nbytes
