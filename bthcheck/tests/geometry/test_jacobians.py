"""Local Lipschitz constants of functions of several outputs, against full Jacobians and closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from bthcheck.geometry import jacobians
from bthcheck.geometry.jacobians import MOST_OUTPUTS, local_constants
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.networks import CNN, MLP


def network(inputs, outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 9), nn.Tanh(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, outputs)).double()


def points(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_the_constant_is_the_norm_of_the_whole_jacobian(outputs):
    f, x = network(4, outputs), points(11, 4)
    jacobian = torch.autograd.functional.jacobian(f, x).numpy()  # (m, outputs, m, n)
    expected = [np.linalg.svd(jacobian[i, :, i], compute_uv=False)[0] for i in range(len(x))]
    np.testing.assert_allclose(local_constants(f, x), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3)])
def test_a_linear_map_has_its_norm_everywhere(shape):
    a = points(5, int(np.prod(shape)), seed=1)
    found = local_constants(lambda x: x.flatten(1) @ a.T, points(6, *shape))
    np.testing.assert_allclose(found, np.full(6, np.linalg.norm(a.numpy(), 2)), rtol=1e-12)


def test_outputs_of_any_shape_are_one_vector_a_point():
    f, x = network(4, 6), points(5, 4)
    torch.testing.assert_close(local_constants(lambda x: f(x).reshape(-1, 2, 3), x), local_constants(f, x))
    one = network(4, 1)
    torch.testing.assert_close(local_constants(lambda x: one(x)[:, 0], x), local_constants(one, x))


@pytest.mark.parametrize(
    "kind", [MLP((10, 10, 16, 1)), MLP((10, 6, 8, 1), "trained", "sigmoid"), CNN(channels=(2, 3), hidden=4)]
)
def test_of_one_output_it_is_the_constant_of_the_paper(kind):
    one = kind.build(3).double()
    x = points(4, 3072 if isinstance(kind, CNN) else 10)
    torch.testing.assert_close(local_constants(one, x), local_lipschitz(one, x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("f", [lambda x: torch.ones(len(x), 3), lambda x: torch.ones(len(x), 3, requires_grad=True)])
def test_what_does_not_depend_on_the_points_is_refused(f):
    """A network that rounds or cuts the graph would otherwise be said to be flat."""
    with pytest.raises(ValueError, match="f does not depend on the points by differentiable operations"):
        local_constants(f, points(4, 2))


def test_a_function_that_is_flat_has_the_constant_0():
    assert torch.equal(local_constants(lambda x: 0 * x, points(4, 2)), torch.zeros(4, dtype=torch.float64))


def test_more_outputs_than_a_jacobian_is_taken_of_are_refused():
    x = points(2, 3)
    wide = torch.ones(3, MOST_OUTPUTS + 1, dtype=torch.float64)
    assert local_constants(lambda x: x @ wide[:, 1:], x).shape == (2,)
    with pytest.raises(ValueError, match=r"f has 65 outputs a point.*at most 64; let output= pick"):
        local_constants(lambda x: x @ wide, x)


@pytest.mark.parametrize(("f", "shape"), [(lambda x: x.sum(), r"\(\)"), (lambda x: x[:2], r"\(2, 3\)")])
def test_another_number_of_rows_is_refused(f, shape):
    with pytest.raises(ValueError, match=f"f must be one row a point: for 4 points its shape is {shape}"):
        local_constants(f, points(4, 3))


@pytest.mark.parametrize("count", [1, jacobians._CHUNK, jacobians._CHUNK + 1, 2 * jacobians._CHUNK + 3])
def test_points_are_evaluated_in_parts_and_in_their_order(count):
    sizes = []

    def f(x):
        sizes.append(len(x))
        return x**2 / 2

    x = points(count, 3)
    np.testing.assert_array_equal(local_constants(f, x), x.abs().max(1).values)
    assert max(sizes) <= jacobians._CHUNK
    assert sum(sizes) == count


def test_points_made_in_inference_mode_are_points():
    f = network(4, 2).float()
    with torch.inference_mode():
        x = torch.ones(3, 4)
    torch.testing.assert_close(local_constants(f, x), local_constants(f, torch.ones(3, 4)))


def test_neither_points_nor_parameters_notice():
    f, x = network(4, 2), points(3, 4).requires_grad_()
    for parameter in f.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        found = local_constants(f, x)
    assert not found.requires_grad
    assert x.grad is None
    assert not any(parameter.grad.any() for parameter in f.parameters())
    frozen = network(4, 2).requires_grad_(False)
    torch.testing.assert_close(local_constants(frozen, x), found)
