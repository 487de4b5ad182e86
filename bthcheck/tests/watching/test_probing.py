"""A probe computes λ of the network as it would be used, and leaves no trace of having done so."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.networks import CNN, MLP
from bthcheck.tests.watching import situations
from bthcheck.tests.watching.conftest import steps
from bthcheck.watching.probing import Probe, undisturbed


@pytest.mark.parametrize("network", [MLP((5, 5, 7, 1)), CNN((1, 16, 16), (2, 3), 3, 2, 4)], ids=["MLP", "CNN"])
def test_constants_are_those_of_this_packages_networks(network):
    model = network.build(1).double()
    x = torch.randn(9, network.inputs, dtype=torch.float64)
    assert torch.equal(Probe(x).constants(model, None), local_lipschitz(model, x))


class Everything(nn.Module):
    """Draws from every random state, counts, normalises, drops and swaps a buffer, in whichever mode it is."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 1)
        self.always = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("swapped", torch.zeros(2), persistent=False)

    def forward(self, x):
        self.calls += 1
        self.swapped = self.swapped + 1
        noise = torch.rand(()) + float(np.random.random()) + random.random()  # noqa: NPY002
        return self.out(self.drop(self.norm(x))) + 0 * noise


def test_nothing_is_changed_by_a_probe():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    model = Everything()
    model.norm.eval()  # as who freezes statistics does
    model(torch.randn(8, 12)).sum().backward()
    numbers, own = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    swapped = model.swapped
    before = {name: value.clone() for name, value in [*model.named_buffers(), *model.named_parameters()]}
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    found = Probe(torch.randn(3, 12)).constants(model, None)
    assert (found > 0).all()
    assert torch.equal(torch.get_rng_state(), state) is False  # the points above were drawn from it
    torch.set_rng_state(state)
    points = Probe(torch.zeros(3, 12))
    points.constants(model, None)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numbers).all()  # noqa: NPY002
    assert random.getstate() == own
    assert model.swapped is swapped
    assert all(torch.equal(value, before[name]) for name, value in [*model.named_buffers(), *model.named_parameters()])
    assert all(torch.equal(value.grad, gradients[name]) for name, value in model.named_parameters())
    assert [module.training for module in model.modules()] == modes
    assert all(value.requires_grad and value.is_leaf for value in model.parameters())


def test_modes_are_set_back_after_an_error():
    model = Everything()

    def fail():
        with undisturbed(model):
            assert not model.drop.training
            raise KeyError("in the midst")

    with pytest.raises(KeyError, match="in the midst"):
        fail()
    assert all(module.training for module in model.modules())


def test_evaluation_mode_is_what_is_measured():
    """BatchNorm by its running statistics: f(x) = w · x / √(variance + eps)."""
    model = nn.Sequential(nn.BatchNorm1d(3, eps=1e-20), nn.Linear(3, 1), nn.Dropout(0.9)).double()
    model[0].running_var.copy_(torch.tensor([4.0, 1.0, 0.25]))
    wanted = (model[1].weight.detach()[0] / torch.tensor([2.0, 1.0, 0.5])).norm()
    found = Probe(torch.randn(4, 3, dtype=torch.float64)).constants(model, None)
    torch.testing.assert_close(found, wanted.expand(4), rtol=1e-14, atol=0)


def test_several_outputs_have_a_spectral_norm():
    model = nn.Linear(6, 4).double()
    found = Probe(torch.zeros(2, 6, dtype=torch.float64)).constants(model, None)
    wanted = np.linalg.svd(model.weight.detach().numpy())[1][0]
    np.testing.assert_allclose(found, [wanted, wanted], rtol=1e-13)


def test_tokens_have_the_slope_of_their_embeddings():
    torch.manual_seed(0)
    model = situations.Tokens().double().eval()
    tokens = torch.randint(0, 2, (3, 12))
    found = Probe(tokens).constants(model, None)
    embedded = model.embedding(tokens).detach().requires_grad_()
    f = model.head(model.encoder(embedded).mean(1))
    rows = [torch.autograd.grad(f[:, k].sum(), embedded, retain_graph=True)[0].flatten(1) for k in range(4)]
    wanted = np.linalg.svd(torch.stack(rows, 1).numpy(), compute_uv=False)[:, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_inputs_by_name_and_several_of_them():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 1)

        def forward(self, mask, x):
            return {"f": self.linear(x * mask)}

    model = Two()
    x, mask = torch.ones(300, 3), torch.zeros(300, 3, dtype=torch.long)
    mask[:150, 0] = 1
    wanted = torch.where(torch.arange(300) < 150, model.linear.weight.detach()[0, 0].abs(), torch.zeros(()))

    def pick(returned):
        return returned["f"]

    for points in ((mask, x), {"x": x, "mask": mask}):  # in chunks, each with its rows of both
        torch.testing.assert_close(Probe(points).constants(model, pick), wanted)


def test_a_way_around_the_layer_is_found():
    x = torch.randn(2, 12)
    around = situations.Residual()
    assert Probe(x).goes_around(around, around.inside, None)
    through = situations.mlp()
    assert not Probe(x).goes_around(through, through[0], None)
    optimizer = torch.optim.SGD(around.parameters(), 0.1)
    with bthcheck.watch(around, optimizer, probe=x) as w:
        steps(around, optimizer)
    assert "by a way around the layer" in str(w.reading().of("gradient_norm"))
    assert w.reading().of("gradient_norm").scope == "descriptive"


def test_the_layer_is_the_first_that_runs_not_the_first_that_is_registered():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(5, 4), nn.Linear(12, 5)

        def forward(self, x):
            return self.head(self.body(x).relu())

    for options in ({}, {"probe": torch.zeros(1, 12)}):
        model = Backwards()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with bthcheck.watch(model, optimizer, **options) as w:
            steps(model, optimizer)
        assert w.dataset().attrs["layer"] == "body"
        assert w.dataset().phi.notnull().all()


def test_first_and_last_are_probed_and_what_lies_between(training):
    model, _ = training
    points = torch.randn(20, 12)
    start = Probe(points).constants(model, None)
    with bthcheck.watch(*training, probe=points, probe_every=3, points=4) as w:
        steps(*training, 7)
    found = w.dataset()
    assert found.step[found.lipschitz_mean.notnull()].values.tolist() == [3, 6, 7]
    assert found.attrs["lipschitz_mean_at_start"] == pytest.approx(float(start.mean()))
    assert found.attrs["lipschitz_max_at_start"] == pytest.approx(float(start.max()))
    end = Probe(points).constants(model, None)
    np.testing.assert_allclose(found.lipschitz[-1], end[:4])
    assert float(found.lipschitz_max[-1]) == pytest.approx(float(end.max()))
    assert found.sizes["probe"] == 4
    assert "20 points of the probe" in str(w.reading().of("lipschitz"))
