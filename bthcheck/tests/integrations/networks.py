"""Networks and points for these tests, what per-sample autograd says of them, and comparisons to the bit."""

import numpy as np
import torch
from torch import nn


def points(count=20, seed=1):
    """Return inputs (count, 5) and targets (count, 1) in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    return x, x.sin().sum(1, keepdim=True)


def mlp(*between, seed=2):
    """Return an MLP 5-6-1 in float64, with further modules behind its first layer."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), *between, nn.ReLU(), nn.Linear(6, 1)).double()


def phi_by_hand(first, rest, batches, loss):
    """φ of the batches of a step together, one gradient of one sample at a time.

    Parameters
    ----------
    first, rest : functions x → z → f of a batch
    batches : (x, y) of every backward pass
    loss : of f and y, summed over the passes
    """
    gradient, slopes = 0.0, 0.0
    for x, y in batches:
        f = rest(first(x)).detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(f, y), f)
        for i in range(len(x)):
            z = first(x[i : i + 1]).detach().requires_grad_()
            (of_f,) = torch.autograd.grad(rest(z), z, slope[i : i + 1])
            gradient = gradient + of_f[0]
            slopes = slopes + slope[i].norm()
    return float(gradient.norm() / slopes)


def flat(state, name=""):
    """Return a nested state as name → leaf."""
    if isinstance(state, dict):
        items = state.items()
    elif isinstance(state, (list, tuple)):
        items = enumerate(state)
    else:
        return {name: state}
    return {key: leaf for part, value in items for key, leaf in flat(value, f"{name}/{part}").items()}


def assert_same_bits(one, other):
    """Assert that two states are equal, tensors to the bit."""
    one, other = flat(one), flat(other)
    assert list(one) == list(other)
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, name


def assert_same_records(one, other, rtol=1e-12):
    """Assert that two Datasets hold the same numbers but for the time."""
    assert set(one.variables) == set(other.variables)
    for name in set(one.variables) - {"wall_time"}:
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, err_msg=name)
