"""Attacks: what is judged a violation, when a search ends, what it tries first, and that it finds what there is to find."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from bthcheck.evidence.attacks import coverage, store
from bthcheck.evidence.attacks.judging import judged
from bthcheck.evidence.attacks.loop import Outcome, attack
from bthcheck.evidence.attacks.table import ATTACKS, FALLS, WITHSTANDS, Attack, attack_of
from bthcheck.evidence.search import Comparison

COUNTEREXAMPLES = sorted((Path(__file__).parent / "counterexamples").glob("*.json"))


def sides(smaller, larger, tolerance=0.0):
    return Comparison(*(np.atleast_1d(np.array(part, float)) for part in (smaller, larger, tolerance)))


def length(points):
    """The number of points is to be at most 6."""
    return sides(len(points), 6.0, 1e-9)


def of_paths(measure, expected=WITHSTANDS, most=40):
    """An attack on paths of a point a number, whose length is drawn."""
    one = st.lists(st.just([0.0]), min_size=1, max_size=most).map(lambda points: {"kind": "path", "points": points})
    return Attack("nothing is longer", "path", lambda: one, measure, expected)


class Clock:
    """Goes on by a second whenever somebody looks at it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_a_margin_is_above_zero_on_the_side_of_a_violation():
    above, below = judged(sides([3.0], [1.0])), judged(sides([1.0], [3.0]))
    assert (above.margin, below.margin) == (0.5, -0.5)
    assert above.violated
    assert not below.violated
    assert (above.smaller, above.larger) == (3.0, 1.0)
    assert judged(sides([1.0, 2.0], [3.0, 2.5])).margin == pytest.approx(-1 / 9)  # the closest of several


def test_rounding_is_no_violation():
    assert not judged(sides([1.0 + 1e-9], [1.0], 1e-8)).violated
    assert judged(sides([1.0 + 1e-9], [1.0], 1e-10)).violated
    found = judged(sides([1.0, 5.0 + 1e-9], [0.5, 5.0], [1.0, 1e-12]))
    assert found.violated
    assert found.smaller == 5.0 + 1e-9  # the one that is one


def test_what_float64_cannot_tell_does_not_count():
    assert judged(sides([], [], [])) is None
    assert judged(sides([np.nan, 1.0, 1e-200, 1e200], [1.0, np.inf, 0.0, 1.0])) is None
    found = judged(sides([np.nan, 1.0], [0.0, 4.0]))
    assert not found.violated
    assert found.ratio == 4.0


def test_a_ratio_that_rounding_decides_is_none():
    found = judged(sides([1.0, 2.0, 0.0], [1.5, 2.1, 1.0], [1e-9, 1.0, 0.0]))
    assert found.ratio == 1.5
    assert found.at == (1.0, 1.5)
    assert found.informative == pytest.approx(2 / 3)
    assert judged(sides([0.0], [1.0])).ratio == np.inf


def test_a_planted_violation_is_found_and_shrunk():
    found = attack("planted", of_paths(length), 60.0, seeds=itertools.count(1))
    assert found.falsified
    assert not found.as_expected
    case, said = found.counterexample
    assert case["points"] == [[0.0]] * 7
    assert (said.smaller, said.larger) == (7.0, 6.0)


def test_the_smallest_of_all_violations_is_kept():
    """Hypothesis tries larger ones before and after it."""
    lengths = []

    def cliff(points):
        lengths.append(len(points))
        return sides(float(len(points) > 6), 0.5)

    one = st.integers(1, 1000).map(lambda count: {"kind": "path", "points": [[0.0]] * count})
    found = attack("planted", Attack("", "path", lambda: one, cliff), 60.0, seeds=itertools.count(1))
    assert max(lengths) > 7
    assert found.counterexample[0]["points"] == [[0.0]] * 7


def test_a_search_that_is_to_find_nothing_finds_nothing_and_ends_in_time():
    clock = Clock()
    found = attack("planted", of_paths(length, most=6), 500.0, seeds=itertools.count(1), clock=clock)
    assert not found.falsified
    assert found.as_expected
    assert 500 <= clock.now <= 505  # looked at before every example
    assert 6 <= found.examples <= 500
    assert found.rounds > 1  # of six cases there are few, and ever new seeds
    assert found.closest["ratio"] == 1.0
    assert len(found.closest["case"]["points"]) == 6
    assert found.coverage["length"].total() == found.examples


