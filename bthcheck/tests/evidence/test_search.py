import importlib

import numpy as np
from hypothesis import strategies as st

from bthcheck.evidence.search import Comparison, examples, falsify
from bthcheck.geometry import lipschitz


def test_a_planted_violation_is_found_and_shrunk():
    def measure(number):
        return Comparison(np.array([float(number)]), np.array([100.0]), np.array([0.5]))

    search = falsify(st.integers(0, 10_000), measure, max_examples=200)
    assert search.counterexample == "101: 101 > 100"
    assert "falsified; the smallest counterexample is 101" in search.summary


def test_tolerance_counts():
    search = falsify(st.just(1), lambda _: Comparison(np.array([1 + 1e-9]), np.array([1.0]), np.array([1e-8])), 10)
    assert search.counterexample is None
    assert "no counterexample" in search.summary


def test_a_false_bound_on_networks_is_found():
    """λ ≤ 0.9 Π‖W_l‖ is false, by a single path through the network."""

    def measure(example):
        value = lipschitz.local_lipschitz(*example).numpy()
        bound = 0.9 * lipschitz.product_bound(example.network)
        return Comparison(value, np.full_like(value, bound), np.full_like(value, lipschitz.product_tolerance(example.network)))

    search = falsify(examples(), measure, max_examples=300)
    assert search.counterexample is not None
    assert "W_1 = " in search.counterexample


def test_a_search_is_the_same_every_time():
    def measure(example):
        return Comparison(np.zeros(1), np.array([float(example.x.abs().sum())]), np.zeros(1))

    first, second = (falsify(examples(), measure, max_examples=40) for _ in range(2))
    assert np.array_equal(first.larger, second.larger)
    assert first.examples == second.examples


def test_a_search_does_not_depend_on_which_modules_are_loaded(tmp_path, monkeypatch):
    """Hypothesis draws numbers that it reads in the code of modules outside of site-packages."""

    def drawn():
        seen = []

        def measure(numbers):
            seen.append(tuple(numbers))
            return Comparison(np.zeros(1), np.ones(1), np.zeros(1))

        falsify(st.lists(st.floats(0, 1000), min_size=5, max_size=5), measure, max_examples=100)
        return seen

    before = drawn()
    constants = [100.0625 + number for number in range(500)]
    (tmp_path / "many_constants.py").write_text("\n".join(f"c{n} = {c}" for n, c in enumerate(constants)))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("many_constants")
    assert drawn() == before


def test_no_network_is_flat_everywhere():
    """A search over networks whose gradients vanish would withstand anything."""
    steep = []

    def measure(example):
        steep.append(lipschitz.first_layer_gradients(*example).norm(dim=1).numpy())
        return Comparison(np.zeros(1), np.ones(1), np.zeros(1))

    falsify(examples(), measure, max_examples=100)
    assert all(norms.max() > 0 for norms in steep)
    assert np.mean(np.concatenate(steep) > 0) > 0.6


def test_shapes_are_what_was_asked():
    widths = {"narrow": [], "wide": [], "any": []}
    for shape, seen in widths.items():

        def measure(example, seen=seen):
            seen.append(tuple(example.network.first.weight.shape))
            return Comparison(np.zeros(1), np.ones(1), np.zeros(1))

        falsify(examples(shape=shape), measure, max_examples=60)
    assert all(rows <= columns for rows, columns in widths["narrow"])
    assert all(rows > columns for rows, columns in widths["wide"])
    assert any(rows > columns for rows, columns in widths["any"])
    assert any(rows <= columns for rows, columns in widths["any"])
