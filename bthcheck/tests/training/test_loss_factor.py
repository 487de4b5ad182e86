"""A loss that is multiplied with a factor before it is optimised, as the code behind the paper's figures halves it.

Half the loss is half the steps: training with factor c at rate α makes the steps that factor 1 makes at rate c α. What is
measured along them is derived here from that other training, or by autograd from the definitions.
"""

import numpy as np
import pytest
import torch

from bthcheck.experiments import SINUSOIDS, Experiment
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import Sinusoid
from bthcheck.tests.training.test_engines import Sign
from bthcheck.theory import assumption, dropout
from bthcheck.training import fused, reference, stacked
from bthcheck.training.cache import run_key
from bthcheck.training.runs import Run, flat_parameters

FACTOR = 0.3  # no power of two, so that rounding is not what makes things agree
SMALL = SINUSOIDS.replace(
    task=Sinusoid(train=6, test=4), network=MLP((10, 10, 5, 1)), epochs=4, dtype="float64", lipschitz_every=2, decay=0.8,
    learning_rate=0.05, levels=(0.5,), seeds=(1,),
)  # fmt: skip
CLASSES = SMALL.replace(task=Sign(train=6, test=4), network=MLP((10, 10, 5, 1), output="sigmoid"))
SETTINGS = {
    "regression": SMALL,
    "regression, minibatches": SMALL.replace(batch_size=4),
    "classification": CLASSES,
    "classification, minibatches": CLASSES.replace(batch_size=4),
    "classification, windows": CLASSES.replace(windows=2),
    "dropout": SMALL.replace(network=MLP((10, 12, 9, 1), "trained"), dropout=0.5),
    "convolutions": SMALL.replace(
        task=Sign(inputs=132, train=6, test=4), network=CNN((1, 12, 11), (2, 3), 3, 2, 4), epochs=2, learning_rate=0.2
    ),
}  # fmt: skip
ENGINES = {"fused": fused.train, "reference": reference.train, "stacked": lambda run: stacked.train([run])[0]}


def run_of(experiment):
    return Run(experiment, experiment.levels[0], experiment.seeds[0])


def scaled(experiment):
    """The run with the factor, and the run without it that makes the same steps."""
    rate = experiment.training.learning_rate
    return run_of(experiment.replace(loss_factor=FACTOR)), run_of(experiment.replace(learning_rate=FACTOR * rate))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_factor_on_the_loss_is_a_factor_on_the_rate(name, engine):
    halved, slower = (ENGINES[engine](run) for run in scaled(SETTINGS[name]))
    np.testing.assert_allclose(halved.parameters, slower.parameters, rtol=1e-9, atol=1e-12)
    power = {"train_loss": 1, "test_loss": 1, "bias_variance": 2, "published_length": 1}  # of the factor; else as it is
    for statistic, values in halved.statistics.items():
        expected = slower.statistics[statistic] * FACTOR ** power.get(statistic, 0)
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-300, err_msg=statistic)


@pytest.mark.parametrize("engine", ["fused", "stacked"])
@pytest.mark.parametrize("name", SETTINGS)
def test_engines_agree_on_a_loss_with_a_factor(name, engine):
    run = run_of(SETTINGS[name].replace(loss_factor=FACTOR))
    fast, slow = ENGINES[engine](run), reference.train(run)
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
    for statistic, values in slow.statistics.items():
        np.testing.assert_allclose(fast.statistics[statistic], values, rtol=1e-9, atol=1e-300, err_msg=statistic)


