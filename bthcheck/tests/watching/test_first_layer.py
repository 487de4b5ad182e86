"""The first layer and what is noted of it, whoever finds it: the first forward pass of the training, or the probe before."""

import pytest
import torch
from torch import nn

import bthcheck


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


@pytest.mark.parametrize("probe", [None, torch.ones(2, 3)], ids=["no probe", "probe"])
def test_what_is_noted_of_the_bias_does_not_depend_on_a_probe(probe):
    """A probe evaluates the model with other tensors in the place of its parameters: its bias was then said to be frozen."""
    model = net()
    optimizer = torch.optim.SGD([{"params": model[2].parameters()}, {"params": model[0].parameters(), "lr": 0.25}], lr=0.5)
    with bthcheck.watch(model, optimizer, probe=probe) as w:
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()
    assert w.dataset().learning_rate.values.tolist() == [0.25]
    (reason,) = w.reading().of("bias").reasons
    assert reason == "Gradients were changed before the step, as by clipping."
