"""Optimizers beside plain SGD: against ``torch.optim``, engine against engine, and what they leave alone."""

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.experiments import SINUSOIDS, Experiment, Training
from bthcheck.networks import CNN, MLP
from bthcheck.tests.training.test_engines import Sign
from bthcheck.theory import published, trajectory
from bthcheck.training import fused, reference, stacked
from bthcheck.training.engines import resolve
from bthcheck.training.optimizers import Optimizer
from bthcheck.training.runs import Run, flat_parameters
from bthcheck.training.statistics import STATISTICS

SETTINGS = {
    "momentum": {"momentum": 0.9},
    "weight decay": {"weight_decay": 0.05},
    "momentum and weight decay": {"momentum": 0.8, "weight_decay": 0.02},
    "adam": {"optimizer": "adam"},
    "adam, weight decay": {"optimizer": "adam", "weight_decay": 0.05},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.05},
    "adamw, other betas": {"optimizer": "adamw", "weight_decay": 0.1, "betas": (0.7, 0.95), "eps": 1e-3},
    "clip": {"clip": 0.8},
    "clip, momentum": {"clip": 0.8, "momentum": 0.9},
    "clip, adam": {"clip": 0.8, "optimizer": "adam", "eps": 0.01},
}
TINY = SINUSOIDS.replace(
    task=Sign(train=20, test=5, inputs=4), network=MLP((4, 4, 6, 1), output="sigmoid"), epochs=12, learning_rate=0.01,
    dtype="float64", lipschitz_every=5, decay=0.95,
)  # fmt: skip
STEPS = 240


def theirs(training, parameters):
    options = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    if training.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=training.momentum, **options)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[training.optimizer]
    return kind(parameters, betas=training.betas, eps=training.eps, **options)


