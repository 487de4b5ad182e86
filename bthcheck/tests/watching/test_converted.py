"""Models that compute in lower precision and convert what they return, as accelerate has them do."""

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck


class Converts(nn.Module):
    """Makes its loss out of what it computes, and returns a converted copy of that."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x, convert):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            f = self.net(x)
            loss = (f**2).mean()
        return {"loss": loss.float(), "logits": f.float() if convert else f}


def records(convert, of):
    torch.manual_seed(0)
    model = Converts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bthcheck.watch(model, optimizer) as w:
        for _ in range(4):
            optimizer.zero_grad()
            found = model(torch.randn(5, 3), convert)
            (found["loss"] if of == "before" else (found["logits"].float() ** 2).mean()).backward()
            optimizer.step()
    return w.dataset()


@pytest.mark.parametrize("of", ["before", "after"])
def test_f_is_what_there_was_before_the_conversion(of):
    plain, converted = records(False, of), records(True, of)
    assert (plain.phi > 0).all()
    np.testing.assert_array_equal(converted.phi, plain.phi)
    np.testing.assert_array_equal(converted.gradient_norm_max, plain.gradient_norm_max)
    assert "Under autocast" in converted.attrs["reading"]


class Doubles(nn.Linear):
    """Returns more digits than it has."""

    def forward(self, x):
        return super().forward(x).double()


def test_a_conversion_from_full_precision_is_no_matter():
    model = Doubles(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bthcheck.watch(model, optimizer) as w:
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.dataset().phi, 1)
    assert "Under autocast" not in w.dataset().attrs["reading"]
