"""Trainings of generated networks, in NumPy, against the engines; and the comparisons that are made of them."""

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.evidence.attacks import cases, histories, theorem3
from bthcheck.experiments import SINUSOIDS, TWO_CLUSTERS
from bthcheck.networks import MLP
from bthcheck.theory import dropout
from bthcheck.theory.trajectory import distance_chain, variance_chain
from bthcheck.training.runs import Run

STEPS = 30
REGRESSION = SINUSOIDS.replace(network=MLP((10, 16, 8, 1), "trained"), dtype="float64", epochs=1, learning_rate=0.01)
IDENTITY = SINUSOIDS.replace(network=MLP((10, 10, 8, 8, 1)), dtype="float64", epochs=1, learning_rate=0.01)
CLASSES = TWO_CLUSTERS.replace(
    network=MLP((TWO_CLUSTERS.task.inputs, 4, 8, 1), "trained", "sigmoid"), dtype="float64", dropout=0.0, epochs=1,
    learning_rate=0.05,
)  # fmt: skip


def history_of(experiment, level):
    """The first steps of a run as a case, and by the reference engine."""
    run = Run(experiment.replace(levels=(level,), seeds=(0,)), level, 0)
    data, network = run.data(), run.network().double()
    layers = tuple((None if w is None else w.numpy(), b.numpy()) for w, b in network.layers())
    visits = run.order()[0][:STEPS].astype(int)
    rates = np.full(len(visits), experiment.training.learning_rate)
    x, y = data.x_train.double().numpy(), data.y_train.double().numpy()
    trace = bthcheck.trace(experiment, level, 0, len(visits), engine="reference")
    return cases.History(layers, network.sigmoid, x, y, visits, rates), trace


@pytest.mark.parametrize("experiment", [REGRESSION, IDENTITY, CLASSES], ids=["regression", "identity", "classes"])
def test_a_training_in_numpy_is_that_of_the_reference_engine(experiment):
    history, expected = history_of(experiment, experiment.levels[0])
    found = histories.traced(history)
    for name in ("phi", "lipschitz", "epsilon", "learning_rate", "bias", "gradient_norm", "point_lipschitz", "first_weight"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-9, atol=1e-12, err_msg=name)
    assert found.phi.values.max() > 0


