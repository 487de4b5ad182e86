"""Theorem 3: every quantity from its definition, the condition by brute force, and networks where the bound is known."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from bthcheck.experiments import DROPOUT, TWO_CLUSTERS
from bthcheck.geometry import regions
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.geometry.regions import patterns as pattern_module
from bthcheck.networks import CNN, MLP
from bthcheck.theory import dropout
from bthcheck.theory.dropout import Steady
from bthcheck.training import reference
from bthcheck.training.runs import Run, load_parameters
from bthcheck.training.streams import kept_neurons, stream

NETWORKS = {
    "frozen": MLP((10, 10, 9, 1), output="sigmoid"),
    "trained": MLP((10, 14, 12, 1), "trained", "sigmoid"),
}


@pytest.fixture(params=NETWORKS)
def run(request):
    return Run(DROPOUT.replace(network=NETWORKS[request.param], dtype="float64", epochs=2), 0.5, 1)


@pytest.fixture
def points():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((40, 4)))


def random_network(*hidden):
    network = MLP((4, *hidden, 1), "trained", "sigmoid").build().double()
    size = sum(parameter.numel() for parameter in network.parameters())
    load_parameters(network, np.random.default_rng(3).standard_normal(size))
    return network


def test_watching_is_the_reference_training_step_by_step(run):
    """φ, β, μ, γ and changes of pattern from a trace by autograd."""
    x, y, _, _ = run.data()
    count = 60
    trace = reference.trace(run, count + 1)
    network = run.network()
    visits, kept = run.order()[0, :count], run.kept()[0, :count]
    steady = dropout.watch(network, x, y, visits, run.setting.training.learning_rate, kept)
    assert steady.phi == pytest.approx(trace["phi"][:count].max(), rel=1e-9)
    sigma = np.linalg.svd(trace["first_weight"][: count + 1], compute_uv=False)[:, 0].max()
    assert steady.beta == pytest.approx(sigma, rel=1e-9)
    right = 1 / trace["epsilon"][:count]  # of the cross-entropy: the probability of the right class
    assert steady.mu == pytest.approx(np.minimum(right, 1 - right).min(), rel=1e-6)
    slopes = trace["point_lipschitz"][: count + 1]
    assert slopes.min() > 0
    assert steady.gamma == pytest.approx((slopes.max(axis=0) / slopes.min(axis=0)).max() - 1, rel=1e-6)

    patterns = [regions.activation_patterns(network, x)]
    masks = torch.from_numpy(np.unpackbits(kept, axis=1, count=sum(run.setting.network.hidden)))
    for point, mask in zip(visits, masks, strict=True):
        logit = network.thinned_logit(network.first(x[point : point + 1]), mask[None])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, y[point : point + 1])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.sub_(run.setting.training.learning_rate * gradient)
        patterns.append(regions.activation_patterns(network, x))
    ever = (np.stack(patterns) != patterns[-1]).any(axis=(0, 2))
    np.testing.assert_array_equal(steady.changed, ever)
    assert 0 < ever.sum() < len(ever)
    for one, other in zip(steady.network.parameters(), network.parameters(), strict=True):
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-9, atol=1e-14)


def test_watching_leaves_the_network_alone_whatever_its_type(run):
    x, y, _, _ = run.data()
    for network in (run.network(), run.network().float()):
        before = [parameter.detach().clone() for parameter in network.parameters()]
        dropout.watch(network, x, y, run.order()[0, :5], 0.1, run.kept()[0, :5])
        assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_a_slope_that_vanishes_at_times_has_no_finite_gamma():
    """f = σ(relu(x + b)) at x = 0: one step moves b from above 0 to below."""
    network = MLP((1, 1, 1), output="sigmoid").build().double()
    load_parameters(network, np.array([0.01, 1.0, 0.0]))
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    steady = dropout.watch(network, x, y, np.array([0], np.int32), 1.0, np.array([[255]], np.uint8))
    assert steady.gamma == math.inf
    assert steady.changed.all()
    assert dropout.bound(steady, x).lipschitz == 0  # which is also its slope: at the end it is flat


def test_activity_is_the_share_of_points_at_which_a_neuron_is_on(points):
    network = random_network(5, 3)
    h, shares = points, []
    for weight, bias in network.layers()[:-1]:
        z = h @ weight.T + bias
        shares += (z > 0).double().mean(0).tolist()
        h = z.clamp(min=0)
    np.testing.assert_allclose(dropout.activity(network, points), shares)
    assert 0 < min(shares) < max(shares) < 1


@pytest.mark.parametrize("hidden", [(3,), (4, 3), (3, 4, 2)])
def test_the_condition_by_brute_force_over_combinations(hidden, points):
    """s(x) ≤ Σ s(x_i) where every tuple of neurons, one a layer, that is on at x is on at some x_i."""
    network = random_network(*hidden)

    def on(x):
        h, masks = x, []
        for weight, bias in network.layers()[:-1]:
            z = h @ weight.T + bias
            masks.append((z > 0).numpy())
            h = z.clamp(min=0)
        return masks

    train, query = points[:2], 2 * points[2:]
    known, asked = on(train), on(query)
    expected = [
        all(
            any(all(layer[i, j] for layer, j in zip(known, combination, strict=True)) for i in range(len(train)))
            for combination in product(*(np.flatnonzero(layer[k]) for layer in asked))
        )
        for k in range(len(query))
    ]
    got = dropout.covered(network, train, regions.activation_patterns(network, query))
    assert got.tolist() == expected
    assert 0 < sum(expected) < len(expected)
    assert dropout.covered(network, query, regions.activation_patterns(network, query)).all()


def test_every_neuron_on_somewhere_does_not_mean_every_combination():
    made = dropout.counterexample(5)
    network, x = made.network, made.x_train
    all_on = regions.activation_patterns(network, made.query)
    assert dropout.covered(network, x, all_on).all()
    fewer = x[1:]  # without the point where the first neuron and the second layer's are on together
    assert (dropout.activity(network, fewer) > 0).all()
    assert not dropout.covered(network, fewer, all_on).any()


def test_the_condition_is_looked_at_in_pieces_alike(points, monkeypatch):
    network = random_network(6, 5)
    patterns = regions.activation_patterns(network, 2 * points)
    whole = dropout.covered(network, points[:5], patterns)
    monkeypatch.setattr(pattern_module, "_CHUNK", 1)
    np.testing.assert_array_equal(dropout.covered(network, points[:5], patterns), whole)


def steady_by_hand(network, phi=0.3, beta=1.2, mu=0.1, gamma=0.5, points=40):
    return Steady(network, phi, beta, mu, gamma, np.zeros(points, bool))


def test_the_bound_is_the_printed_formula(points):
    network = random_network(5, 3)
    found = dropout.bound(steady_by_hand(network), points)
    shares = dropout.activity(network, points)
    with torch.no_grad():
        f = network(points)
    c = 1.5 * 1.2 / (0.1 * 0.9 * shares.min())
    assert (found.p_min, found.neurons, found.never) == (shares.min(), 8, 0)
    assert found.c == pytest.approx(c, rel=1e-12)
    assert found.lipschitz == pytest.approx(0.3 * c / 4 * math.log(8), rel=1e-12)
    assert found.margin == pytest.approx(float((1 - 2 * f).abs().min()), rel=1e-9)
    assert found.radius == pytest.approx(found.margin / (c * math.log(8) * 0.3), rel=1e-12)
    assert found.radius == pytest.approx(found.margin / (4 * found.lipschitz), rel=1e-12)


def test_neurons_that_are_never_on_count_neither_in_p_min_nor_in_the_logarithm(points):
    network = random_network(5, 3)
    with_dead = MLP((4, 6, 3, 1), "trained", "sigmoid").build().double()
    (w1, b1), (w2, b2), (w3, b3) = network.layers()
    w1, b1 = torch.cat([w1, torch.zeros(1, 4)]), torch.cat([b1, torch.tensor([-1.0])])
    w2 = torch.cat([w2, torch.ones(3, 1)], dim=1)
    load_parameters(with_dead, torch.cat([part.flatten() for part in (w1, b1, w2, b2, w3, b3)]).numpy())
    one, other = (dropout.bound(steady_by_hand(n), points) for n in (network, with_dead))
    assert other == one._replace(never=1)


@pytest.mark.parametrize(("changes", "value"), [({"mu": 0.0}, math.inf), ({"gamma": math.inf}, math.inf), ({"phi": 0.0}, 0.0)])
def test_at_the_ends_of_its_domain_the_bound_says_nothing_or_flat(points, changes, value):
    found = dropout.bound(steady_by_hand(random_network(5, 3), **changes), points)
    assert found.lipschitz == value
    assert found.radius == (math.inf if value == 0 else 0.0)


@pytest.mark.parametrize("k", [30, 400])
def test_the_counterexample_is_as_steep_as_calculated(k):
    """λ = slope σ'/√k and φ = slope σ'/k, so that λ/λ_steady = √k p_min μ(1 − μ) · 4 / log(k + 1) up to a thousandth."""
    made = dropout.counterexample(k)
    visits = stream(0, "order").integers(0, 2 * k, 60)
    steady = dropout.watch(made.network, made.x_train, made.y_train, visits, 1e-7, kept_neurons(0, 60, k + 1))
    bound = dropout.bound(steady, made.x_train)
    steep = float(local_lipschitz(steady.network, made.query))
    assert steep == pytest.approx(0.01 / (4 * math.sqrt(k)), rel=1e-3)
    assert steady.phi == pytest.approx(0.01 / (4 * k), rel=1e-3)
    assert not steady.changed.any()
    assert steady.gamma < 1e-4
    assert bound.p_min == 0.5
    assert steep / bound.lipschitz == pytest.approx(math.sqrt(k) / (2 * math.log(k + 1)), rel=2e-3)
    if k == 400:
        assert steep / bound.lipschitz == pytest.approx(1.67, abs=0.005)


def test_phi_may_exceed_the_largest_lambda():
    """The printed λ_steady ≤ λ (c/4) log Σ n_l would need φ ≤ λ. Two neurons that cancel are flat until one is dropped."""
    network = MLP((1, 2, 1), "trained", "sigmoid").build().double()
    load_parameters(network, np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0]))
    x, y = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert float(local_lipschitz(network, x)) == 0
    steady = dropout.watch(network, x, y, np.array([0], np.int32), 1e-9, np.array([[0b10000000]], np.uint8))
    assert steady.phi == pytest.approx(0.25)


def test_error_bound_is_the_printed_formula_and_says_when_it_is_vacuous():
    assert dropout.error_bound(2, 100) == pytest.approx(math.sqrt((8 * math.log(2) + 2 * math.log(20)) / 100))
    assert dropout.error_bound(2, 100) < 1 < dropout.error_bound(2, 10)
    assert dropout.error_bound(math.inf, 100) == math.inf


def test_error_counts_wrong_classes(points):
    network = random_network(3)
    with torch.no_grad():
        classes = (network(points) > 0.5).double()
    assert 0 < classes.mean() < 1
    assert dropout.error(network, points, classes) == 0
    classes[:10] = 1 - classes[:10]
    assert dropout.error(network, points, classes) == 0.25


def test_fresh_points_come_from_the_same_distribution_and_are_others():
    for task in (DROPOUT.task, TWO_CLUSTERS.task):
        data = task.sample(stream(3, "data"))
        x, y = task.fresh(stream(3, "data"), stream(3, "fresh"), 500)
        assert x.shape == (500, task.inputs)
        assert set(y.tolist()) == {0.0, 1.0}
        both = torch.cat([data.x_train, x])
        rank = np.linalg.matrix_rank(both.numpy(), tol=1e-6)
        assert rank == 2  # one plane for both
        assert not (x[:, None] == data.x_train[None]).all(dim=2).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dropout.error_bound(0, 10), "balls must be at least 1, got 0"),
        (lambda: dropout.error_bound(math.nan, 10), "balls must be at least 1, got nan"),
        (lambda: dropout.error_bound(2, 0), "points must be a whole number of at least 1, got 0"),
        (lambda: dropout.error_bound(2, 10, 1.0), "delta must be between 0 and 1, got 1.0"),
        (lambda: dropout.counterexample(1), "k must be at least 2, got 1"),
        (lambda: watch_of(MLP((4, 4, 1))), "Theorem 3 is about classifiers"),
        (lambda: watch_of(CNN((1, 12, 12), (2, 2), 3, 2, 4)), "linear regions are those of fully connected"),
        (lambda: watch_of(MLP((4, 4, 1), output="sigmoid"), visits=0), "there must be at least one step to watch, got none"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def watch_of(architecture, visits=1):
    inputs = architecture.inputs
    x, y = torch.zeros(2, inputs, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    dropout.watch(architecture.build(), x, y, np.zeros(visits, np.int32), 0.1, np.zeros((visits, 1), np.uint8))


def test_deep_networks_whose_combinations_do_not_fit_are_refused():
    network = MLP((4, 64, 64, 64, 64, 64, 1), "trained", "sigmoid").build()
    x = torch.zeros(3, 4)
    with pytest.raises(ValueError, match="Kronecker patterns of hidden widths 64 · 64 · 64 · 64 · 64 have 1073741824 entries"):
        dropout.covered(network, x, regions.activation_patterns(network, x))


def test_a_diverged_network_is_refused():
    network = MLP((4, 4, 1), output="sigmoid").build()
    load_parameters(network, np.full(9, np.nan))
    x, y = torch.zeros(2, 4), torch.zeros(2)
    with pytest.raises(ValueError, match="the network's parameters must be finite numbers; did its training diverge"):
        dropout.watch(network, x, y, np.zeros(1, np.int32), 0.1, np.zeros((1, 1), np.uint8))
