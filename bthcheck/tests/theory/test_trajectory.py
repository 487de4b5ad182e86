"""What is read off trajectories, against loops that spell the formulas out."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.theory.trajectory import (
    THEOREM_1_ETA,
    after_first_below,
    deviation_scores,
    distance_chain,
    epochs_until,
    first_singular_values,
    variance_chain,
)


@pytest.fixture(scope="module")
def trace():
    experiment = SINUSOIDS.replace(network=MLP((10, 6, 8, 1), "trained"), dtype="float64", learning_rate=0.02, epochs=2)
    return bthcheck.trace(experiment, level=0.5, seed=0, steps=150, engine="reference")


def test_epochs_until_counts_epochs_and_censors():
    loss = xr.DataArray([[3.0, 1, 2, 0.5], [3, 3, 3, 3], [0.1, 3, 3, 3]], {"epoch": [1, 2, 3, 4]}, ("seed", "epoch"))
    assert epochs_until(loss, 1.5).values.tolist() == [2, 5, 1]
    diverged = loss.assign_coords(diverged=("seed", [False, True, False]))
    assert epochs_until(diverged, 1.5).coords["diverged"].values.tolist() == [False, True, False]  # not merely censored


def test_singular_values_follow_the_first_layer(trace):
    largest, smallest = first_singular_values(trace)
    weight = trace.first_weight.values[70]
    gram = np.linalg.eigvalsh(weight @ weight.T)
    assert largest[70] == pytest.approx(math.sqrt(gram[-1]))
    assert smallest[70] == pytest.approx(math.sqrt(gram[0]))
    assert largest[0] != largest[-1]


@pytest.mark.parametrize("biases", [2, 7])
def test_variance_chain_against_loops(trace, biases):
    (lower, middle, variance), tolerance = variance_chain(trace, biases)
    b = trace.bias.values
    windows = len(b) - biases + 1
    assert len(lower) == len(middle) == len(variance) == windows
    for start in (0, 40, windows - 1):
        window = b[start : start + biases]
        mean = sum(window) / biases
        expected = sum(float(((row - mean) ** 2).sum()) for row in window) / biases
        moves = sum(float(((window[i + 1] - window[i]) ** 2).sum()) for i in range(biases - 1))
        steep = sum(
            float(trace.learning_rate[t] * trace.epsilon[t] * trace.lipschitz[t]) ** 2
            / np.linalg.norm(trace.first_weight.values[t], 2) ** 2
            for t in range(start, start + biases - 1)
        )
        assert variance[start] == pytest.approx(expected, rel=1e-9)
        assert middle[start] == pytest.approx(moves / (4 * biases), rel=1e-6)
        assert lower[start] == pytest.approx(steep / (4 * biases), rel=1e-9)
    assert (tolerance < 1e-6 * variance.max()).all()  # rounding, not slack


def test_distance_chain_against_loops(trace):
    (distance, path, upper), tolerance = distance_chain(trace)
    b = trace.bias.values
    for step in (1, 60, 150):
        assert distance[step - 1] == pytest.approx(np.linalg.norm(b[step] - b[0]))
        moved = sum(np.linalg.norm(b[t + 1] - b[t]) for t in range(step))
        assert path[step - 1] == pytest.approx(moved, rel=1e-9)
        steep = sum(
            float(trace.learning_rate[t] * trace.epsilon[t] * trace.lipschitz[t])
            / np.linalg.svd(trace.first_weight.values[t], compute_uv=False)[-1]
            for t in range(step)
        )
        assert upper[step - 1] == pytest.approx(steep, rel=1e-9)
    assert (tolerance < 1e-9).all()


def test_deviation_against_loops(trace):
    deviation, bound, largest, score = deviation_scores(trace)
    norms, steps = trace.gradient_norm.values, trace.sizes["step"]
    averages = [sum(row) / len(row) for row in norms]
    assert deviation == pytest.approx(abs(sum(trace.phi.values) / steps - sum(averages) / steps))
    assert bound == pytest.approx(math.sqrt(sum(max(row) ** 2 for row in norms) * math.log(2 / THEOREM_1_ETA) / 2) / steps)
    assert largest == pytest.approx(norms.max())
    spread = sum(sum((value - mean) ** 2 for value in row) / len(row) for row, mean in zip(norms, averages, strict=True))
    expected = sum(phi - mean for phi, mean in zip(trace.phi.values, averages, strict=True)) / math.sqrt(spread)
    assert score == pytest.approx(expected)


def test_weights_of_a_run_that_is_not_there():
    result = bthcheck.run(SINUSOIDS.replace(epochs=1, seeds=(0,), levels=(0.5,)), progress=False)
    with pytest.raises(KeyError):
        result.bthcheck.weights(0.3, 0)


def test_training_on_leaves_a_dataset_alone():
    result = bthcheck.run(SINUSOIDS.replace(epochs=1, seeds=(0,), levels=(0.5,)), engine="reference", progress=False)
    before = result.parameters.values.copy()
    with torch.no_grad():
        for parameter in result.bthcheck.weights(0.5, 0).parameters():
            parameter.zero_()
    assert before.any()
    np.testing.assert_array_equal(result.parameters, before)


def test_runs_are_compared_from_where_they_first_reach_a_loss():
    generator = np.random.default_rng(5)
    loss, values = generator.random((2, 3, 4, 30)) + np.linspace(1, 0, 30)
    loss[0, 0] += 9  # never gets there
    loss[2, 3, :28] += 9  # gets there when few epochs are left
    dims, epochs = ("frequency", "seed", "epoch"), {"epoch": np.arange(1, 31)}
    found = after_first_below(xr.DataArray(values, epochs, dims, name="x"), xr.DataArray(loss, epochs, dims), 0.5, 5)
    assert found.dims == dims[:2]
    for row in np.ndindex(3, 4):
        below = np.flatnonzero(loss[row] < 0.5)
        if len(below) == 0:
            assert np.isnan(found.values[row])
        else:
            assert found.values[row] == pytest.approx(values[row][below[0] : below[0] + 5].mean())
    assert found.attrs["long_name"] == "x, mean over 5 epochs from a loss of 0.5"