@pytest.mark.parametrize("engine", ["fused", "reference"])
@pytest.mark.parametrize("name", ["regression, minibatches", "classification", "classification, minibatches", "convolutions"])
def test_traces_of_a_loss_with_a_factor(name, engine):
    """Against the same loss written out, by autograd: its slope in f, its steps, and φ = ‖Δb_1‖/(α ε)."""
    run = run_of(SETTINGS[name].replace(loss_factor=FACTOR))
    training, network, data = run.setting.training, run.network(), run.data()
    batches = [batch for epoch in torch.from_numpy(run.order()).long() for batch in epoch.split(training.batch_size)]
    trace = {"fused": fused, "reference": reference}[engine].trace(run, len(batches))
    for step, batch in enumerate(batches):
        f = network(data.x_train[batch])
        y, rate = data.y_train[batch], trace["learning_rate"][step]
        loss = -(y * f.log() + (1 - y) * (1 - f).log()) if network.sigmoid else (f - y) ** 2 / 2
        (slope,) = torch.autograd.grad(FACTOR * loss.sum(), f, retain_graph=True)
        gradients = torch.autograd.grad(FACTOR * loss.mean(), list(network.parameters()))
        assert trace["epsilon"][step] == pytest.approx(float(slope.abs().mean()), rel=1e-9)
        assert trace["phi"][step] == pytest.approx(float(gradients[0].norm() / slope.abs().mean()), rel=1e-7, abs=1e-12)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient
        np.testing.assert_allclose(trace["bias"][step + 1], network.first.bias.detach(), rtol=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_of_a_halved_cross_entropy_are_those_of_the_definitions(engine):
    run = run_of(CLASSES.replace(epochs=1, loss_factor=0.5))
    network, data, rate = run.network(), run.data(), 0.05
    sums = dict.fromkeys(("train_loss", "update_sum", "trajectory_length", "published_length"), 0.0)
    biases = []
    for point in run.order()[0].tolist():
        f, y = network(data.x_train[point : point + 1]), data.y_train[point]
        loss = -(y * f.log() + (1 - y) * (1 - f).log()).sum() / 2
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        moved, q = rate * float(gradients[0].norm()), float((1 - y - f.detach()).abs())
        biases.append(network.first.bias.detach().numpy().copy())
        sums["train_loss"] += loss.item() / 6
        sums["update_sum"] += moved
        sums["trajectory_length"] += moved / (rate * 0.5 / q)
        sums["published_length"] += moved / (rate * q)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    f, y = network(data.x_test).detach(), data.y_test
    sums["test_loss"] = float(-(y * f.log() + (1 - y) * (1 - f).log()).mean() / 2)
    sums["bias_variance"] = np.var(biases, axis=0).sum() / rate**2
    got = ENGINES[engine](run)
    for statistic, value in sums.items():
        assert got.statistics[statistic] == pytest.approx([value], rel=1e-9), statistic
    np.testing.assert_allclose(got.parameters, flat_parameters(network), rtol=1e-9)


def test_steps_that_follow_have_the_factor():
    halved, slower = scaled(CLASSES)
    visits, parameters = halved.order()[0], flat_parameters(halved.network())
    a, b = (fused.follow(run, parameters, visits, np.full(6, run.setting.training.learning_rate)) for run in (halved, slower))
    for name, power in (("phi", 0), ("lipschitz_after", 0), ("epsilon", 1), ("gradient", 1)):
        np.testing.assert_allclose(a[name], FACTOR**power * b[name], rtol=1e-9)
    traced = reference.trace(halved, len(visits))
    np.testing.assert_allclose(a["epsilon"], traced["epsilon"], rtol=1e-9)
    np.testing.assert_allclose(-0.05 * a["gradient"], np.diff(traced["bias"], axis=0), rtol=1e-9, atol=1e-15)


def test_steps_watched_for_the_theorems_have_the_factor():
    run, data = run_of(CLASSES), run_of(CLASSES).data()
    order, everything = run.order()[0], np.full((6, 2), 255, np.uint8)
    halved, slower = (
        assumption.epoch_after(run.network(), data.x_train, data.y_train, order, *rate)
        for rate in ((0.5, FACTOR), (FACTOR / 2,))
    )
    np.testing.assert_allclose(halved.phi, slower.phi, rtol=1e-9)
    np.testing.assert_allclose(flat_parameters(halved.network), flat_parameters(slower.network), rtol=1e-9)
    halved, slower = (
        dropout.watch(run.network(), data.x_train, data.y_train, order, rate, everything, *factor)
        for rate, factor in ((0.5, (FACTOR,)), (FACTOR / 2, ()))
    )
    np.testing.assert_allclose(flat_parameters(halved.network), flat_parameters(slower.network), rtol=1e-9)
    assert (halved.phi, halved.gamma) == pytest.approx((slower.phi, slower.gamma), rel=1e-9)


def test_runs_of_another_loss_are_other_runs():
    runs = [run_of(CLASSES.replace(loss_factor=factor)) for factor in (1.0, 0.5)]
    assert run_key(runs[0], "fused", "cpu") != run_key(runs[1], "fused", "cpu")
    with pytest.raises(ValueError, match=r"runs that are trained as one stack must agree in .* loss"):
        stacked.train(runs)


def test_configurations_from_before_the_factor_can_be_read():
    text = SINUSOIDS.to_json()
    assert '"loss_factor": 1.0' in text
    assert Experiment.from_json(text.replace(', "loss_factor": 1.0', "")) == SINUSOIDS
    halved = SINUSOIDS.replace(loss_factor=0.5)
    assert Experiment.from_json(halved.to_json()) == halved


@pytest.mark.parametrize("factor", [0, -0.5, float("inf"), float("nan"), True, "half"])
def test_a_factor_is_a_positive_number(factor):
    with pytest.raises(ValueError, match=f"loss_factor must be a finite number above 0, got {factor!r}"):
        SINUSOIDS.replace(loss_factor=factor)


def test_levels_cannot_set_the_factor_because_their_losses_could_not_be_compared():
    with pytest.raises(ValueError, match="levels cannot set 'loss_factor'"):
        SINUSOIDS.replace(vary="loss_factor", levels=(0.5, 1.0))
