"""Theorem 2 against autograd, sums over paths and brute force; every refusal by its sentence."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.optimize import linprog
from torch import nn

from bthcheck.evidence.search import examples
from bthcheck.experiments import REGIONS
from bthcheck.geometry import lipschitz, regions
from bthcheck.geometry.pursuit import BasisPursuit
from bthcheck.geometry.regions import Status, patterns
from bthcheck.geometry.regions import plane as plane_module
from bthcheck.networks import CNN, MLP, Network
from bthcheck.training.streams import stream


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_hand(network, x):
    """Activation vectors of every hidden layer, (m, n_l) bool each, by multiplying matrices."""
    h, masks = x.numpy(), []
    for weight, bias in network.layers():
        z = (h if weight is None else h @ weight.numpy().T) + bias.numpy()
        h = np.maximum(z, 0)
        masks.append(z > 0)
    return masks[:-1]


def logit_gradients(network, x):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network.logit(network.first(x)).sum(), x)
    return gradient.numpy()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(examples())
def test_patterns_say_which_neurons_are_on(example):
    network, x = example
    widths = regions.hidden_widths(network)
    packed = regions.activation_patterns(network, x)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(x), -(-sum(widths) // 8))
    for got, expected in zip(regions.unpacked(packed, widths), by_hand(network, x), strict=True):
        np.testing.assert_array_equal(got, expected)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(examples())
def test_kronecker_activations_are_products_over_layers(example):
    network, x = example
    widths = regions.hidden_widths(network)
    got = regions.kronecker(regions.activation_patterns(network, x), widths)
    for row, vectors in zip(got, zip(*by_hand(network, x), strict=True), strict=True):
        expected = np.ones(1)
        for vector in vectors:
            expected = np.kron(expected, vector)
        np.testing.assert_array_equal(row, expected)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(examples())
def test_the_gradient_is_linear_in_the_kronecker_activations(example):
    """∂s/∂x is a sum over paths: one neuron a layer, the product of its weights, and the product of its activations."""
    network, x = example
    widths = regions.hidden_widths(network)
    if np.prod(widths) > 300:
        return
    weights = [weight.numpy() for weight, _ in network.layers()]
    columns = []
    for path in product(*map(range, widths)):  # in the order of the Kronecker product
        column = weights[0][path[0]].copy()
        for layer in range(1, len(path)):
            column = column * weights[layer][path[layer], path[layer - 1]]
        columns.append(column * weights[-1][0, path[-1]])
    paths = np.array(columns).T
    s = regions.kronecker(regions.activation_patterns(network, x), widths)
    gradient = logit_gradients(network, x)
    size = np.abs(paths).sum() + 1e-12
    np.testing.assert_allclose(s @ paths.T, gradient, rtol=1e-9, atol=1e-12 * size)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(examples())
def test_gradients_of_patterns_are_those_of_autograd(example):
    network, x = example
    got = regions.pattern_gradients(network, regions.activation_patterns(network, x))
    gradient = logit_gradients(network, x)
    np.testing.assert_allclose(got, gradient, rtol=1e-9, atol=1e-9 * (np.abs(gradient).max() + 1e-12))


@pytest.mark.parametrize("first_layer", ["identity", "trained"])
def test_a_square_first_layer_and_a_width_of_several_bytes(first_layer):
    network = MLP((10, 10, 7, 9, 1), first_layer).build(seed=3).double()
    x = normal(40, 10)
    packed = regions.activation_patterns(network, x)
    assert packed.shape == (40, 4)
    gradient = logit_gradients(network, x)
    np.testing.assert_allclose(regions.pattern_gradients(network, packed), gradient, rtol=1e-12, atol=1e-15)


def brute_force(network, x_train, x):
    """ξ Σ|k_i|λ(x_i) by one program over all training points as they come, with λ from autograd and μ from f; NaN if none."""
    s_train, s = (
        np.array([np.kron(*row) if len(row) > 1 else row[0] for row in zip(*by_hand(network, points), strict=True)], float)
        for points in (x_train, x)
    )
    slopes = lipschitz.local_lipschitz(network, x_train).numpy()
    f = network(x_train).detach().numpy()
    mu = min(f.min(), (1 - f).min())
    xi = 0.25 / (mu * (1 - mu)) if network.sigmoid else 1
    scale, values = slopes.max(), []  # the solver's tolerances are absolute
    for row in s:
        result = linprog(np.tile(slopes / scale, 2), A_eq=np.hstack([s_train.T, -s_train.T]), b_eq=row)
        values.append(xi * scale * result.fun if result.status == 0 else np.nan)
    return np.array(values)


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("widths", [(2, 3, 3, 1), (2, 5, 1), (3, 4, 3, 1)])
def test_bounds_are_those_of_brute_force(widths, output):
    kinds = []
    for seed in range(6):
        network = MLP(widths, "trained", output).build(seed).double()
        x_train, x = 2 * normal(12, widths[0], seed=seed), 2 * normal(60, widths[0], seed=seed + 100)
        bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
        expected = brute_force(network, x_train, x)
        empty = bounds.status != Status.OCCUPIED
        np.testing.assert_array_equal(np.isnan(expected), bounds.status == Status.INFEASIBLE)
        np.testing.assert_allclose(bounds.bound[empty], expected[empty], rtol=1e-7, atol=1e-12)
        # Where there is a training point its own constant is one of the sums, and without a sigmoid the smallest.
        assert (bounds.bound[~empty] >= expected[~empty] * (1 - 1e-7)).all()
        if output == "identity":
            np.testing.assert_allclose(bounds.bound[~empty], expected[~empty], rtol=1e-7, atol=1e-12)
        kinds += bounds.status.tolist()
    assert {Status.OCCUPIED, Status.BOUNDED, Status.INFEASIBLE} <= set(kinds)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(examples())
def test_no_slope_exceeds_its_bound(example):
    network, _ = example
    n = network.first.weight.shape[1]
    x_train, x = 2 * normal(30, n), 2 * normal(50, n, seed=1)
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
    known = np.isfinite(bounds.bound)
    np.testing.assert_array_equal(known, (bounds.status == Status.OCCUPIED) | (bounds.status == Status.BOUNDED))
    slope = lipschitz.local_lipschitz(network, x).numpy()
    assert (slope[known] <= (bounds.bound + bounds.tolerance)[known]).all()


def ramps():
    """f = relu(x + 1) − relu(1 − x): one neuron on at either side, both between −1 and 1, where the slope is 2."""
    network = MLP((1, 2, 1), "trained").build().double()
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), ([[1.0], [-1]], [1.0, 1], [[1.0, -1]], [0.0]), strict=True):
            parameter.copy_(torch.tensor(values))
    return network, torch.tensor([[-2.0], [2], [3]]).double(), torch.zeros(1, 1).double()


def test_a_bound_in_closed_form_that_is_met():
    network, x_train, x = ramps()
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
    assert bounds.status[0] == Status.BOUNDED
    assert bounds.bound[0] == pytest.approx(2, abs=1e-15)  # (1, 1) = (1, 0) + (0, 1), slopes 1 and 1
    assert bounds.nonzeros[0] == 2
    assert 0 < bounds.tolerance[0] < 1e-13


def test_the_tolerance_covers_what_a_solution_leaves_over(monkeypatch):
    network, x_train, x = ramps()
    monkeypatch.setattr(BasisPursuit, "_refined", lambda self, solution, target: solution * (1 - 1e-10))
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
    assert bounds.bound[0] < 2 - 1e-10
    assert bounds.bound[0] + bounds.tolerance[0] >= 2
    assert bounds.tolerance[0] < 1e-9


def test_points_of_one_pattern_count_with_their_lowest_slope():
    network = MLP((1, 1, 1), "trained", "sigmoid").build().double()
    for parameter, value in zip(network.parameters(), (1.0, 0.0, 1.0, 0.0), strict=True):
        nn.init.constant_(parameter, value)
    x_train = torch.tensor([[0.5], [2.0]], dtype=torch.float64)  # both on the active side, f = σ(x)
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, torch.ones(1, 1).double()))
    f = torch.sigmoid(x_train[1]).item()
    assert bounds.bound[0] == pytest.approx(0.25)  # ξ λ(2) = 0.25/(f(1 − f)) · f(1 − f), the largest slope a sigmoid has
    given_slopes = regions.pattern_bounds(
        network, x_train, regions.activation_patterns(network, x_train[:1]), np.array([3.0, 5.0])
    )
    assert given_slopes.bound[0] == pytest.approx(3 * 0.25 / (f * (1 - f)))


def test_given_slopes_take_the_place_of_constants():
    network = MLP((2, 6, 5, 1), "trained").build(seed=1).double()
    x_train, patterns = 2 * normal(60, 2), regions.activation_patterns(network, 2 * normal(200, 2, seed=1))
    constants = lipschitz.local_lipschitz(network, x_train).numpy()
    plain, same, twice = (
        regions.pattern_bounds(network, x_train, patterns, slopes) for slopes in (None, constants, 2 * constants)
    )
    assert (plain.status == Status.BOUNDED).any()
    np.testing.assert_allclose(same.bound, plain.bound, rtol=1e-9)
    np.testing.assert_allclose(twice.bound, 2 * plain.bound, rtol=1e-9)


def test_a_dead_region_has_slope_and_bound_zero():
    network = MLP((1, 2, 1), "trained").build().double()
    for parameter, value in zip(network.parameters(), (1.0, 0.0, 1.0, 0.0), strict=True):
        nn.init.constant_(parameter, value)
    x_train, x = torch.ones(1, 1).double(), -torch.ones(1, 1).double()
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
    assert (bounds.status[0], bounds.bound[0], bounds.nonzeros[0]) == (Status.BOUNDED, 0, 0)


def plane(network, x_train, **options):
    return regions.plane_regions(network, x_train, normal(x_train.shape[1], 2, seed=5), **options)


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_surfaces_are_what_autograd_says_at_every_grid_point(output):
    network = MLP((3, 8, 6, 1), "trained", output).build(seed=2).double()
    x_train, origin, u, v = normal(80, 3), normal(3, seed=9), np.linspace(-2, 1, 23), np.linspace(0, 3, 31)
    result = plane(network, x_train, u=u, v=v, origin=origin)
    points = origin + torch.tensor([[a, b] for a in u for b in v]) @ normal(3, 2, seed=5).T
    slopes = lipschitz.local_lipschitz(network, points).numpy().reshape(23, 31)
    np.testing.assert_allclose(result.lipschitz, slopes, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(result.output, network(points).detach().numpy().reshape(23, 31), rtol=1e-12)

    patterns = regions.activation_patterns(network, points)
    number = result.region_number.values.ravel()
    assert len(np.unique(patterns, axis=0)) == result.sizes["region"] == len(np.unique(number))
    occupants = {row.tobytes() for row in regions.activation_patterns(network, x_train)}
    for region in range(result.sizes["region"]):
        inside = patterns[number == region]
        assert (inside == inside[0]).all()
        assert len(inside) == result.points[region]
        assert (inside[0].tobytes() in occupants) == (result.status[region] == Status.OCCUPIED)
        assert slopes.ravel()[number == region].max() == pytest.approx(float(result.region_lipschitz[region]), abs=1e-14)
    assert result.attrs["product_bound"] == lipschitz.product_bound(network)
    assert result.attrs["regions_bounded"] == int((result.status == Status.BOUNDED).sum()) > 0
    assert all(variable.attrs["long_name"] and variable.attrs["units"] for variable in result.data_vars.values())


def test_batches_do_not_change_the_result(monkeypatch):
    network, x_train = MLP((3, 8, 6, 1), "trained").build(seed=2), normal(80, 3)
    whole = plane(network, x_train)
    assert float(whole.tolerance.max()) < 1e-12 < 1e-3 < float(whole.bound.median())
    monkeypatch.setattr(patterns, "BATCH", 130)
    monkeypatch.setattr(plane_module, "BATCH", 130)
    monkeypatch.setattr(patterns, "_CHUNK", 100)
    parts = plane(network, x_train)
    assert whole.sizes == parts.sizes
    for name in whole.data_vars:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_plane_of_a_task_holds_its_points_and_targets():
    task = REGIONS.task
    frame, data = task.plane(stream(3, "data")), task.sample(stream(3, "data"))
    assert torch.allclose(frame.T @ frame, 100 * torch.eye(2, dtype=torch.float64))
    uv = data.x_train @ frame / 100
    torch.testing.assert_close(uv @ frame.T, data.x_train)
    np.testing.assert_allclose(task.target(uv.numpy()), data.y_train, atol=1e-12)


def test_a_program_without_an_answer_is_not_a_bound(monkeypatch):
    network, x_train = MLP((2, 6, 5, 1), "trained").build(seed=1).double(), 2 * normal(60, 2)
    patterns = regions.activation_patterns(network, 2 * normal(200, 2, seed=1))
    solved = regions.pattern_bounds(network, x_train, patterns)
    assert solved.programs > 0

    def gives_up(*arguments, **options):
        result = linprog(*arguments, **options)
        result.status = 4
        return result

    monkeypatch.setattr("scipy.optimize.linprog", gives_up)
    bounds = regions.pattern_bounds(network, x_train, patterns)
    undecided = bounds.status == Status.UNDECIDED
    assert undecided.sum() >= solved.programs
    assert np.isnan(bounds.bound[undecided]).all()
    assert not bounds.nonzeros[undecided].any()
    np.testing.assert_array_equal(bounds.bound[~undecided], solved.bound[~undecided])


def test_where_a_sigmoid_is_certain_beyond_numbers_nothing_is_decided():
    network = MLP((2, 4, 1), "trained", "sigmoid").build(seed=1).double()
    with torch.no_grad():
        network.rest[-1].bias.fill_(2000.0)
    x = normal(30, 2)
    bounds = regions.pattern_bounds(network, x, regions.activation_patterns(network, 3 * normal(30, 2, seed=1)))
    assert not (bounds.status == Status.BOUNDED).any()
    assert np.isnan(bounds.bound).all()


def test_networks_that_have_no_such_regions_are_refused():
    with pytest.raises(ValueError, match="fully connected ReLU networks, such as MLP; got Unflatten"):
        regions.activation_patterns(CNN((1, 28, 28), (2, 2)).build(), torch.zeros(1, 784))
    with pytest.raises(ValueError, match="the first layer must have a bias"):
        Network(nn.Linear(2, 3, bias=False), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)), sigmoid=False)
    network = MLP((2, 3, 1), "trained").build()
    with torch.no_grad():
        network.first.bias[0] = float("nan")
    with pytest.raises(ValueError, match="parameters must be finite numbers; did its training diverge"):
        plane(network, normal(5, 2))


def test_patterns_and_grids_beyond_memory_are_refused():
    deep = MLP((10, 10, 32, 32, 32, 32, 1)).build()
    with pytest.raises(ValueError, match="hidden widths 10 · 32 · 32 · 32 · 32 have 10485760 entries; with 30 of them"):
        regions.kronecker(np.zeros((30, 18), np.uint8), regions.hidden_widths(deep))
    with pytest.raises(ValueError, match="use narrower or fewer layers, or fewer training points"):
        plane(deep, normal(50, 10))
    long = np.linspace(0, 1, 5000)
    with pytest.raises(ValueError, match="at most 4194304 points to fit in memory, got 5000 × 5000"):
        plane(MLP((2, 3, 1), "trained").build(), normal(5, 2), u=long, v=long)


def test_other_bad_input_is_named():
    network, x = MLP((2, 3, 1), "trained").build(), normal(5, 2)
    with pytest.raises(ValueError, match="u must be a sequence of increasing finite numbers"):
        plane(network, x, u=[1, 0])
    with pytest.raises(ValueError, match="v must be a sequence of increasing finite numbers"):
        plane(network, x, v=[])
    with pytest.raises(ValueError, match=r"directions must be two columns in the input space, \(2, 2\), got \(3, 2\)"):
        regions.plane_regions(network, x, normal(3, 2))
    with pytest.raises(ValueError, match=r"at least one point of the 2 inputs, \(m, 2\), got \(0, 2\)"):
        plane(network, x[:0])
    with pytest.raises(ValueError, match="x_train must be finite"):
        plane(network, x / 0)
    with pytest.raises(ValueError, match=r"one number a training point, \(5,\), got shape \(4,\)"):
        plane(network, x, slopes=np.ones(4))
    for slopes in (np.full(5, -1.0), np.full(5, np.nan)):
        with pytest.raises(ValueError, match="slopes must be finite numbers of at least 0"):
            plane(network, x, slopes=slopes)
    with pytest.raises(ValueError, match="directions must be finite numbers"):
        regions.plane_regions(network, x, torch.eye(2) * float("nan"))
    with pytest.raises(ValueError, match=r"origin must be a point of the input space, \(2,\), got \(3,\)"):
        plane(network, x, origin=torch.zeros(3))
    with pytest.raises(ValueError, match=r"x must be points of the 2 inputs, \(m, 2\), got \(5, 3\)"):
        regions.activation_patterns(network, normal(5, 3))
    with pytest.raises(ValueError, match=r"patterns must be uint8 of shape \(r, 1\).*got uint8 of shape \(4, 2\)"):
        regions.pattern_bounds(network, x, np.zeros((4, 2), np.uint8))
    wide = Network(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), sigmoid=False)
    with pytest.raises(ValueError, match="a network must have one output, got 2"):
        plane(wide, x)


def test_arrays_are_as_good_as_tensors():
    network, x = MLP((2, 6, 1), "trained").build(seed=1), normal(30, 2)
    some, others = plane(network, x), regions.plane_regions(network, x.numpy(), normal(2, 2, seed=5).numpy())
    assert some.identical(others)


def test_a_later_layer_may_be_without_bias():
    plain = MLP((2, 6, 1), "trained").build(seed=1).double()
    with torch.no_grad():
        plain.rest[-1].bias.zero_()
    bare = Network(plain.first, nn.Sequential(nn.ReLU(), nn.Linear(6, 1, bias=False).double()), sigmoid=False)
    bare.rest[-1].weight = plain.rest[-1].weight
    assert plane(bare, normal(30, 2)).identical(plane(plain, normal(30, 2)))
