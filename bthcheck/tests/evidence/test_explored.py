"""Generated experiments for T1: what counts as fit and as reversed, when it ends, and that one is really trained."""

import itertools

import numpy as np
import pytest

from bthcheck.evidence.attacks import experiments
from bthcheck.tests.evidence.test_attacks import Clock


def test_reversals_are_counted_among_the_fit_and_the_others():
    seen = []

    def measure(drawn):
        seen.append((drawn["width"] > 20, drawn["epochs"] > 200))
        phi = [[2.0, 2.0], [1.0, 1.0]] if drawn["width"] > 20 else [[1.0, 1.0], [2.0, 2.0]]
        return np.array(phi), np.full((2, 2), 0.001 if drawn["epochs"] > 200 else 0.1)

    found = experiments.explore(120.0, seeds=itertools.count(1), clock=Clock(), measure=measure)
    assert found.experiments == len(seen) > 50
    assert found.fit == sum(is_fit for _, is_fit in seen) > 0
    assert found.reversed_fit == seen.count((True, True)) > 0
    assert found.reversed_unfit == seen.count((True, False)) > 0
    assert seen.count((False, True)) > 0
    assert found.strongest["margin"] == pytest.approx(1 / 3)
    assert found.strongest["phi"] == [2.0, 1.0]
    assert found.strongest["width"] > 20
    assert found.strongest["epochs"] > 200
    assert found.seconds >= 120.0


def test_an_order_that_not_all_seeds_have_is_not_reversed():
    def measure(drawn):
        return np.array([[9.0, 1.0], [1.0, 2.0]]), np.zeros((2, 2))

    found = experiments.explore(30.0, seeds=itertools.count(1), clock=Clock(), measure=measure)
    assert found.fit == found.experiments > 5
    assert found.reversed_fit == 0


def test_an_experiment_that_diverges_does_not_count():
    found = experiments.explore(
        30.0, seeds=itertools.count(1), clock=Clock(), measure=lambda drawn: (np.full((2, 2), np.nan), np.zeros((2, 2)))
    )
    assert found.experiments == 0
    assert found.strongest is None


def test_what_is_measured_is_the_late_mean_of_phi():
    import bthcheck

    drawn = {"low": 0.25, "high": 0.75, "width": 6, "depth": 2, "learning_rate": 0.01, "epochs": 30, "points": 12, "seed": 4}
    phi, loss = experiments.phi_and_loss(drawn)
    experiment = experiments.experiment_of(drawn)
    assert experiment.levels == (0.25, 0.75)
    assert experiment.seeds == (4, 5)
    assert experiment.network.widths == (10, 10, 6, 6, 1)
    runs = bthcheck.run(experiment, engine="reference", progress=False, threads=1)
    late = runs.trajectory_length.values[..., -3:].mean(axis=-1) / 12
    np.testing.assert_allclose(phi, late, rtol=1e-3)
    np.testing.assert_allclose(loss, runs.train_loss.values[..., -1], rtol=1e-3)
