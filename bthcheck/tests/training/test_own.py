"""Networks and tasks of one's own: engine against engine, against plain autograd, and what is kept of their runs."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.experiments import Experiment, Training
from bthcheck.networks import MLP
from bthcheck.tests.training.samples_own import Convolved, Normalised, Plain, Residual, Wave, WaveSign
from bthcheck.training import fused, reference, stacked
from bthcheck.training.engines import resolve
from bthcheck.training.runs import Run, flat_parameters, load_parameters
from bthcheck.training.statistics import STATISTICS

TRAINING = Training(epochs=4, learning_rate=0.05, dtype="float64", lipschitz_every=2, batch_size=6)
EXPERIMENTS = {
    "residual": Experiment("residual", Wave(), "frequency", (1.0, 3.0), Residual(), TRAINING, (0, 1)),
    "residual, cross-entropy": Experiment(
        "signs", WaveSign(), "frequency", (1.0, 3.0), Residual(output="sigmoid"), TRAINING, (0, 1)
    ),
    "convolution": Experiment("images", WaveSign(dimension=16), "frequency", (1.0, 3.0), Convolved(), TRAINING, (0, 1)),
    "one point a step": Experiment(
        "images", WaveSign(dimension=16), "frequency", (3.0,), Convolved(), Training(2, 1, 0.05, dtype="float64"), (0, 1)
    ),
    "adamw": Experiment("residual", Wave(), "frequency", (1.0,), Residual(), TRAINING, (0, 1)).replace(
        optimizer="adamw", weight_decay=0.1, clip=0.5, learning_rate=0.01
    ),
    "levels of the network": Experiment("wider", Wave(), "width", (4, 8), Residual(), TRAINING, (0, 1)),
}
NORMALISED = Experiment("normalised", Wave(), "frequency", (1.0,), Normalised(), TRAINING, (0, 1))


@pytest.mark.filterwarnings("error:steps could not be captured")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stacked_agrees_with_reference(name, place):
    experiment = EXPERIMENTS[name]
    slow, fast = (
        bthcheck.run(experiment, engine=engine, device=device, progress=False)
        for engine, device in (("reference", "cpu"), ("stacked", place))
    )
    for statistic in (*STATISTICS, "parameters"):
        np.testing.assert_allclose(fast[statistic], slow[statistic], rtol=1e-9, atol=1e-14, err_msg=statistic)
    assert float(slow.distance_to_init.min()) > 1e-4
    assert resolve([Run(experiment, experiment.levels[0], 0)])[0] is stacked


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("batch", [1, 6])
def test_a_module_that_is_not_split_trains_as_the_one_that_is(output, batch):
    task = WaveSign() if output == "sigmoid" else Wave()
    ours = Experiment("split", task, "frequency", (2.0,), MLP((3, 6, 5, 1), "trained", output), TRAINING, (3,)).replace(
        batch_size=batch
    )
    theirs = ours.replace(network=Plain((3, 6, 5, 1), output))
    one, other = (reference.train(Run(experiment, 2.0, 3)) for experiment in (ours, theirs))
    for statistic in STATISTICS:
        np.testing.assert_allclose(other.statistics[statistic], one.statistics[statistic], rtol=1e-12, err_msg=statistic)
    np.testing.assert_allclose(other.parameters, one.parameters, rtol=1e-12)
    split, whole = (bthcheck.trace(experiment, 2.0, 3, 8, engine="reference") for experiment in (ours, theirs))
    assert set(split.data_vars) - set(whole.data_vars) == {"rounding"}
    for name in whole.data_vars:
        np.testing.assert_allclose(whole[name], split[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("experiment", [EXPERIMENTS["convolution"], EXPERIMENTS["residual"], NORMALISED], ids=lambda e: e.name)
def test_phi_is_the_gradient_of_the_shared_bias_over_the_mean_slope(experiment):
    """φ = ‖ΣH‖/Σ|G| = ‖∂L/∂b_1‖/mean|∂ℓ/∂f|: the bias's own gradient sums over places and points, and over BatchNorm."""
    run = Run(experiment, experiment.levels[0], 1)
    trace = reference.trace(run, 5)
    update = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)
    np.testing.assert_allclose(trace["phi"], update / (trace["learning_rate"] * trace["epsilon"]), rtol=1e-9)


def test_lambda_is_the_slope_in_evaluation_mode():
    run = Run(NORMALISED, 1.0, 0)
    result = reference.train(run)
    module = run.module().eval()
    load_parameters(module, result.parameters)
    x, step = run.data().x_train, 1e-6
    with torch.no_grad():
        moves = torch.stack([(module(x + step * e) - module(x - step * e)).ravel() / (2 * step) for e in torch.eye(3).double()])
    assert result.statistics["lipschitz_mean"][-1] == pytest.approx(moves.norm(dim=0).mean().item(), rel=1e-6)
    test = (module(run.data().x_test).ravel() - run.data().y_test).square().mean() / 2
    assert result.statistics["test_loss"][-1] == pytest.approx(test.item(), rel=1e-9)


