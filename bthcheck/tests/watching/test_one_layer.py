"""A network of one layer, whose output is f and z at once."""

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck

MODELS = {
    "the layer": lambda: nn.Linear(3, 1),
    "alone": lambda: nn.Sequential(nn.Linear(3, 1)),
    "with an identity": lambda: nn.Sequential(nn.Linear(3, 1), nn.Identity()),
    "with a view": lambda: nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_phi_of_a_linear_model_is_one_where_slopes_have_one_sign(name):
    model = MODELS[name]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with bthcheck.watch(model, optimizer) as w:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).exp().sum().backward()
            optimizer.step()
    records = w.dataset()
    assert set(records.samples.values) == {4}
    np.testing.assert_allclose(records.phi, 1, rtol=1e-6)
    np.testing.assert_allclose(records.gradient_norm_max, 1, rtol=1e-6)