def test_comparisons_are_those_of_the_chains():
    history, trace = history_of(REGRESSION, 0.5)
    (distance, path, _), _ = distance_chain(trace)
    third = histories.corollary_3(history)
    np.testing.assert_allclose(third.smaller, distance, rtol=1e-7, atol=1e-12)  # n_1 > n: the first inequality alone
    np.testing.assert_allclose(third.larger, path, rtol=1e-9)
    second = histories.corollary_2(history)
    (lower, middle, variance), _ = variance_chain(trace, 2)
    count = len(middle)
    np.testing.assert_allclose(second.smaller[:count], middle, rtol=1e-7)
    np.testing.assert_allclose(second.larger[:count], variance, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(second.smaller[count : 2 * count], lower, rtol=1e-7)
    first = histories.corollary_1(history)
    np.testing.assert_allclose(np.ravel(first.smaller), trace.point_lipschitz.values.ravel(), rtol=1e-9)
    assert np.ravel(first.larger)[0] == pytest.approx(
        np.linalg.svd(trace.first_weight.values[0], compute_uv=False)[0] * trace.gradient_norm.values.max()
    )


def test_the_path_is_bounded_from_above_where_the_first_layer_is_narrow():
    history, trace = history_of(REGRESSION.replace(network=MLP((10, 6, 8, 1), "trained")), 0.5)
    found = histories.corollary_3(history)
    (_, path, upper), _ = distance_chain(trace)
    assert len(found.smaller) == 2 * len(path)
    np.testing.assert_allclose(found.smaller[len(path) :], path, rtol=1e-9)
    np.testing.assert_allclose(found.larger[len(path) :], upper, rtol=1e-7)


def test_the_first_weight_moves_with_its_bias():
    history, _ = history_of(REGRESSION, 0.5)
    found = histories.weight_moves(history)
    assert len(found.smaller) == 2 * STEPS
    np.testing.assert_allclose(found.smaller, found.larger, rtol=1e-9)
    assert (np.abs(found.smaller - found.larger) <= found.tolerance).all()
    assert histories.weight_moves(history_of(IDENTITY, 0.5)[0]).smaller.size == 0  # nothing moves


def test_a_training_that_diverges_is_looked_at_as_far_as_it_goes():
    history, _ = history_of(REGRESSION, 0.5)
    wild = cases.History(history.layers, False, history.x, history.y, history.visits, np.full(STEPS, 1e9))
    found = histories.traced(wild)
    assert 0 < found.sizes["step"] < STEPS
    assert all(np.isfinite(values.values).all() for values in found.values())
    assert found.sizes["step_after"] == found.sizes["step"] + 1


def test_dropout_in_numpy_is_that_of_the_fused_engine():
    one = theorem3.alike(
        {"kind": "symmetric", "k": 5, "bias": -0.001, "second": [[-1.0, 1.0, 0.5], [0.5, 0.25, -1.0]],
         "points": [[1.0, 0.0], [0.0, 2.0]], "query": 0.5, "steps": 12, "seed": 3}
    )  # fmt: skip
    found = theorem3.watched(one)
    network = cases.network_of(tuple(one.layers), "sigmoid")
    packed = np.packbits(one.kept.astype(np.uint8), axis=1)
    x, y = torch.from_numpy(one.x), torch.from_numpy(one.y)
    expected = dropout.watch(network, x, y, one.visits, theorem3.RATE, packed)
    for name in ("phi", "beta", "mu"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert found.gamma == pytest.approx(expected.gamma, rel=1e-3)
    assert (found.changed == expected.changed).all()
    weights = [tensor for network in (found.network, expected.network) for tensor in [network.layers()[1][0]]]
    torch.testing.assert_close(*weights, rtol=1e-12, atol=1e-14)
    assert dropout.bound(found, x).lipschitz == pytest.approx(dropout.bound(expected, x).lipschitz, rel=1e-6)


def test_the_known_counterexample_to_theorem_3_is_one_of_alike_neurons():
    """The network of `bthcheck.theory.dropout.counterexample` and its ratio, in which nothing is dropped."""
    k = 100
    made = dropout.counterexample(k)
    case = {"kind": "symmetric", "k": k, "bias": -0.001, "second": [[-1.0, 1.0, 0.01]], "points": [[1.0, 0.0], [0.0, 2.0]],
            "query": 0.5, "steps": 0, "seed": 0}  # fmt: skip
    one = theorem3.alike(case)
    assert torch.equal(made.x_train, torch.from_numpy(one.x))
    assert torch.equal(made.query, torch.from_numpy(one.query))
    for (w, b), (weight, bias) in zip(one.layers[1:], made.network.layers()[1:], strict=True):
        np.testing.assert_allclose(w, weight.numpy())
        np.testing.assert_allclose(b, bias.numpy())
    found = theorem3.steady_bound(one)
    assert float(found.smaller[0] / found.larger[0]) == pytest.approx(np.sqrt(k) / (2 * np.log(k + 1)), rel=0.02)


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[0.0, 2.0]]},  # the second neuron is on nowhere, and at the query it is
        {"second": [[-1.0, 0.501, 0.01]], "bias": 0.001},  # at the query it is on its edge
        {"points": [[1.0, 0.0], [0.0, 1.0010005]]},  # at points of the second kind, off by 5e-7
    ],
)
def test_where_a_condition_of_theorem_3_fails_nothing_is_compared(change):
    case = {"kind": "symmetric", "k": 6, "bias": -0.001, "second": [[-1.0, 1.0, 0.01]], "points": [[1.0, 0.0], [0.0, 2.0]],
            "query": 0.5, "steps": 2, "seed": 0}  # fmt: skip
    assert theorem3.steady_bound(theorem3.alike(case)).smaller.size == 1
    assert theorem3.steady_bound(theorem3.alike({**case, **change})).smaller.size == 0
