"""A short training whose records go to a log."""

import torch

import bthcheck
from bthcheck.tests.integrations.networks import mlp, points


def logged(log, steps=40, every=1):
    """Train an MLP and return its records; a loss is marked from step 31 on, a probe taken every 20 steps."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    x, y = points(5)
    with bthcheck.watch(net, optimizer, probe=x[:2], probe_every=20, every=every, log=log) as w:
        for step in range(1, steps + 1):
            w.mark(epoch=1 + (step - 1) // 20)
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            if step > 30:
                w.mark(loss=loss)
    return w.dataset()


def series(records, name):
    """Return step → value of a quantity where there is one, as a log is told."""
    values = records[name].values.astype(float)
    return {int(step): value for step, value in zip(records.step.values, values, strict=True) if value == value}
