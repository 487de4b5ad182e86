"""φ and λ of every engine where a sigmoid is 0 or 1 to rounding, against the derivative written without cancellation."""

import numpy as np
import pytest
import torch

from bthcheck.geometry import lipschitz
from bthcheck.networks import CNN, MLP
from bthcheck.tests.training.test_engines import SMALL, Sign
from bthcheck.training import fused, reference, stacked
from bthcheck.training.runs import Run

# Logits this far from 0 make float64's and float32's σ(s) equal to 1.
CERTAIN = {"float64": 40.0, "float32": 20.0}
NETWORKS = {
    "W_1 = I": MLP((10, 10, 8, 1), output="sigmoid"),
    "trained": MLP((10, 13, 8, 1), "trained", "sigmoid"),
    "convolutions": CNN((1, 12, 11), (2, 3), 3, 2, 4),
}
ENGINES = {
    "reference": reference.train,
    "fused": fused.train,
    "stacked": lambda run: stacked.train([run])[0],
}


@pytest.fixture(params=[1, -1], ids=["p = 1", "p = 0"])
def certain(request, monkeypatch):
    """A function that returns a run whose network is certain of one class at every point, and hardly moves."""
    plain = Run.network

    def network(run):
        built = plain(run)
        with torch.no_grad():
            built.rest[-1].bias += request.param * CERTAIN[run.setting.training.dtype]
        return built

    monkeypatch.setattr(Run, "network", network)

    def run(name, dtype, batch_size=1):
        task = Sign(inputs=NETWORKS[name].inputs, train=24, test=4)
        changes = {"network": NETWORKS[name], "batch_size": batch_size, "dtype": dtype, "epochs": 1}
        return Run(SMALL.replace(task=task, learning_rate=1e-12, lipschitz_every=1, **changes), 0.5, 3)

    return run


def expected(run):
    """‖g‖ and λ at the training points, (m,) each: of the logit by autograd, times e^−|s|/(1 + e^−|s|)², which is exact."""
    network, x = run.network(), run.data().x_train.to(run.dtype)
    z = network.first(x).detach().requires_grad_()
    (g,) = torch.autograd.grad(network.logit(z).sum(), z)
    gradient = g if isinstance(run.setting.network, CNN) else g @ lipschitz.first_weight(network)
    logits = network.logit(z).detach().double().numpy()
    decay = np.exp(-np.abs(logits))
    steep = decay / (1 + decay) ** 2
    return steep * g.double().norm(dim=1).numpy(), steep * gradient.double().norm(dim=1).numpy()


@pytest.mark.parametrize("dtype", CERTAIN)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_phi_and_lambda_are_right_where_a_probability_is_0_or_1_to_rounding(engine, name, dtype, certain):
    run = certain(name, dtype)
    phi, steep = expected(run)
    got = ENGINES[engine](run).statistics
    # A logit of 20 in float32 errs by a few units of 2e-6, and with it the exponential.
    relative = 1e-9 if dtype == "float64" else 2e-5
    for name, value in (
        ("trajectory_length", phi.sum()),
        ("trajectory_max", phi.max()),
        ("lipschitz_mean", steep.mean()),
        ("lipschitz_max", steep.max()),
    ):
        assert value > 0
        np.testing.assert_allclose(got[name], value, rtol=relative, err_msg=name)  # no absolute tolerance: they are tiny


@pytest.mark.parametrize("engine", [fused, reference])
def test_traces_are_right_there_too(engine, certain):
    run = certain("trained", "float64")
    phi, steep = expected(run)
    trace, order = engine.trace(run, 24), run.order()[0]
    np.testing.assert_allclose(trace["phi"], phi[order], rtol=1e-9)
    np.testing.assert_allclose(trace["lipschitz"], steep[order], rtol=1e-9)
    np.testing.assert_allclose(trace["point_lipschitz"][0], steep, rtol=1e-9)


