"""The published estimators, from their definitions over every step of a trace by autograd."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.geometry import lipschitz, regions
from bthcheck.geometry.regions import Status
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid
from bthcheck.tests.training.test_engines import Sign
from bthcheck.theory import published
from bthcheck.training import fused, reference
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


@pytest.mark.parametrize("changes", [{"batch_size": 10}, {"windows": 2}, {"dropout": 0.5}])
def test_minibatches_windows_and_dropout_are_refused(changes):
    runs = bthcheck.run(EXPERIMENT.replace(epochs=1, seeds=(0,), **changes), progress=False)
    with pytest.raises(ValueError, match="steps are followed of runs with batch_size=1, windows=1 and dropout=0"):
        published.next_steps(runs, 1)


def test_the_last_increment_counts_twice(steps, traces):
    got = published.last_twice(steps)
    for (level, seed), trace in traces.items():
        phi = trace["phi"][POINTS * DONE :]
        expected = np.append(phi, phi[-1]).sum()
        assert float(got.sel(frequency=level, seed=seed)) == pytest.approx(expected, rel=1e-9)
        assert expected > phi.sum()


def test_a_halved_loss_at_twice_the_rate_makes_the_same_run_and_half_of_the_published_length():
    """Trained here as the code would: half the loss, ε = |1 − y − f|, by autograd."""
    experiment = SINUSOIDS.replace(
        task=Sign(train=30, test=4),
        network=MLP((10, 10, 8, 1), output="sigmoid"),
        dtype="float64",
        epochs=1,
        learning_rate=0.05,
    )
    run = Run(experiment, 0.5, 1)
    whole = fused.train(run)
    network, data = run.network(), run.data()
    rate, length, defined = 0.1, 0.0, 0.0
    for point in run.order()[0].tolist():
        f, y = network(data.x_train[point : point + 1]), data.y_train[point]
        loss = -(y * f.log() + (1 - y) * (1 - f).log()).sum() / 2
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        moved, q = rate * float(gradients[0].norm()), float((1 - y - f.detach()).abs())
        length += moved / (rate * q)
        defined += moved / (rate * 0.5 / q)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    np.testing.assert_allclose(whole.parameters, reference.flat_parameters(network), rtol=1e-9)
    assert published.halved(whole.statistics["published_length"]) == pytest.approx(length, rel=1e-9)
    assert whole.statistics["trajectory_length"] == pytest.approx(defined, rel=1e-9)


@pytest.fixture(scope="module")
def surveyed():
    """A small network, its training points, points elsewhere, and what is made of them without a look at any status."""
    network = MLP((2, 6, 5, 1), "trained").build(seed=1).double()
    generator = torch.Generator().manual_seed(0)
    x_train, x = (2 * torch.randn(size, 2, dtype=torch.float64, generator=generator) for size in (25, 120))
    return network, x_train, x, published.unchecked(network, x_train, x)


def test_what_is_drawn_without_a_bound_is_the_cheapest_combination_nearest_to_the_pattern(surveyed):
    network, x_train, x, found = surveyed
    widths = regions.hidden_widths(network)
    columns, targets = (regions.kronecker(regions.activation_patterns(network, points), widths).T for points in (x_train, x))
    slopes = lipschitz.local_lipschitz(network, x_train).numpy()
    hopeless = np.flatnonzero(found.status == Status.INFEASIBLE)
    assert len(hopeless) > 5
    np.testing.assert_array_equal(np.isfinite(found.drawn), found.status == Status.INFEASIBLE)
    projector = columns @ np.linalg.pinv(columns)
    for region in hopeless:
        exact = linprog(np.tile(slopes, 2), A_eq=np.hstack([columns, -columns]), b_eq=targets[:, region])
        assert exact.status == 2
        near = projector @ targets[:, region]
        plain = linprog(np.tile(slopes, 2), A_eq=np.hstack([columns, -columns]), b_eq=near)
        assert float(found.drawn[region]) == pytest.approx(plain.fun, rel=1e-6)


def test_an_interior_solution_has_more_coefficients_than_a_vertex(surveyed):
    network, x_train, x, found = surveyed
    bounded = np.flatnonzero(found.status == Status.BOUNDED)
    assert len(bounded) > 5
    assert (found.counted[bounded] > found.nonzeros[bounded]).any()
    assert (found.counted >= found.above).all()
    assert (found.above[bounded] >= 1).all()
    assert not found.counted[np.setdiff1d(np.arange(len(x)), bounded)].any()
    some = published.unchecked(network, x_train, x, programs=2)
    assert np.flatnonzero(some.counted).tolist() == bounded[:2].tolist()
    widths = regions.hidden_widths(network)
    columns = regions.kronecker(regions.activation_patterns(network, x_train), widths).T
    target = regions.kronecker(regions.activation_patterns(network, x[bounded[:1]]), widths)[0]
    slopes = lipschitz.local_lipschitz(network, x_train).numpy()
    k = published._interior(columns, slopes, target)
    np.testing.assert_allclose(columns @ k, target, atol=1e-6)
    assert slopes @ np.abs(k) == pytest.approx(float(found.bound[bounded[0]]), rel=1e-5)


def test_unchecked_bounds_are_those_of_regression(surveyed):
    _, x_train, x, _ = surveyed
    sigmoid = MLP((2, 6, 5, 1), "trained", "sigmoid").build(seed=1).double()
    with pytest.raises(ValueError, match="networks without a sigmoid"):
        published.unchecked(sigmoid, x_train, x)
