"""Losses and epochs are those of the step that they were marked for, whenever records are fetched."""

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck

STEPS = 40
"""More than are kept before the first are fetched."""


class Loop:
    """A loop that marks losses before or after a step; its lists are what records must say."""

    def __init__(self, *layers, **options):
        torch.manual_seed(0)
        self.net = nn.Sequential(*(layers or (nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)
        self.watch = bthcheck.watch(self.net, self.optimizer, **options)
        self.losses = []

    def step(self, marked="after"):
        self.optimizer.zero_grad()
        loss = (self.net(torch.randn(5, 3)) ** 2).mean()
        if marked == "before backward":
            self.watch.mark(loss=loss)
        loss.backward()
        if marked == "before step":
            self.watch.mark(loss=loss)
        self.optimizer.step()
        if marked == "after":
            self.watch.mark(loss=loss)
        self.losses.append(loss.item())


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("marked", ["before backward", "before step", "after"])
def test_a_loss_is_that_of_its_step(marked, every):
    loop = Loop(every=every)
    with loop.watch as w:
        for _ in range(STEPS):
            loop.step(marked)
    records = w.dataset()
    assert records.step.values.tolist() == list(range(1, STEPS + 1, every))
    np.testing.assert_allclose(records.train_loss, np.array(loop.losses)[records.step.values - 1], rtol=1e-6)


def test_losses_of_one_step_are_averaged_after_it_too():
    loop = Loop()
    with loop.watch as w:
        loop.step(marked="never")
        w.mark(loss=1.0)
        w.mark(loss=2.0)
        loop.step(marked="never")
    np.testing.assert_array_equal(w.dataset().train_loss, [1.5, np.nan])


@pytest.mark.parametrize("marked", ["before backward", "after backward"])
def test_a_loss_whose_gradients_were_discarded_is_not_that_of_the_step(marked):
    loop = Loop()
    with loop.watch as w:
        for _ in range(3):
            for _ in range(2):
                loop.optimizer.zero_grad()
                losses = [(loop.net(torch.randn(5, 3)) ** 2).mean() for _ in range(2)]
                for loss in losses if marked == "before backward" else ():
                    w.mark(loss=loss)
                sum(losses).backward()
                for loss in losses if marked == "after backward" else ():
                    w.mark(loss=loss)
            loop.optimizer.step()
            loop.losses.append(sum(losses).item() / 2)
    records = w.dataset()
    assert records.attrs["discarded"] == 3
    np.testing.assert_allclose(records.train_loss, loop.losses, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 8, 16, 17])
def test_every_epoch_ends_with_a_probe(length):
    loop = Loop(probe=torch.randn(2, 3), probe_every="epoch")
    with loop.watch as w:
        for number in range(3):
            w.mark(epoch=number + 1)
            for _ in range(length):
                loop.step()
    records = w.dataset()
    assert records.step[records.lipschitz_mean.notnull()].values.tolist() == [length, 2 * length, 3 * length]


def test_a_probe_is_not_lost_because_records_were_asked_for():
    loop = Loop(probe=torch.randn(3, 3), points=2, probe_every="epoch")
    with loop.watch as w:
        for number in range(2):
            w.mark(epoch=number + 1)
            for _ in range(3):
                loop.step()
            assert w.dataset().sizes["step"] == 3 * (number + 1)
    records = w.dataset()
    assert records.step[records.lipschitz_mean.notnull()].values.tolist() == [3, 6]
    probed = records.sel(step=[3, 6])
    assert (probed.lipschitz.max("probe") <= probed.lipschitz_max).all()
    assert probed.lipschitz.notnull().all()


@pytest.mark.parametrize("before", ["nothing", "a probe", "an evaluation"])
def test_what_is_looked_at_before_training_does_not_hide_batch_normalisation(before):
    layers = (nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    loop = Loop(*layers, probe=torch.randn(2, 3) if before == "a probe" else None)
    with loop.watch as w:
        if before == "an evaluation":
            loop.net.eval()
            with torch.no_grad():
                loop.net(torch.randn(5, 3))
            loop.net.train()
        loop.step()
    assert "BatchNorm behind the first layer" in str(w.reading())


def test_a_log_that_collects_is_told_when_a_block_is_over():
    class Collecting:
        def __init__(self):
            self.waiting, self.sent = [], []

        def __call__(self, values, step):
            self.waiting.append(step)

        def flush(self):
            self.sent.append(self.waiting)
            self.waiting = []

    log = Collecting()
    loop = Loop(log=log)
    with loop.watch:
        for _ in range(STEPS):
            loop.step()
    assert not log.waiting
    assert [step for block in log.sent for step in block] == list(range(1, STEPS + 1))
    assert len(log.sent) > 1