def test_the_functions_of_a_network_are_right_there_too(certain):
    run = certain("trained", "float64")
    phi, steep = expected(run)
    network, x = run.network(), run.data().x_train
    np.testing.assert_allclose(lipschitz.local_lipschitz(network, x), steep, rtol=1e-9)
    np.testing.assert_allclose(lipschitz.first_layer_gradients(network, x).norm(dim=1), phi, rtol=1e-9)


def test_the_derivative_of_the_sigmoid_is_pytorchs_elsewhere():
    network = MLP((3, 5, 1), "trained", "sigmoid").build(seed=1).double()
    s = torch.linspace(-6, 6, 25, dtype=torch.float64, requires_grad=True)
    assert torch.equal(network.output(s), torch.sigmoid(s))
    (ours,) = torch.autograd.grad(network.output(s).sum(), s, create_graph=True)
    (theirs,) = torch.autograd.grad(torch.sigmoid(s).sum(), s, create_graph=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    second = [torch.autograd.grad(first.sum(), s)[0] for first in (ours, theirs)]
    torch.testing.assert_close(*second, rtol=1e-9, atol=1e-12)


@pytest.fixture
def both_certain(monkeypatch):
    """A run at points of both classes whose network is certain of the right one at each, with logits around ±40 or ±20."""
    run = Run(
        SMALL.replace(
            task=Sign(train=24, test=4), network=MLP((10, 32, 32, 1), "trained", "sigmoid"), learning_rate=1e-12, epochs=1
        ),
        0.5,
        3,
    )
    built, drawn = run.network(), run.data()
    logits = built.logit(built.first(drawn.x_train)).detach()
    ends = drawn.x_train[[int(logits.argmin()), int(logits.argmax())]]
    low, high = logits.min(), logits.max()
    x = ends.repeat(12, 1) + 1e-4 * drawn.x_train
    y = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(12)
    plain = Run.network

    def network(run):
        built = plain(run)
        scale = 2 * CERTAIN[run.setting.training.dtype] / float(high - low)
        with torch.no_grad():
            built.rest[-1].weight *= scale
            built.rest[-1].bias.sub_(float(low + high) / 2).mul_(scale)
        return built

    monkeypatch.setattr(Run, "network", network)
    monkeypatch.setattr(Run, "data", lambda run: drawn._replace(x_train=x, y_train=y))
    return run


@pytest.mark.parametrize("dtype", CERTAIN)
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("engine", ENGINES)
def test_updates_and_batches_are_right_there_too(engine, batch, dtype, both_certain):
    """Also the sign of ∂ℓ/∂f, with which a batch adds gradients up."""
    run = Run(both_certain.experiment.replace(dtype=dtype, batch_size=batch), 0.5, 3)
    network, data = run.network(), run.data()
    x, y = data.x_train.to(run.dtype), data.y_train.numpy()
    z = network.first(x).detach().requires_grad_()
    logits = network.logit(z)
    (g,) = torch.autograd.grad(logits.sum(), z)
    s, g = logits.detach().double().numpy(), g.double().numpy()
    assert (np.linalg.norm(g, axis=1) > 0).all()
    sign = 1 - 2 * y  # of ∂ℓ/∂s and ∂ℓ/∂f
    slope = sign / (1 + np.exp(-sign * s))
    epsilon, steep = 1 + np.exp(sign * s), np.exp(-np.abs(s)) / (1 + np.exp(-np.abs(s))) ** 2
    length = update = published = 0.0
    for points in np.split(run.order()[0], 24 // batch):
        moved = np.linalg.norm(slope[points] @ g[points]) / batch
        length += np.linalg.norm((sign * epsilon * steep)[points] @ g[points]) / epsilon[points].sum()
        update += moved
        published += moved * epsilon[points].mean()
    got = ENGINES[engine](run).statistics
    relative = 1e-9 if dtype == "float64" else 1e-4
    for name, value in (("trajectory_length", length), ("update_sum", 1e-12 * update), ("published_length", published)):
        assert value > 0
        np.testing.assert_allclose(got[name], value, rtol=relative, err_msg=name)
