"""Engines agree with each other and with calculations that share none of their code."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import Sinusoid
from bthcheck.training import fused, reference, stacked
from bthcheck.training.fused import steps
from bthcheck.training.fused.descents import descent_of
from bthcheck.training.fused.engine import points_of
from bthcheck.training.fused.packing import Packed
from bthcheck.training.runs import Run, load_parameters
from bthcheck.training.stacked import steps as stacked_steps
from bthcheck.training.statistics import STATISTICS
from bthcheck.training.streams import kept_neurons


@dataclass(frozen=True)
class Sign(Sinusoid):
    """A classification task of any dimension: the sign of the sinusoid."""

    output: ClassVar[str] = "sigmoid"

    def sample(self, generator):
        data = super().sample(generator)
        return data._replace(y_train=(data.y_train > 0).double(), y_test=(data.y_test > 0).double())


SMALL = SINUSOIDS.replace(epochs=6, dtype="float64", lipschitz_every=2)

SETTINGS = {
    "paper": SMALL,
    "with replacement, decaying": SMALL.replace(sampling="replacement", learning_rate=0.01, decay=0.8),
    "one hidden layer": SMALL.replace(network=MLP((10, 10, 1)), learning_rate=0.02),
    "wide first layer": SMALL.replace(network=MLP((10, 17, 9, 1), "trained"), learning_rate=0.01),
    "narrow first layer": SMALL.replace(network=MLP((10, 3, 33, 5, 1), "trained"), learning_rate=0.01),
    "one neuron a layer": SMALL.replace(network=MLP((10, 1, 1, 1), "trained"), learning_rate=0.01),
    "classification": SMALL.replace(task=Sign(), network=MLP((10, 10, 12, 8, 1), output="sigmoid"), learning_rate=0.02),
    "classification, wide": SMALL.replace(task=Sign(), network=MLP((10, 14, 8, 1), "trained", "sigmoid"), learning_rate=0.05),
    "deep": SMALL.replace(network=MLP((10, 10, 12, 7, 21, 6, 1)), learning_rate=0.02),
    # A square W_1 that is not the identity: nothing but its numbers tells it from its transpose.
    "few points, square first layer": SMALL.replace(
        task=Sinusoid(train=5, test=3), network=MLP((10, 10, 4, 1), "trained"), epochs=120, learning_rate=0.02
    ),
    "dropout": SMALL.replace(task=Sign(), network=MLP((10, 10, 12, 9, 1), output="sigmoid"), learning_rate=0.05, dropout=0.5),
    "dropout, wide first layer": SMALL.replace(network=MLP((10, 17, 9, 1), "trained"), learning_rate=0.01, dropout=0.5),
}


@pytest.fixture(params=SETTINGS, scope="module")
def run(request):
    return Run(SETTINGS[request.param], level=0.75, seed=3)


def test_fused_agrees_with_reference_over_600_steps(run):
    slow, fast = reference.train(run), fused.train(run)
    for name in STATISTICS:
        np.testing.assert_allclose(fast.statistics[name], slow.statistics[name], rtol=1e-9, atol=1e-300, err_msg=name)
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
    assert fast.diverged is slow.diverged is False


def test_fused_trace_agrees_with_reference(run):
    slow, fast = reference.trace(run, 250), fused.trace(run, 250)
    assert slow.keys() - fast.keys() == {"rounding"}
    assert (slow["rounding"] < 1e-12).all()
    for name in fast:
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-9, atol=1e-14, err_msg=name)


def test_statistics_are_what_their_names_say(run):
    """Recompute every epoch statistic from the steps of a trace and from finite differences of the trained network."""
    setting = run.setting
    epochs, steps = setting.training.epochs, setting.task.train
    trace = reference.trace(run, epochs * steps)
    got = fused.train(run).statistics
    phi = trace["phi"].reshape(epochs, steps)
    rate = np.array(setting.training.learning_rates())
    before = trace["bias"][:-1].reshape(epochs, steps, -1)
    after = trace["bias"][steps::steps]
    close = {"rtol": 1e-7, "atol": 1e-12}
    np.testing.assert_allclose(got["trajectory_length"], phi.sum(1), **close)
    np.testing.assert_allclose(got["trajectory_max"], phi.max(1), **close)
    np.testing.assert_allclose(got["bias_variance"], before.var(axis=1).sum(1) / rate**2, **close)
    np.testing.assert_allclose(got["distance_to_init"], np.linalg.norm(after - trace["bias"][0], axis=1), **close)
    moves = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1).reshape(epochs, steps)
    np.testing.assert_allclose(got["update_sum"], moves.sum(1), **close)
    epsilon = trace["epsilon"].reshape(epochs, steps)
    losses = np.log(epsilon) if setting.task.output == "sigmoid" else epsilon**2 / 2
    np.testing.assert_allclose(got["train_loss"], losses.mean(1), **close)
    wrong = (epsilon > 2).mean(1) if setting.task.output == "sigmoid" else np.full(epochs, np.nan)
    np.testing.assert_allclose(got["train_error"], wrong, rtol=1e-12)


def test_phi_is_the_normalised_bias_update(run):
    trace = reference.trace(run, 300)
    update = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)
    scale = trace["learning_rate"] * trace["epsilon"]
    large = scale > 1e-6  # below, the difference of two biases has no digits left
    np.testing.assert_allclose(trace["phi"][large], (update / np.where(large, scale, 1))[large], rtol=1e-7, atol=1e-9)


def test_final_statistics_belong_to_the_final_weights():
    result = bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(1,)), progress=False, threads=1)
    network = result.bthcheck.weights(0.5, 1)
    data = Run(SMALL, 0.5, 1).data()
    with torch.no_grad():
        test_loss = ((network(data.x_test) - data.y_test) ** 2 / 2).mean()
    last = result.isel(frequency=0, seed=0, epoch=-1)
    assert float(last.test_loss) == pytest.approx(float(test_loss), rel=1e-12)
    step = 1e-6
    slopes = torch.stack(
        [(network(data.x_train + step * e) - network(data.x_train - step * e)) / (2 * step) for e in torch.eye(10).double()]
    )
    constants = slopes.norm(dim=0)
    assert float(last.lipschitz_mean) == pytest.approx(constants.mean().item(), rel=1e-4)
    assert float(last.lipschitz_max) == pytest.approx(constants.max().item(), rel=1e-4)


def test_minibatch_step_is_the_gradient_of_the_mean_loss():
    experiment = SMALL.replace(batch_size=16, learning_rate=0.05)
    run = Run(experiment, 0.5, 2)
    trace = reference.trace(run, 14)
    network, data, order = run.network(), run.data(), torch.from_numpy(run.order()).long()
    batches = [batch for epoch in order[:2] for batch in epoch.split(16)]
    assert [len(batch) for batch in batches[:7]] == [16] * 6 + [4]  # the last batch of an epoch has what is left
    for step, batch in enumerate(batches):
        loss = ((network(data.x_train[batch]) - data.y_train[batch]) ** 2 / 2).mean()
        epsilon = (network(data.x_train[batch]) - data.y_train[batch]).abs().mean().item()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        assert trace["epsilon"][step] == pytest.approx(epsilon, rel=1e-9)
        assert trace["phi"][step] == pytest.approx(float(gradients[0].norm()) / epsilon, rel=1e-7)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient
        np.testing.assert_allclose(trace["bias"][step + 1], network.first.bias.detach(), rtol=1e-9)


def test_minibatch_phi_of_the_cross_entropy():
    experiment = SMALL.replace(
        task=Sign(), network=MLP((10, 10, 6, 1), output="sigmoid"), batch_size=8, learning_rate=0.05, epochs=2
    )
    run = Run(experiment, 0.5, 2)
    trace = reference.trace(run, 5)
    network, data = run.network(), run.data()
    for step, batch in enumerate(torch.from_numpy(run.order()).long()[0].split(8)[:5]):
        f, y = network(data.x_train[batch]), data.y_train[batch]
        epsilon = (1 / (1 - y - f).abs()).mean().item()  # the definition
        loss = -(y * f.log() + (1 - y) * (1 - f).log()).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        assert trace["epsilon"][step] == pytest.approx(epsilon, rel=1e-9)
        assert trace["phi"][step] == pytest.approx(float(gradients[0].norm()) / epsilon, rel=1e-7)
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient


@pytest.mark.parametrize("logit", [-800.0, -40.0, -1e-3, 0.5, 40.0, 800.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_cross_entropy_is_right_where_a_probability_is_0_or_1_to_rounding(logit, label):
    """Against 60-digit arithmetic: ℓ, ∂ℓ/∂s, ∂f/∂s of both engines."""
    with localcontext() as context:
        context.prec = 900
        f = 1 / (1 + Decimal(-logit).exp())
        right = f if label else 1 - f
        loss, slope, steep = -right.ln(), f - Decimal(label), f * (1 - f)
    got = steps.loss_at(True, 1.0, logit, label)
    assert got[3] == pytest.approx(float(1 / right), rel=1e-12)
    for value, exact in zip(got, (loss, slope, steep), strict=False):
        assert value == pytest.approx(float(exact), rel=1e-12, abs=1e-300)
    network = MLP((2, 2, 1), output="sigmoid").build().double()
    s, y = torch.tensor([logit], dtype=torch.float64), torch.tensor([label], dtype=torch.float64)
    theirs = reference._loss(network, s, y)
    assert theirs.values.item() == pytest.approx(float(loss), rel=1e-12, abs=1e-300)
    assert theirs.log_steepness.item() == pytest.approx(float(loss), rel=1e-12, abs=1e-300)


def test_convolutional_networks_train_with_the_reference():
    cnn = CNN((1, 12, 11), channels=(2, 3), kernel=3, pool=2, hidden=4)
    experiment = SMALL.replace(task=Sign(inputs=132, train=20), network=cnn, epochs=3, learning_rate=0.05)
    run = Run(experiment, 0.5, 1)
    result, trace = reference.train(run), reference.trace(run, 60)
    assert not result.diverged
    update = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)
    np.testing.assert_allclose(trace["phi"], update / (trace["learning_rate"] * trace["epsilon"]), rtol=1e-6)
    np.testing.assert_allclose(trace["lipschitz"], trace["phi"], rtol=1e-9)  # W_1 = I
    ds = bthcheck.run(experiment.replace(levels=(0.5,), seeds=(1,)), engine="reference", progress=False)
    again = run.network()
    load_parameters(again, result.parameters)
    for a, b in zip(again.parameters(), ds.bthcheck.weights(0.5, 1).parameters(), strict=True):
        assert torch.equal(a, b)


STACKS = {
    "paper, minibatches": SMALL.replace(batch_size=16, epochs=30, learning_rate=0.02),
    "wide first layer, decaying, last batch smaller": SMALL.replace(
        network=MLP((10, 13, 9, 1), "trained"), batch_size=7, epochs=14, learning_rate=0.02, decay=0.9
    ),
    "one point a step": SMALL.replace(epochs=3, sampling="replacement"),
    "classification": SMALL.replace(
        task=Sign(), network=MLP((10, 10, 8, 1), output="sigmoid"), batch_size=5, epochs=10, learning_rate=0.05
    ),
    "classification, one point a step": SMALL.replace(
        task=Sign(train=40), network=MLP((10, 12, 8, 1), "trained", "sigmoid"), epochs=6, learning_rate=0.05
    ),
    "dropout": SMALL.replace(
        task=Sign(train=40), network=MLP((10, 12, 9, 1), "trained", "sigmoid"), epochs=6, learning_rate=0.05, dropout=0.5
    ),
    "dropout, minibatches": SMALL.replace(
        network=MLP((10, 10, 12, 7, 1)), batch_size=7, epochs=14, learning_rate=0.02, dropout=0.5
    ),
    "convolutions": SMALL.replace(
        task=Sign(inputs=132, train=30, test=8), network=CNN((1, 12, 11), (2, 3), 3, 2, 4), epochs=8, learning_rate=0.05
    ),
    "convolutions, minibatches": SMALL.replace(
        task=Sign(inputs=264, train=30, test=8), network=CNN((2, 12, 11), (3, 2), 3, 2, 4), epochs=40, batch_size=4,
        learning_rate=0.05, lipschitz_every=7,
    ),
    "few points, square first layer": SMALL.replace(
        task=Sign(train=5, test=3), network=MLP((10, 10, 4, 1), "trained", "sigmoid"), batch_size=4, epochs=20,
        learning_rate=0.05,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("error:steps could not be captured")
@pytest.mark.parametrize("name", STACKS)
def test_stacked_and_fused_agree_with_reference_over_hundreds_of_steps(name, place):
    experiment = STACKS[name].replace(levels=(0.5, 0.75), seeds=(2, 5))
    runs = [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]
    for run, stack in zip(runs, stacked.train(runs, place), strict=True):
        slow = reference.train(run)
        for fast in (stack, fused.train(run)):
            for statistic in STATISTICS:
                np.testing.assert_allclose(
                    fast.statistics[statistic], slow.statistics[statistic], rtol=1e-9, atol=1e-300, err_msg=statistic
                )
            np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["paper, minibatches", "convolutions, minibatches", "classification", "dropout, minibatches"])
def test_fused_trace_of_minibatches_agrees_with_reference(name):
    run = Run(STACKS[name], 0.5, 1)
    slow, fast = reference.trace(run, 30), fused.trace(run, 30)
    assert slow.keys() - fast.keys() <= {"rounding"}
    for array in fast:
        np.testing.assert_allclose(fast[array], slow[array], rtol=1e-9, atol=1e-14, err_msg=array)


@pytest.mark.parametrize("pool", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 5, 9])
def test_convolutions_of_any_shape_agree(kernel, pool):
    """Odd numbers of channels, images that are not square, kernels wider than the lanes, several cells behind the last pool."""
    side = kernel - 1 + pool * (kernel - 1 + 2 * pool)
    cnn = CNN((2, side + 1, side), (3, 5), kernel, pool, 4)
    experiment = SMALL.replace(
        task=Sign(inputs=cnn.inputs, train=6, test=3), network=cnn, epochs=2, learning_rate=0.05, lipschitz_every=1
    )
    run = Run(experiment, 0.5, 0)
    slow, fast = reference.train(run), fused.train(run)
    np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
    for name in STATISTICS:
        np.testing.assert_allclose(fast.statistics[name], slow.statistics[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("dropped", [False, True])
def test_phi_of_a_batch_whose_slopes_are_all_0_is_the_mean_gradient(dropped):
    """As the limit of equal slopes."""
    run = Run(SMALL.replace(batch_size=5), 0.5, 0)
    packed = Packed(run.network(), run.setting.network)
    program, descent = packed.program, descent_of(run.setting.training, packed.program.theta)
    x, y, _, _ = points_of(run)
    points = np.array([3, 1, 4, 15, 9], np.int32)
    y[points] = [steps.forward(program, None, x, np.uintp(program.pitch * point)) for point in points]
    before = program.theta.copy()
    kept = kept_neurons(0, 5, 106) if dropped else None
    phi, epsilon, moved, loss, _ = steps.step(program, None, descent, x, y, points, 0.1, kept)
    assert epsilon == moved == loss == 0
    assert np.array_equal(program.theta, before)
    network, z = run.network(), run.data().x_train[points.astype(int)]
    z = network.first(z).detach().requires_grad_()
    through = torch.from_numpy(np.unpackbits(kept, axis=1, count=106)) if dropped else torch.ones(5, 106)
    (g,) = torch.autograd.grad(network.thinned_logit(z, through).sum(), z)
    assert phi == pytest.approx(float(g.mean(0).norm()), rel=1e-12)


def test_windows_divide_an_epoch_and_change_nothing_else():
    whole = STACKS["classification, one point a step"].replace(levels=(0.5,), seeds=(1,), lipschitz_every=2)
    results = [
        bthcheck.run(whole.replace(windows=4), engine=engine, progress=False) for engine in ("fused", "stacked", "reference")
    ]
    one = bthcheck.run(whole, progress=False)
    for parts in results:
        assert parts.epoch.values.tolist() == [k / 4 for k in range(1, 25)]
        np.testing.assert_allclose(parts.parameters, one.parameters, rtol=1e-9)
        sums = parts.trajectory_length.values.reshape(6, 4).sum(1)
        np.testing.assert_allclose(sums, one.trajectory_length.values.ravel(), rtol=1e-9)
        np.testing.assert_allclose(parts.test_loss[..., 3::4], one.test_loss, rtol=1e-9)
        assert not parts.diverged.any()
        assert np.isnan(parts.test_loss.values.reshape(6, 4)[:, :3]).all()
        np.testing.assert_allclose(parts.learning_rate[3::4], one.learning_rate)
        evaluated = np.flatnonzero(np.isfinite(parts.lipschitz_mean.values.ravel()))
        assert evaluated.tolist() == [7, 15, 23]
    with pytest.raises(ValueError, match="windows must divide the 40 training points, got 3"):
        whole.replace(windows=3)


def test_published_length_divides_by_the_reciprocal_of_the_slope():
    run = Run(STACKS["classification, one point a step"].replace(epochs=1), 0.5, 1)
    trace = reference.trace(run, 40)
    assert (trace["epsilon"] > 1).all()  # |∂ℓ/∂f| = 1/|1 − y − f|; the authors' code has |1 − y − f| for it
    moved = np.linalg.norm(np.diff(trace["bias"], axis=0), axis=1)
    published = (moved / (trace["learning_rate"] / trace["epsilon"])).sum()
    for trained in (fused, reference):
        assert trained.train(run).statistics["published_length"] == pytest.approx([published], rel=1e-6)
    assert np.isnan(fused.train(Run(SMALL.replace(epochs=1), 0.5, 0)).statistics["published_length"])


def test_variance_of_a_bias_that_has_moved_far_and_hardly_moves_now(place):
    run = Run(SMALL.replace(batch_size=10, epochs=2, learning_rate=0.05, decay=1e-6), 0.75, 1)
    fast, slow = stacked.train([run], place)[0].statistics, reference.train(run).statistics
    assert slow["distance_to_init"][0] > 1e-3
    np.testing.assert_allclose(fast["bias_variance"], slow["bias_variance"], rtol=1e-6)


def test_a_stacked_run_depends_on_its_neighbours_by_rounding_alone(place):
    experiment = STACKS["convolutions"].replace(levels=(0.5, 0.75), seeds=range(3))
    runs = [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]
    together = stacked.train(runs, place)
    alone = stacked.train(runs[4:5], place)[0]
    np.testing.assert_allclose(together[4].parameters, alone.parameters, rtol=1e-9, atol=1e-12)


def test_a_diverged_run_leaves_its_stack_alone(place):
    experiment = SMALL.replace(vary="learning_rate", levels=(0.001, 5.0), seeds=(0, 1), batch_size=10)
    result = bthcheck.run(experiment, engine="stacked", device=place, progress=False)
    assert result.diverged.values.tolist() == [[False, False], [True, True]]
    calm = bthcheck.run(experiment.replace(levels=(0.001,)), engine="reference", progress=False)
    np.testing.assert_allclose(result.train_loss.isel(learning_rate=0), calm.train_loss.isel(learning_rate=0), rtol=1e-9)


def test_only_runs_alike_are_stacked():
    mixed = SMALL.replace(vary="first_layer", levels=("identity", "trained"), seeds=(0, 1), epochs=1)
    runs = [Run(mixed, level, seed) for level in mixed.levels for seed in mixed.seeds]
    with pytest.raises(ValueError, match="runs that are trained as one stack must agree"):
        stacked.train(runs)
    result = bthcheck.run(mixed, engine="stacked", progress=False)  # two stacks
    assert result.bthcheck.weights("trained", 1).first.weight.shape == (10, 10)


def test_large_data_are_passed_in_pieces(monkeypatch, place):
    runs = [Run(STACKS["convolutions"].replace(epochs=1, levels=(0.5,), seeds=(0,)), 0.5, 0)]
    whole = stacked.train(runs, place)[0]
    monkeypatch.setattr(stacked_steps, "ENTRIES_AT_ONCE", {"cpu": 3000, "cuda": 3000})
    pieces = stacked.train(runs, place)[0]
    for name in STATISTICS:
        np.testing.assert_allclose(pieces.statistics[name], whole.statistics[name], rtol=1e-12, err_msg=name)


def test_float32_agrees_with_float64_statistically():
    """Rounding makes trainings drift apart point by point; their distributions over seeds must not."""
    single = SINUSOIDS.replace(levels=(0.5,), seeds=range(24), epochs=150)
    fast, exact = (bthcheck.run(single.replace(dtype=dtype), progress=False) for dtype in ("float32", "float64"))
    slow = bthcheck.run(single.replace(seeds=range(2), epochs=15), engine="reference", progress=False)
    for name in ("trajectory_length", "bias_variance", "distance_to_init", "train_loss", "test_loss", "lipschitz_mean"):
        a, b = (ds[name].isel(epoch=-1).values.ravel() for ds in (fast, exact))
        assert stats.wilcoxon(a, b).pvalue > 1e-3, name
        assert np.median(np.abs(a / b - 1)) < 0.01, name
        early = fast[name].isel(seed=slice(2), epoch=9)
        np.testing.assert_allclose(slow[name].isel(epoch=9), early, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("engine", [fused, reference])
def test_probing_leaves_training_bit_identical(engine):
    often, seldom = (engine.train(Run(SMALL.replace(lipschitz_every=k), 0.5, 0)) for k in (1, 100))
    assert np.array_equal(often.parameters, seldom.parameters)
    assert np.array_equal(often.statistics["trajectory_length"], seldom.statistics["trajectory_length"])
    assert np.isfinite(often.statistics["lipschitz_mean"]).all()
    assert np.isfinite(seldom.statistics["lipschitz_mean"]).sum() == 1


@pytest.mark.parametrize("name", ["one point a step", "convolutions", "wide first layer, decaying, last batch smaller"])
def test_probing_leaves_a_stack_bit_identical(name, place):
    experiment = STACKS[name].replace(epochs=3, levels=(0.5,), seeds=(0, 1))
    often, seldom = (
        stacked.train([Run(experiment.replace(lipschitz_every=k), 0.5, seed) for seed in (0, 1)], place) for k in (1, 100)
    )
    for a, b in zip(often, seldom, strict=True):
        assert np.array_equal(a.parameters, b.parameters)
        assert np.array_equal(a.statistics["trajectory_length"], b.statistics["trajectory_length"])
        assert np.isfinite(a.statistics["lipschitz_mean"]).all()
