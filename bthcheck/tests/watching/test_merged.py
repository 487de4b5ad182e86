"""Records of several processes, put together, are those of one process that has all points."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.watching import merged
from bthcheck.watching.watch import Watch

OPTIONS = {
    "layer": None, "output": None, "probe": None, "every": 1, "probe_every": 100, "points": 8, "limit": 1000, "log": None
}  # fmt: skip


@pytest.fixture(scope="module")
def records():
    """The Datasets of two processes, whose gradients are averaged as DistributedDataParallel does, and that of one alone."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    nets = [net, copy.deepcopy(net), copy.deepcopy(net)]
    optimizers = [torch.optim.SGD(one.parameters(), lr=0.1) for one in nets]
    watches = [Watch(nets[rank], optimizers[rank], process=(rank, 2), **OPTIONS) for rank in (0, 1)]
    watches.append(bthcheck.watch(nets[2], optimizers[2]))
    for _ in range(5):
        x = torch.randn(6, 3, dtype=torch.float64)
        for number, part in enumerate((x[:3], x[3:], x)):
            optimizers[number].zero_grad()
            loss = (nets[number](part) ** 2).mean()
            watches[number].mark(loss=loss)
            loss.backward()
        for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            one.grad = (one.grad + other.grad) / 2
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for watch in watches:
        watch.detach()
    return [watch.dataset() for watch in watches]


def test_processes_together_are_one(records):
    *parts, one = records
    assert not np.array_equal(parts[0].wall_time, parts[1].wall_time)
    together = merged(parts[::-1])
    assert set(together.variables) == set(one.variables)
    for name in set(one.variables) - {"wall_time", "passes"}:
        np.testing.assert_allclose(together[name], one[name], rtol=1e-12, err_msg=name)
    assert set(together.passes.values) == {2}


def test_what_is_not_of_one_training_is_refused(records):
    first, second, alone = records
    for parts in ([first], [first, first], [first, alone]):
        with pytest.raises(ValueError, match="ranks 0, 1, …; got ranks"):
            merged(parts)
    with pytest.raises(ValueError, match="not of the same steps"):
        merged([first, second.isel(step=slice(1, None))])
    moved = second.assign(distance_to_init=second.distance_to_init + 1)
    with pytest.raises(ValueError, match="do not have the same bias"):
        merged([first, moved])
