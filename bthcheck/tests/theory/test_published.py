"""The published estimators, from their definitions over every step of a trace by autograd."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

import bthcheck
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.geometry import lipschitz, regions
from bthcheck.geometry.regions import Status
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid, SinusoidSign
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


def test_the_combined_estimator_averages_over_repeats_and_lags(steps, traces):
    """Step by step in loops; neither the lag nor the average alone is near it."""
    got = published.combined(steps, len(SEEDS))
    for level in LEVELS:
        bias, epsilon = (np.mean([traces[level, seed][name] for seed in SEEDS], axis=0) for name in ("bias", "epsilon"))
        expected = [
            np.linalg.norm(bias[t + 2] - bias[t + 1]) / (0.01 * epsilon[t])
            for t in range(POINTS * DONE, POINTS * (DONE + MORE) - 1)
        ]
        np.testing.assert_allclose(got.sel(frequency=level), expected, rtol=1e-7)
    for other in (published.lagged(steps).mean("seed"), published.averaged_first(steps, len(SEEDS))[..., 1:]):
        assert (np.abs(got / other - 1) > 0.01).mean() > 0.9


def test_estimators_at_the_papers_scale():
    """Epochs 3001–3010 of the sinusoids with seeds 0–9, against figures measured with other code, in float32 as there.

    Rounding differs between processors, and training amplifies it; averages over 10 seeds and 1000 steps move by a per cent.
    """
    steps = published.next_steps(bthcheck.run(SINUSOIDS, progress=False), 10)
    expected = {
        (0.306, 0.735, 0.918, 1.139): steps.phi.mean(("seed", "step")),
        (0.161, 0.390, 0.392, 0.481): published.averaged_first(steps, 10).mean("step"),
        (0.192, 0.482, 0.431, 0.524): published.combined(steps, 10).mean("step"),
    }
    for values, got in expected.items():
        np.testing.assert_allclose(got, values, rtol=0.06)
    lagged = published.lagged(steps).mean(("seed", "step"))  # ruled by the smallest ε
    np.testing.assert_allclose(lagged, (2.07, 7.19, 7.10, 10.9), rtol=0.5)


def test_estimators_of_the_small_cnn():
    """Ten epochs of the small CNN with seed 0, an image, against figures measured with other code, in float32 as there.

    A few steps on one hard image decide the reciprocal, which rounding moves by more than the definition.
    """
    small = CORRUPTED_CIFAR_SMALL.replace(epochs=10, windows=400, levels=(0.0, 0.6), seeds=(0,), lipschitz_every=10)
    steps = published.single_steps(bthcheck.run(small, progress=False)).isel(seed=0)
    expected = {
        (1.20, 0.263): (steps.phi, 0.05),
        (20.3, 1.09): (published.reciprocal(steps), 0.25),
        (13.6, 1.05): (published.combined_reciprocal(steps), 0.25),
    }
    for values, (got, tolerance) in expected.items():
        np.testing.assert_allclose(got.sum("step") / 400, values, rtol=tolerance)


@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_single_steps_are_windows_of_one_point(factor, sigmoid):
    experiment = EXPERIMENT.replace(epochs=2, windows=POINTS, levels=(0.5,), seeds=(0,), loss_factor=factor)
    if sigmoid:
        experiment = experiment.replace(task=SinusoidSign(train=POINTS, test=5), network=MLP((10, 10, 5, 1), output="sigmoid"))
    got = published.single_steps(bthcheck.run(experiment, progress=False)).isel(frequency=0, seed=0)
    trace = reference.trace(Run(experiment, 0.5, 0), 2 * POINTS)
    np.testing.assert_allclose(got.phi, trace["phi"], rtol=1e-9)
    np.testing.assert_allclose(got.epsilon, trace["epsilon"], rtol=1e-9)
    with pytest.raises(ValueError, match="with batch_size=1, windows=20 and dropout=0, got 1, 2 and 0"):
        published.single_steps(bthcheck.run(experiment.replace(windows=2), progress=False))


def test_variance_after_the_steps_against_loops(steps, traces):
    got = published.variance_after(steps)
    assert got.sizes["epoch"] == MORE
    for (level, seed), trace in traces.items():
        for epoch in range(MORE):
            first = POINTS * (DONE + epoch)
            for name, shift in (("before", 0), ("after", 1)):
                path = trace["bias"][first + shift : first + shift + POINTS]
                expected = sum(np.sum((b - path.mean(0)) ** 2) for b in path) / POINTS / 0.01**2
                value = float(got[name].sel(frequency=level, seed=seed).isel(epoch=epoch))
                assert value == pytest.approx(expected, rel=1e-7)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(got.after, got.before, rtol=1e-3)


def test_running_means_of_the_absolute_error(steps, traces):
    errors = published.absolute_error(steps)
    running = published.running_mean(errors)
    for (level, seed), trace in traces.items():
        by_epoch = trace["epsilon"].reshape(-1, POINTS)[DONE:].mean(1)  # |f − y| of the squared error, halved once
        one = {"frequency": level, "seed": seed}
        np.testing.assert_allclose(errors.sel(one), by_epoch, rtol=1e-9)
        assert running.sel(one)[2] == pytest.approx(sum(by_epoch[:3]) / 3, rel=1e-9)
    halved = bthcheck.run(EXPERIMENT.replace(loss_factor=0.5, levels=(0.5,), seeds=(0,), windows=POINTS), progress=False)
    run = Run(EXPERIMENT, 0.5, 0)
    network, data, point = run.network(), run.data(), run.order()[0, 0]
    error = (network(data.x_train[point : point + 1]).detach() - data.y_train[point]).abs().item()
    first = published.single_steps(halved).isel(step=slice(1))
    assert published.absolute_error(first).item() == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_reciprocal_slopes_of_the_cross_entropy(factor):
    """Trained here as the code would, |1 − y − f| by hand: of the same step, and of the step before within an epoch."""
    experiment = SINUSOIDS.replace(
        task=SinusoidSign(train=6, test=4), network=MLP((10, 10, 5, 1), output="sigmoid"), dtype="float64", decay=0.5,
        learning_rate=0.05, levels=(0.5,), seeds=(1,), loss_factor=factor, epochs=3,
    )  # fmt: skip
    steps = published.single_steps(bthcheck.run(experiment.replace(windows=6), progress=False)).isel(frequency=0, seed=0)
    run = Run(experiment, 0.5, 1)
    network, data = run.network(), run.data()
    same, lagged, q = [], [], None
    for epoch, order in enumerate(run.order().tolist()):
        rate = 0.05 * 0.5**epoch
        for visit, point in enumerate(order):
            f, y = network(data.x_train[point : point + 1]), data.y_train[point]
            loss = -factor * (y * f.log() + (1 - y) * (1 - f).log()).sum()
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            before = network.first.bias.detach().clone()
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= rate * gradient
            moved = float((network.first.bias.detach() - before).norm())
            previous, q = q, float((1 - y - f.detach()).abs())
            same.append(moved / (rate * q))
            if visit:
                lagged.append(moved / (rate * previous))
    np.testing.assert_allclose(published.reciprocal(steps), same, rtol=1e-7)
    np.testing.assert_allclose(published.combined_reciprocal(steps), lagged, rtol=1e-7)
    assert len(lagged) == 15
    trained = fused.train(run).statistics
    np.testing.assert_allclose(published.reciprocal(steps).values.reshape(3, 6).sum(1), trained["published_length"], rtol=1e-9)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_first_point_of_a_batch_stands_for_it(factor):
    run = Run(EXPERIMENT.replace(batch_size=6, epochs=2, loss_factor=factor), 0.5, 1)
    got, trace = published.first_of_batch(run, 8), reference.trace(run, 8)
    np.testing.assert_allclose(got.phi, trace["phi"], rtol=1e-9)
    network, data = run.network(), run.data()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    batches = [batch for epoch in torch.from_numpy(run.order()).long() for batch in epoch.split(6)]
    assert [len(batch) for batch in batches[:4]] == [6, 6, 6, 2]
    for step, batch in enumerate(batches):
        optimizer.zero_grad()
        (factor * torch.nn.functional.mse_loss(network(data.x_train[batch]), data.y_train[batch]) / 2).backward()
        first = factor * (network(data.x_train[batch[:1]]).detach() - data.y_train[batch[0]]).abs().item()
        expected = float(network.first.bias.grad.norm()) / first
        assert float(got["first"][step]) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
    with pytest.raises(ValueError, match="steps must be at most the 8 steps of the experiment, got 9"):
        published.first_of_batch(run, 9)
    with pytest.raises(ValueError, match="minibatches are looked at in regression"):
        published.first_of_batch(Run(EXPERIMENT.replace(dropout=0.5), 0.5, 1), 1)


def test_runs_of_other_data_share_no_seed(blocks):
    values = blocks(10.0 * np.arange(5)[:, None] + np.arange(4))
    got = published.independent_data(values, "frequency")
    assert got.dims == values.dims
    for seed in range(5):
        assert got.sel(seed=seed).values.tolist() == [10 * ((seed + level) % 5) + level for level in range(4)]
    with pytest.raises(ValueError, match="4 levels need as many seeds to share none, got 3"):
        published.independent_data(values.isel(seed=slice(3)), "frequency")


def test_published_labels_are_the_same_in_every_repeat_and_not_at_every_level():
    clean = (np.arange(40_000) % 2).astype(np.uint8)
    low, high, again = (published.redrawn_labels(clean, level, 7) for level in (0.2, 0.6, 0.2))
    np.testing.assert_array_equal(low.used, again.used)
    assert not (low.redrawn & ~high.redrawn).any()  # nested
    assert low.redrawn.sum() != 8000  # the number is random
    assert low.redrawn.mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_array_equal(low.used[~low.redrawn], clean[~low.redrawn])
    assert (low.used != high.used)[low.redrawn].mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(published.redrawn_labels(clean, 0.0, 7).used, clean)


def test_half_of_an_epoch_is_recorded():
    experiment = EXPERIMENT.replace(windows=2, levels=(0.5,), seeds=(0,), epochs=3)
    runs = bthcheck.run(experiment, progress=False)
    phi = reference.trace(Run(experiment, 0.5, 0), 3 * POINTS)["phi"].reshape(3, 2, POINTS // 2).sum(-1)
    np.testing.assert_allclose(published.recorded(runs).trajectory_length.values.ravel(), phi[:, 0], rtol=1e-9)


def test_maps_are_drawn_with_u_and_v_exchanged():
    generator = torch.Generator().manual_seed(0)
    network = MLP((3, 6, 5, 1), "trained").build(seed=1).double()
    plane = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    x_train = torch.randn(9, 2, dtype=torch.float64, generator=generator) @ plane.T
    axis = np.linspace(-1, 1, 6)
    found = regions.plane_regions(network, x_train, plane, u=axis, v=axis)
    drawn = published.exchanged(found.output)
    for i, u in enumerate(axis):
        for j, v in enumerate(axis):
            f = network((plane @ torch.tensor([v, u], dtype=torch.float64))[None]).item()
            assert float(drawn[i, j]) == pytest.approx(f, rel=1e-9)
    assert np.abs(drawn - found.output).max() > 0.01
    np.testing.assert_array_equal(published.exchanged(drawn), found.output)
    with pytest.raises(ValueError, match=r"u and v .* must have the same coordinates"):
        published.exchanged(found.output.isel(u=slice(3)))


@pytest.fixture(scope="module")
def surveyed():
    """A small network, its training points, points elsewhere, and what is made of them without a look at any status."""
    network = MLP((2, 6, 5, 1), "trained").build(seed=1).double()
    generator = torch.Generator().manual_seed(0)
    x_train, x = (2 * torch.randn(size, 2, dtype=torch.float64, generator=generator) for size in (25, 120))
    return network, x_train, x, published.unchecked(network, x_train, x)


def test_a_program_without_a_solution_is_drawn_as_0(surveyed):
    """Each program anew, on its own: where it has a solution that is drawn, and 0 where it has none."""
    network, x_train, x, found = surveyed
    widths = regions.hidden_widths(network)
    columns, targets = (regions.kronecker(regions.activation_patterns(network, points), widths).T for points in (x_train, x))
    slopes = lipschitz.local_lipschitz(network, x_train).numpy()
    hopeless = np.flatnonzero(found.status == Status.INFEASIBLE)
    assert len(hopeless) > 5
    for region in range(len(x)):
        exact = linprog(np.tile(slopes, 2), A_eq=np.hstack([columns, -columns]), b_eq=targets[:, region])
        assert (exact.status == 2) == (region in hopeless)
        assert float(found.drawn[region]) == pytest.approx(exact.fun or 0.0, rel=1e-6, abs=1e-12)
    assert (found.lipschitz[hopeless] > 0).any()


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
    k = published.programs._interior(columns, slopes, target)
    np.testing.assert_allclose(columns @ k, target, atol=1e-6)
    assert slopes @ np.abs(k) == pytest.approx(float(found.bound[bounded[0]]), rel=1e-5)


def test_unchecked_bounds_are_those_of_regression(surveyed):
    _, x_train, x, _ = surveyed
    sigmoid = MLP((2, 6, 5, 1), "trained", "sigmoid").build(seed=1).double()
    with pytest.raises(ValueError, match="networks without a sigmoid"):
        published.unchecked(sigmoid, x_train, x)