def test_a_violation_that_takes_long_to_shrink_is_kept_when_the_time_is_over():
    found = attack("planted", of_paths(length), 12.0, seeds=itertools.count(3), clock=Clock(),
                   known=({"kind": "path", "points": [[0.0]] * 30},))  # fmt: skip
    assert found.falsified
    assert found.examples == 1
    late = attack(
        "planted", of_paths(lambda points: sides(len(points), 15.0, 0.5)), 25.0, seeds=itertools.count(3), clock=Clock()
    )
    assert late.falsified
    assert len(late.counterexample[0]["points"]) >= 16


def test_what_an_earlier_session_found_is_tried_first(tmp_path):
    rare = of_paths(lambda points: sides(len(points), 38.0, 0.5))
    first = attack("planted", rare, 60.0, seeds=itertools.count(1), database=tmp_path / "examples")
    assert first.falsified
    again = attack("planted", rare, 60.0, seeds=itertools.count(77), database=tmp_path / "examples")
    assert again.falsified
    assert again.examples < first.examples
    assert again.examples <= 4
    known = attack("planted", rare, 60.0, seeds=itertools.count(77), known=(first.counterexample[0],))
    assert known.falsified
    assert known.examples == 1


def test_an_interrupt_leaves_what_was_found():
    def measure(points):
        if len(points) > 3:
            raise KeyboardInterrupt
        return sides(len(points), 6.0)

    found = Outcome("planted")
    with pytest.raises(KeyboardInterrupt):
        attack("planted", of_paths(measure), 60.0, seeds=itertools.count(1), outcome=found)
    assert found.examples > 0
    assert not found.falsified


def test_cases_that_say_nothing_are_counted_and_end_no_search():
    found = attack("planted", of_paths(lambda points: sides([], [], [])), 40.0, seeds=itertools.count(1), clock=Clock())
    assert found.examples == 0
    assert found.discarded > 5
    assert found.closest is None


@pytest.mark.parametrize("id", ATTACKS)
def test_every_attack_compares_something(id):
    """A few examples of each: what withstands does so here, and not because there was nothing to compare."""
    found = attack(id, ATTACKS[id], 14.0, seeds=itertools.count(1), clock=Clock())
    assert found.falsified or found.examples + found.discarded >= 10  # what falls may do so at once
    assert found.informative > 0
    assert not (found.falsified and ATTACKS[id].expected == WITHSTANDS), found.counterexample
    assert {"weights"} <= found.coverage.keys()
    assert json.loads(json.dumps(found.closest)) == found.closest


def test_the_lower_bound_falls_for_wide_first_layers():
    found = attack("X2-counterexample", ATTACKS["X2-counterexample"], 120.0, seeds=itertools.count(1))
    assert found.falsified
    assert found.as_expected
    layers = found.counterexample[0]["layers"]
    assert len(layers) == 2  # as small as it gets: one input, two neurons
    assert [len(layer["bias"]) for layer in layers] == [2, 1]


@pytest.mark.parametrize("path", COUNTEREXAMPLES, ids=lambda path: path.stem)
def test_counterexamples_still_violate(path):
    id, one, case, said = store.read(path)
    assert one.expected == FALLS
    found = store.replayed(one, case)
    assert found.violated
    assert found.smaller - found.larger > 1000 * found.tolerance
    assert (found.smaller, found.larger) == pytest.approx((said["smaller"], said["larger"]), rel=1e-9)
    assert path.stem == id


def test_every_claim_that_is_to_fall_has_a_counterexample():
    assert {path.stem for path in COUNTEREXAMPLES} == {id for id, one in ATTACKS.items() if one.expected == FALLS}


def test_an_unknown_claim_is_refused():
    with pytest.raises(ValueError, match=r"the claim must be one of X1, X2, .*, which are attacked, got 'T2'"):
        attack_of("T2")


def test_coverage_says_what_cases_were_like():
    layers = [{"weight": [[1.0], [0.0]], "bias": [0.0, -9.0]}, {"weight": [[1.0, 1.0]], "bias": [0.0]}]
    case = {"kind": "network", "drawn": "whole", "layers": layers, "output": "identity", "x": [[0.0], [1.0]]}
    assert coverage.aspects(case) == {
        "weights": "whole", "hidden layers": "1", "first layer": "wider", "output": "identity", "neurons": "dead and tied",
        "Dropout": "no",
    }  # fmt: skip
    layers[0] = {"weight": None, "bias": [1.0]}
    layers[1] = {"weight": [[1.0]], "bias": [0.0]}
    assert coverage.aspects(case)["first layer"] == "identity"
    assert coverage.aspects(case)["neurons"] == "all alive, none tied"
    counts = {}
    for _ in range(3):
        coverage.count(counts, case)
    coverage.count(counts, {**case, "output": "sigmoid"})
    assert ["output", "identity 75%, sigmoid 25%"] in coverage.table(counts)