def test_what_torch_func_cannot_do_is_for_the_reference():
    run = Run(NORMALISED, 1.0, 0)
    assert resolve([run])[0] is reference
    with pytest.raises(ValueError, match="engine 'stacked' cannot train Normalised, which draws random numbers"):
        resolve([run], "stacked")
    with pytest.raises(ValueError, match="trains networks of type MLP or CNN, got Residual; use engine='stacked' or"):
        bthcheck.run(EXPERIMENTS["residual"], engine="fused", progress=False)


def test_what_a_module_draws_while_it_trains_comes_from_the_seed():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    one = bthcheck.run(NORMALISED, progress=False)
    assert torch.equal(torch.rand(2), expected)  # the program's own random state is as it was
    two = bthcheck.run(NORMALISED.replace(seeds=(1,)), progress=False)
    assert np.array_equal(one.parameters[:, 1], two.parameters[:, 0])
    assert not np.array_equal(one.parameters[:, 0], one.parameters[:, 1])


def test_a_task_of_ones_own_with_a_network_of_ours():
    experiment = EXPERIMENTS["residual"].replace(network=MLP((3, 3, 4, 1)))
    assert resolve([Run(experiment, 1.0, 0)])[0] is fused
    slow, fast = (bthcheck.run(experiment, engine=engine, progress=False) for engine in ("reference", "fused"))
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9)
    assert bthcheck.trace(experiment, 1.0, 0, 3).sizes["point"] == 20


@pytest.mark.parametrize("name", ["residual", "levels of the network"])
def test_results_give_the_trained_module_back(name):
    experiment = EXPERIMENTS[name]
    runs = bthcheck.run(experiment, progress=False)
    level = experiment.levels[1]
    module = runs.bthcheck.weights(level, 1)
    assert isinstance(module, nn.Sequential)
    assert not module.training
    run = Run(experiment, level, 1)
    together = stacked.train([Run(experiment, level, seed) for seed in (0, 1)])
    np.testing.assert_array_equal(flat_parameters(module), together[1].parameters)
    data = run.data()
    loss = (module(data.x_test).ravel() - data.y_test).square().mean() / 2
    assert float(runs.test_loss[1, 1, -1]) == pytest.approx(loss.item(), rel=1e-9)
    assert runs.bthcheck.experiment == experiment
    assert runs.bthcheck.task(level) == experiment.at(level).task


def test_buffers_come_back_too():
    module = bthcheck.run(NORMALISED, progress=False).bthcheck.weights(1.0, 0)
    assert int(module[0].num_batches_tracked) == 16
    assert float(module[2].running_var.std()) > 0


def test_a_level_may_be_a_network_of_ones_own():
    networks = {"ours": MLP((3, 3, 4, 1)), "theirs": Residual()}
    experiment = Experiment("both", Wave(), "network", ("ours", "theirs"), networks, TRAINING, (0,))
    runs = bthcheck.run(experiment, progress=False)
    assert runs.attrs["engine"] == "stacked"
    assert isinstance(runs.bthcheck.weights("theirs", 0), nn.Sequential)
    assert runs.bthcheck.weights("ours", 0).layers()[1][0].shape == (4, 3)
    assert runs.bthcheck.experiment == experiment


def test_no_module_is_imported_because_a_file_names_it(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('it was imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    runs = bthcheck.run(EXPERIMENTS["residual"].replace(levels=(1.0,), seeds=(0,)), progress=False)
    configuration = json.loads(runs.attrs["experiment"])
    here = "bthcheck.tests.training.samples_own:Residual"
    assert configuration["network_type"] == here
    beside = [here.replace("Residual", name) for name in ("nn", "Wave")]
    for name in ("trap:Residual", "os:system", f"{here}.build", *beside):
        runs.attrs["experiment"] = json.dumps({**configuration, "network_type": name})
        with pytest.raises(ValueError, match=f"{name} is no class of this process; import its module first"):
            runs.bthcheck.weights(1.0, 0)
    runs.attrs["experiment"] = json.dumps({**configuration, "network": {"width": 9}})
    with pytest.raises(ValueError, match=r"the network has .* parameters, got .*; is it the one that was trained"):
        runs.bthcheck.weights(1.0, 0)
    runs.attrs["experiment"] = json.dumps({**configuration, "task_type": "trap:Wave"})
    with pytest.raises(ValueError, match="trap:Wave is no class of this process"):
        _ = runs.bthcheck.experiment
