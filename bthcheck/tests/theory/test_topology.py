"""Spanning trees against all trees there are and against SciPy's; partial τ against its table of pairs."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from bthcheck.theory.topology import partial_tau, path_length, spanning_tree_length


def every_tree(count):
    """All labelled trees on so many vertices, as edges, by their Prüfer sequences (Cayley: count^(count − 2) of them)."""
    for sequence in product(range(count), repeat=count - 2):
        degree = [1 + sequence.count(vertex) for vertex in range(count)]
        edges = []
        for vertex in sequence:
            leaf = degree.index(1)
            edges.append((leaf, vertex))
            degree[leaf] -= 1
            degree[vertex] -= 1
        edges.append(tuple(vertex for vertex in range(count) if degree[vertex] == 1))
        yield edges


def test_no_tree_is_shorter():
    generator = np.random.default_rng(0)
    for _ in range(10):
        points = generator.standard_normal((5, 3))
        distance = cdist(points, points)
        shortest = min(sum(distance[edge] for edge in tree) for tree in every_tree(5))
        assert spanning_tree_length(points) == pytest.approx(shortest, rel=1e-12)
        assert spanning_tree_length(points) <= path_length(points) * (1 + 1e-12)


def test_large_sets_are_as_scipy_has_them():
    points = np.random.default_rng(1).standard_normal((200, 10))
    assert spanning_tree_length(points) == pytest.approx(minimum_spanning_tree(cdist(points, points)).sum(), rel=1e-12)


def test_points_that_coincide_cost_nothing():
    """SciPy's sparse graphs take an edge of length 0 for none, and would count the points as apart."""
    points = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert spanning_tree_length(points) == pytest.approx(5.0)
    assert path_length(points) == pytest.approx(10.0)
    assert spanning_tree_length(points[:1]) == 0.0


@pytest.mark.parametrize("points", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan, 0.0]])])
def test_what_is_no_set_of_points_is_refused(points):
    with pytest.raises(ValueError, match="points must be a matrix of finite numbers"):
        spanning_tree_length(points)


def test_partial_tau_is_the_correlation_of_agreements_with_the_third():
    """Kendall's own derivation: a table of pairs by whether each quantity orders them as the third does."""
    generator = np.random.default_rng(2)
    for _ in range(20):
        third = generator.standard_normal(12)
        first, second = (third + generator.standard_normal(12) for _ in range(2))
        table = np.zeros((2, 2))
        for i, j in combinations(range(12), 2):
            agree = [int((values[i] - values[j]) * (third[i] - third[j]) > 0) for values in (first, second)]
            table[agree[0], agree[1]] += 1
        (d, c), (b, a) = table
        expected = (a * d - b * c) / np.sqrt((a + b) * (c + d) * (a + c) * (b + d))
        assert partial_tau(first, second, third) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(partial_tau(third, first, third))
