"""The published estimators, from their definitions over every step of a trace by autograd."""

import numpy as np
import pytest

import bthcheck
from bthcheck import published
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid
from bthcheck.training import reference
from bthcheck.training.runs import Run

POINTS, DONE, MORE = 20, 6, 4
LEVELS, SEEDS = (0.5, 1.0), (0, 1, 2)
EXPERIMENT = SINUSOIDS.replace(
    task=Sinusoid(train=POINTS, test=5), network=MLP((10, 10, 16, 16, 1)), epochs=DONE, dtype="float64", levels=LEVELS,
    seeds=SEEDS, learning_rate=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def runs():
    return bthcheck.run(EXPERIMENT, progress=False)


@pytest.fixture(scope="module")
def steps(runs):
    return published.next_steps(runs, MORE)


@pytest.fixture(scope="module")
def traces():
    """Level and seed → the steps of a longer training from its start, in plain PyTorch."""
    longer = EXPERIMENT.replace(epochs=DONE + MORE)
    return {
        (level, seed): reference.trace(Run(longer, level, seed), POINTS * (DONE + MORE)) for level in LEVELS for seed in SEEDS
    }


def test_next_steps_go_on_where_the_training_ended(steps, traces):
    for (level, seed), trace in traces.items():
        one = steps.sel(frequency=level, seed=seed)
        late = slice(POINTS * DONE, None)
        np.testing.assert_allclose(one.phi, trace["phi"][late], rtol=1e-9)
        np.testing.assert_allclose(one.epsilon, trace["epsilon"][late], rtol=1e-9)
        moved = np.diff(trace["bias"][late], axis=0)
        np.testing.assert_allclose(-0.01 * one.gradient, moved, rtol=1e-9, atol=1e-15)


def test_lipschitz_after_is_that_of_the_next_weights_at_the_same_point(steps, traces):
    for (level, seed), trace in traces.items():
        visits = Run(EXPERIMENT.replace(epochs=DONE + MORE), level, seed).order()[DONE:].ravel()
        after = trace["point_lipschitz"][POINTS * DONE + 1 :, :][np.arange(len(visits) - 1), visits[:-1]]
        one = steps.sel(frequency=level, seed=seed)
        np.testing.assert_allclose(one.lipschitz_after[:-1], after, rtol=1e-9)
        assert np.abs(after / one.phi.values[:-1] - 1).max() > 0.01  # which is not λ before the step


def test_lagged_divides_by_the_slope_of_the_step_before(steps, traces):
    got = published.lagged(steps)
    for (level, seed), trace in traces.items():
        norms = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)[POINTS * DONE :]
        slopes = trace["epsilon"][POINTS * DONE :]
        np.testing.assert_allclose(got.sel(frequency=level, seed=seed), norms[1:] / (0.01 * slopes[:-1]), rtol=1e-7)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_averaged_first_is_the_path_of_the_mean_bias(steps, traces, count):
    got = published.averaged_first(steps, count)
    for level in LEVELS:
        bias = np.mean([traces[level, seed]["bias"] for seed in SEEDS[:count]], axis=0)[POINTS * DONE :]
        epsilon = np.mean([traces[level, seed]["epsilon"] for seed in SEEDS[:count]], axis=0)[POINTS * DONE :]
        expected = np.linalg.norm(np.diff(bias, axis=0), axis=1) / (0.01 * epsilon)
        np.testing.assert_allclose(got.sel(frequency=level), expected, rtol=1e-7)
    if count == 1:
        np.testing.assert_allclose(got, steps.phi.isel(seed=0), rtol=1e-12)


def test_distance_from_the_first_step(runs, traces):
    got = published.distance_from_first_step(runs)
    for (level, seed), trace in traces.items():
        expected = np.linalg.norm(trace["bias"][POINTS * DONE] - trace["bias"][1])
        assert float(got.sel(frequency=level, seed=seed)) == pytest.approx(expected, rel=1e-9)


def test_a_selection_of_runs_can_be_followed(runs, steps):
    some = published.next_steps(runs.isel(frequency=[1], seed=[0, 2]), MORE)
    np.testing.assert_array_equal(some.phi, steps.phi.isel(frequency=[1], seed=[0, 2]))


@pytest.mark.parametrize("changes", [{"batch_size": 10}, {"windows": 2}])
def test_minibatches_and_windows_are_refused(changes):
    runs = bthcheck.run(EXPERIMENT.replace(epochs=1, seeds=(0,), **changes), progress=False)
    with pytest.raises(ValueError, match="steps are followed of runs at batch size 1 with windows=1"):
        published.next_steps(runs, 1)