def trained_by_torch(run):
    """Train in a plain loop with ``torch.optim``: the network, the path of its bias, and how often it clipped."""
    training, network, data = run.setting.training, run.network(), run.data()
    optimizer = theirs(training, network.parameters())
    path, clipped = [], 0
    for rate, row in zip(training.learning_rates(), torch.from_numpy(run.order()).long(), strict=True):
        optimizer.param_groups[0]["lr"] = rate
        for batch in row.split(training.batch_size):
            optimizer.zero_grad()
            logit = network.logit(network.first(data.x_train[batch]))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, data.y_train[batch])
            loss.backward()
            if training.clip is not None:
                norm = torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
                clipped += bool(norm > training.clip)
            path.append(network.first.bias.detach().clone())
            optimizer.step()
    path.append(network.first.bias.detach().clone())
    return network, torch.stack(path), clipped


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("name", SETTINGS)
def test_reference_steps_as_torch_optim_does(name, batch):
    run = Run(TINY.replace(batch_size=batch, epochs=STEPS // (20 if batch == 1 else 4), **SETTINGS[name]), 0.5, 3)
    network, path, clipped = trained_by_torch(run)
    assert len(path) == STEPS + 1
    assert clipped > 10 or "clip" not in name
    assert clipped < STEPS
    result, trace = reference.train(run), reference.trace(run, STEPS)
    np.testing.assert_allclose(result.parameters, flat_parameters(network), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(trace["bias"], path, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_measured_of_the_bias_is_its_real_path(name):
    run = Run(TINY.replace(batch_size=6, **SETTINGS[name]), 0.5, 3)
    _, path, _ = trained_by_torch(run)
    got, rates = reference.train(run).statistics, np.array(run.setting.training.learning_rates())
    before = path[:-1].numpy().reshape(12, 4, -1)
    moves = np.linalg.norm(np.diff(path.numpy(), axis=0), axis=1).reshape(12, 4)
    np.testing.assert_allclose(got["update_sum"], moves.sum(1), rtol=1e-8)
    np.testing.assert_allclose(got["distance_to_init"], (path[4::4] - path[0]).norm(dim=1), rtol=1e-10)
    np.testing.assert_allclose(got["bias_variance"], before.var(axis=1).sum(1) / rates**2, rtol=1e-8)


STACKS = {
    "one point a step": {},
    "minibatches, last one smaller": {"batch_size": 6, "sampling": "replacement"},
    "wide first layer": {"network": MLP((4, 9, 6, 1), "trained", "sigmoid"), "batch_size": 5},
    "dropout": {"batch_size": 5, "dropout": 0.5},
    "convolutions": {
        "task": Sign(train=20, test=5, inputs=132), "network": CNN((1, 12, 11), (2, 3), 3, 2, 4, "sigmoid"), "batch_size": 3,
    },
}  # fmt: skip


@pytest.mark.filterwarnings("error:steps could not be captured")
@pytest.mark.parametrize("shape", STACKS)
@pytest.mark.parametrize("name", SETTINGS)
def test_stacked_agrees_with_reference(name, shape, place):
    experiment = TINY.replace(levels=(0.5, 0.75), seeds=(2, 5), **STACKS[shape], **SETTINGS[name])
    runs = [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]
    for run, fast in zip(runs, stacked.train(runs, place), strict=True):
        slow = reference.train(run)
        for statistic in STATISTICS:
            np.testing.assert_allclose(
                fast.statistics[statistic], slow.statistics[statistic], rtol=1e-8, atol=1e-300, err_msg=statistic
            )
        np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)


FUSED = {**STACKS, "wide and deep, padded": {"network": MLP((4, 70, 67, 9, 1), "trained", "sigmoid"), "batch_size": 3}}


@pytest.mark.parametrize("shape", FUSED)
@pytest.mark.parametrize("name", SETTINGS)
def test_fused_agrees_with_reference(name, shape):
    run = Run(TINY.replace(**FUSED[shape], **SETTINGS[name]), 0.5, 2)
    assert resolve([run])[0] is fused
    fast, slow = fused.train(run), reference.train(run)
    for statistic in STATISTICS:
        np.testing.assert_allclose(
            fast.statistics[statistic], slow.statistics[statistic], rtol=1e-8, atol=1e-300, err_msg=statistic
        )
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("name", SETTINGS)
def test_fused_trace_agrees_with_reference(name, batch):
    run = Run(TINY.replace(batch_size=batch, **SETTINGS[name]), 0.5, 3)
    fast, slow = fused.trace(run, 40), reference.trace(run, 40)
    for array in fast:
        np.testing.assert_allclose(fast[array], slow[array], rtol=1e-8, atol=1e-12, err_msg=array)


@pytest.mark.parametrize("name", SETTINGS)
def test_fused_agrees_in_float32_to_rounding(name):
    run = Run(TINY.replace(dtype="float32", batch_size=6, epochs=3, **SETTINGS[name]), 0.5, 3)
    np.testing.assert_allclose(fused.train(run).parameters, reference.train(run).parameters, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_phi_and_lambda_of_the_first_step_know_no_optimizer(name):
    plain, other = (Run(TINY.replace(batch_size=6, **changes), 0.5, 1) for changes in ({}, SETTINGS[name]))
    one, two = reference.trace(plain, 40), reference.trace(other, 40)
    for array in ("phi", "lipschitz", "epsilon", "gradient_norm"):
        assert np.array_equal(one[array][0], two[array][0]), array
    assert one["phi"][39] != two["phi"][39]  # by then the weights differ
    whole = [run.experiment.replace(epochs=1, batch_size=20, levels=(0.5,), seeds=(1,)) for run in (plain, other)]
    lengths = [bthcheck.run(one, engine="stacked", progress=False).trajectory_length.item() for one in whole]
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_visits_of_what_is_not_plain_sgd_are_refused_by_fused_and_passed_on_by_auto(name):
    run = Run(TINY.replace(epochs=2, **SETTINGS[name]), 0.5, 0)
    said = f"engine 'fused' follows visits of plain SGD, got .*{next(iter(SETTINGS[name]))}=.*; use engine='reference'"
    with pytest.raises(ValueError, match=said):
        bthcheck.visits(run.experiment, 0.5, 0, engine="fused")
    with pytest.raises(ValueError, match=said):
        fused.follow(run, flat_parameters(run.network()), run.order()[0], np.full(20, 0.01))
    for engine in ("auto", "stacked", "reference"):
        assert bthcheck.visits(run.experiment, 0.5, 0, engine=engine).attrs["engine"] == "reference"


def test_theorems_about_plain_sgd_are_told_of_no_other():
    experiment = TINY.replace(task=SINUSOIDS.task, network=SINUSOIDS.network, levels=(0.5,), seeds=(0,), momentum=0.9)
    trace = bthcheck.trace(experiment, 0.5, 0, 5)
    for chain in (lambda: trajectory.variance_chain(trace, 3), lambda: trajectory.distance_chain(trace)):
        with pytest.raises(ValueError, match=r"about steps .* of plain SGD, got momentum=0\.9"):
            chain()
    runs = bthcheck.run(experiment.replace(epochs=1), progress=False)
    with pytest.raises(ValueError, match=r"steps are followed of runs of plain SGD, got momentum=0\.9"):
        published.next_steps(runs, 1)
    with pytest.raises(ValueError, match="by plain SGD"):
        published.first_of_batch(Run(experiment, 0.5, 0), 1)


def test_runs_of_different_optimizers_are_stacked_apart():
    experiment = TINY.replace(vary="optimizer", levels=("sgd", "adam"), seeds=(0, 1), epochs=2)
    together = bthcheck.run(experiment, progress=False)
    for level in experiment.levels:
        one = TINY.replace(levels=(0.5,), seeds=(0, 1), epochs=2, optimizer=level)
        alone = bthcheck.run(one, engine="reference", progress=False)
        np.testing.assert_allclose(together.train_loss.sel(optimizer=level), alone.train_loss[0], rtol=1e-9)


def test_the_papers_experiments_say_nothing_of_optimizers():
    """So that runs and reports of plain SGD are kept and told apart as before there were others."""
    assert not {"optimizer", "momentum", "weight_decay", "betas", "eps", "clip"} & Training().described().keys()
    other = SINUSOIDS.replace(optimizer="adam", betas=(0.5, 0.9))
    assert Experiment.from_json(other.to_json()) == other


def test_an_optimizer_forgets():
    training = Training(optimizer="adam")
    start, gradient = [torch.ones(2, 3)], torch.arange(6.0).view(2, 3)
    optimizer = Optimizer(training, start)
    first = optimizer.directions(start, [gradient.clone()])
    optimizer.directions(start, [-gradient])
    optimizer.reset()
    assert torch.equal(optimizer.directions(start, [gradient.clone()])[0], first[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "lbfgs"}, "optimizer must be one of 'sgd', 'adam', 'adamw', got 'lbfgs'"),
        ({"momentum": 1.0}, r"momentum must be a number from 0 and below 1, got 1\.0"),
        ({"momentum": True}, "momentum must be a number from 0 and below 1, got True"),
        ({"weight_decay": -0.1}, r"weight_decay must be a finite number of at least 0, got -0\.1"),
        ({"weight_decay": float("nan")}, "weight_decay must be a finite number of at least 0, got nan"),
        ({"optimizer": "adam", "momentum": 0.9}, r"momentum is for optimizer='sgd', got 0\.9 for 'adam', which has betas"),
        ({"betas": 0.9}, r"betas must be two numbers, got 0\.9"),
        ({"betas": (0.9, 1.0)}, r"each of betas must be a number from 0 and below 1, got 1\.0"),
        ({"eps": 0.0}, r"eps must be a finite number above 0, got 0\.0"),
        ({"clip": 0.0}, r"clip must be a finite number above 0, got 0\.0"),
        ({"clip": "1"}, "clip must be a finite number above 0, got '1'"),
    ],
)
def test_bad_optimizers_are_refused_in_one_sentence(fields, message):
    with pytest.raises(ValueError, match=message):
        Training(**fields)
