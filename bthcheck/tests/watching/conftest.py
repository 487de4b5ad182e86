"""A small training that is watched."""

import pytest
import torch
from torch import nn

from bthcheck.tests.watching import situations


@pytest.fixture
def training():
    torch.manual_seed(0)
    model = situations.mlp()
    return model, torch.optim.SGD(model.parameters(), 0.1)


def steps(model, optimizer, count=3, w=None):
    for x, y in situations.batches(count):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if w is not None:
            w.mark(loss=loss)
        optimizer.step()


def clean(model, optimizer):
    hooks = [
        hook for module in model.modules() for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]
    return not hooks and not optimizer._optimizer_step_post_hooks and not optimizer._optimizer_step_pre_hooks
