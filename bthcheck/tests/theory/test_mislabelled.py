"""Scores of points against loops over their visits, and areas against counting pairs."""

import numpy as np
import pytest
import torch
import xarray as xr

import bthcheck
from bthcheck.experiments import DROPOUT
from bthcheck.networks import MLP
from bthcheck.theory.mislabelled import SCORES, area, scores
from bthcheck.training.runs import Run

WIDE = MLP((10, 10, 24, 16, 1), output="sigmoid")


def visits_of(generator, epochs=7, points=12):
    dims = ("epoch", "point")
    values = {name: (dims, generator.random((epochs, points))) for name in ("phi", "epsilon", "loss")}
    values["logit"] = (dims, generator.standard_normal((epochs, points)))
    return xr.Dataset({**values, "target": ("point", generator.integers(0, 2, points).astype(float))})


def test_scores_are_what_loops_add_up():
    visits = visits_of(np.random.default_rng(0))
    visits.logit[:, 0] = -abs(visits.logit[:, 0]) * (2 * visits.target[0] - 1)  # never learned
    found = scores(visits, 5)
    assert set(found) == set(SCORES)
    for point in range(visits.sizes["point"]):
        sums = dict.fromkeys(("phi", "input_gradient", "loss", "margin"), 0.0)
        forgotten, before, learned = 0, False, False
        curvature = 0.0
        for epoch in range(5):
            one = {name: float(visits[name][epoch, point]) for name in ("phi", "epsilon", "loss", "logit")}
            sign = 1 if float(visits.target[point]) == 1 else -1
            sums["phi"] += one["phi"]
            curvature += (one["phi"] ** 2 * (2 + 2 * np.cosh(one["logit"]))) ** 2
            sums["input_gradient"] += one["epsilon"] * one["phi"]
            sums["loss"] += one["loss"]
            sums["margin"] -= sign * one["logit"] / 5
            right = sign * one["logit"] > 0
            forgotten += before and not right
            before, learned = right, learned or right
        probability = 1 / (1 + np.exp(-float(visits.logit[4, point])))
        expected = {
            **sums,
            "error": abs(probability - float(visits.target[point])),
            "curvature": curvature / 5,
            "forgetting": forgotten if learned else 5,
        }
        for name, value in expected.items():
            assert float(found[name][point]) == pytest.approx(value, rel=1e-12), (name, point)


def test_an_area_is_the_share_of_pairs_in_order():
    generator = np.random.default_rng(1)
    for _ in range(20):
        score, positive = generator.integers(0, 6, 15), generator.random(15) < 0.4
        pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
        assert area(score, positive) == pytest.approx(np.mean(pairs))
    assert area(np.arange(5), np.arange(5) > 2) == 1
    assert np.isnan(area(np.arange(3), np.ones(3, bool)))
    assert np.isnan(area(np.arange(3), np.zeros(3, bool)))


def test_what_has_no_scores_is_refused():
    visits = visits_of(np.random.default_rng(2))
    for epochs in (0, 8):
        with pytest.raises(ValueError, match=f"epochs must be from 1 to 7, got {epochs}"):
            scores(visits, epochs)
    with pytest.raises(ValueError, match="targets of 0 and 1"):
        scores(visits.assign(target=visits.target / 2), 3)


def test_the_curvature_is_that_of_the_loss_as_autograd_has_it():
    experiment = DROPOUT.replace(levels=(0.5,), seeds=(0,), epochs=2, dropout=0.0, dtype="float64", network=WIDE)
    visits = bthcheck.visits(experiment, 0.5, 0)
    run = Run(experiment, 0.5, 0)
    data, order = run.data(), run.order()
    sums = np.zeros(200)
    network = run.network()
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    for point in order.ravel():
        x, y = data.x_train[point], data.y_train[point]
        hessian = torch.autograd.functional.hessian(lambda x, y=y: loss(network.logit(network.first(x[None])), y[None]), x)
        sums[point] += float((hessian @ hessian).trace()) / 2
        value = loss(network.logit(network.first(x[None])), y[None])
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), torch.autograd.grad(value, network.parameters()), strict=True):
                parameter -= experiment.training.learning_rate * gradient
    np.testing.assert_allclose(scores(visits, 2).curvature, sums, rtol=1e-7)
    certain = visits.assign(logit=visits.logit * 0 + 800.0, phi=visits.phi * 0)
    assert (scores(certain, 2).curvature == 0).all()
