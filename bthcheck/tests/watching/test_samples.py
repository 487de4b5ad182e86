"""Single samples of a watched training: what each did at every visit, against autograd and the engines of this package."""

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.training.runs import Run
from bthcheck.training.streams import sampling_order
from bthcheck.watching import samples

POINTS, BATCH, EPOCHS = 12, 4, 3


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1)).double()


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(POINTS, 3, generator=generator).double(), torch.randn(POINTS, 1, generator=generator).double()


def by_autograd(network, x, y):
    """‖∂f/∂z‖ and |∂ℓ/∂f| of each sample on its own, z the first layer's output."""
    norms, slopes = [], []
    for one, target in zip(x, y, strict=True):
        z = network[0](one).detach().requires_grad_()
        f = network[2](torch.relu(z))
        (gradient,) = torch.autograd.grad(f.sum(), z)
        norms.append(float(gradient.norm()))
        slopes.append(float((f.detach() - target).abs().sum() * 2))
    return norms, slopes


def loop(watched, network, optimizer, expected, accumulate=1, index=lambda batch: batch):
    x, y = data()
    order = torch.Generator().manual_seed(2)
    for epoch in range(1, EPOCHS + 1):
        watched.mark(epoch=epoch)
        batches = torch.randperm(POINTS, generator=order).split(BATCH)
        for number, batch in enumerate(batches):
            watched.mark(index=index(batch))
            norms, slopes = by_autograd(network, x[batch], y[batch])
            expected += [(epoch, *row) for row in zip(batch.tolist(), norms, slopes, strict=True)]
            ((network(x[batch]) - y[batch]) ** 2).mean().backward()
            if (number + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("index", [lambda batch: batch, lambda batch: batch.tolist(), lambda batch: batch.numpy()])
def test_every_visit_is_that_of_the_sample_on_its_own(accumulate, index):
    network, expected = model(), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    with bthcheck.watch(network, optimizer) as w:
        loop(w, network, optimizer, expected, accumulate, index)
    found = w.visits()
    epochs, points, norms, slopes = map(np.array, zip(*expected, strict=True))
    np.testing.assert_array_equal(found.index, points)
    np.testing.assert_array_equal(found.epoch, epochs)
    np.testing.assert_array_equal(found.step, np.repeat(np.arange(1, 1 + 9 // accumulate), BATCH * accumulate))
    np.testing.assert_allclose(found.phi, norms, rtol=1e-6)
    np.testing.assert_allclose(found.epsilon, slopes, rtol=1e-6)
    sums = found.groupby("index").sum()
    assert float(sums.phi.sel(index=7)) == pytest.approx(norms[points == 7].sum(), rel=1e-6)
    assert found.phi.attrs["units"] == "output / input"


def test_visits_are_those_of_the_engines():
    """The same training as a loop of one's own and as a run of this package."""
    experiment = SINUSOIDS.replace(levels=(0.5,), seeds=(3,), epochs=2, network=MLP((10, 10, 6, 1)), dtype="float64")
    expected = bthcheck.visits(experiment, 0.5, 3)
    run = Run(experiment, 0.5, 3)
    network, (x, y, *_) = run.network().double(), run.data()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001)
    order = sampling_order(3, 2, len(y), "reshuffle")
    with bthcheck.watch(network, optimizer) as w:
        for epoch, row in enumerate(order, start=1):
            w.mark(epoch=epoch)
            for point in row.tolist():
                optimizer.zero_grad()
                w.mark(index=point)
                ((network(x[point : point + 1]) - y[point]) ** 2 / 2).mean().backward()
                optimizer.step()
    found = w.visits()
    for epoch in (1, 2):
        one = found.isel(visit=found.epoch == epoch).swap_dims(visit="index").sortby("index")
        np.testing.assert_allclose(one.phi, expected.phi.sel(epoch=epoch), rtol=1e-5)
        np.testing.assert_allclose(one.epsilon, expected.epsilon.sel(epoch=epoch), rtol=1e-4)


def test_passes_without_an_index_or_thrown_away_are_no_visits():
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    x, y = data()
    with bthcheck.watch(network, optimizer) as w:
        w.mark(index=[0, 1])
        ((network(x[:2]) - y[:2]) ** 2).mean().backward()
        optimizer.zero_grad()  # whose pass comes to nothing
        w.mark(index=[2, 3])
        ((network(x[2:4]) - y[2:4]) ** 2).mean().backward()
        ((network(x[4:6]) - y[4:6]) ** 2).mean().backward()  # of which nobody says which samples they are
        optimizer.step()
    assert w.visits()["index"].values.tolist() == [2, 3]
    assert w.dataset().samples.values.tolist() == [4]


def test_passes_that_are_set_to_zero_in_place_are_no_visits():
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    x, y = data()
    with bthcheck.watch(network, optimizer) as w:
        for part in ([0, 1], [2, 3]):
            optimizer.zero_grad(set_to_none=False)  # which is looked at only when the records are fetched
            w.mark(index=part)
            ((network(x[part]) - y[part]) ** 2).mean().backward()
        optimizer.step()
    assert w.visits()["index"].values.tolist() == [2, 3]


def test_an_index_of_another_length_is_left_out_with_a_sentence():
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    x, y = data()
    with bthcheck.watch(network, optimizer) as w:
        w.mark(index=[0, 1, 2])
        ((network(x[:2]) - y[:2]) ** 2).mean().backward()
        optimizer.step()
        with pytest.warns(UserWarning, match="index has 3 entries in a pass of 2 samples, which is left out"):
            w.visits()
    assert w.visits().sizes == {"visit": 0}


@pytest.mark.parametrize("index", [[0.5, 1.0], [[0, 1]], [], "a", [[0], [1, 2]], True])
def test_what_is_no_index_is_refused(index):
    network = model()
    w = bthcheck.watch(network, torch.optim.SGD(network.parameters(), lr=0.05))
    with w, pytest.raises(ValueError, match="index must be the whole numbers of the batch's samples"):
        w.mark(index=index)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(samples.Samples.__init__, "__defaults__", (10,))
    network, expected = model(), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    with bthcheck.watch(network, optimizer) as w:
        loop(w, network, optimizer, expected)
        with pytest.warns(UserWarning, match="more than 10 visits of samples are recorded; later ones are left out"):
            w.visits()
    assert w.visits()["index"].values.tolist() == [row[1] for row in expected[:10]]


def test_a_training_is_the_same_with_an_index():
    trained = []
    for with_index in (False, True):
        network = model()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
        x, y = data()
        with bthcheck.watch(network, optimizer) as w:
            for batch in torch.arange(POINTS).split(BATCH):
                if with_index:
                    w.mark(index=batch)
                optimizer.zero_grad()
                ((network(x[batch]) - y[batch]) ** 2).mean().backward()
                optimizer.step()
        trained.append(network.state_dict())
    assert all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])
