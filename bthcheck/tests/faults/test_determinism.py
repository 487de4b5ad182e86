"""The same numbers, to the bit, under every condition that must not matter; docs/figures/reliability_figure.py draws them all.

Of the stacked engine no more is asked than to rounding: where runs are stacked otherwise, kernels may sum in another order.
"""

import numpy as np
import pytest

from bthcheck.benchmark.faults.conditions import (
    ENGINES,
    IN_ONE_PROCESS,
    RUNS,
    SESSIONS,
    compare,
    in_processes,
    in_session,
    plain,
)

ROUNDING = 1e-4  # of the largest number, after two hundred steps in float32
TRIED = ("pytest -n 4 --dist worksteal", "tests backwards", "tests shuffled, -n 2")  # the figure has more


@pytest.fixture(scope="module")
def expected():
    """What every engine measures under no condition."""
    return {engine: plain(engine) for engine in ENGINES}


def assert_same(condition, engine, found, expected):
    comparison = compare(condition, engine, found, expected[engine])
    assert comparison.runs == RUNS
    if engine == "stacked":
        assert comparison.largest < ROUNDING, comparison
    else:
        assert comparison.equal == RUNS, comparison


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("condition", IN_ONE_PROCESS)
def test_in_one_process(expected, condition, engine):
    assert_same(condition, engine, IN_ONE_PROCESS[condition](engine), expected)


def test_in_processes_of_their_own(expected):
    for condition, found in in_processes():
        for engine in ENGINES:
            assert_same(condition, engine, found[engine], expected)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What a session of claims that train with every engine says, in one process and in the order they are written in."""
    _, at, outcome = in_session("pytest -n 0", tmp_path_factory.mktemp("session") / "plain")
    assert len(at.rows) == 2 * len(ENGINES), outcome.text
    return at.rows


@pytest.mark.parametrize("condition", TRIED)
def test_in_a_session(expected, rows, tmp_path, condition):
    assert condition in SESSIONS
    found, at, outcome = in_session(condition, tmp_path / "session")
    for engine in ENGINES:
        assert_same(condition, engine, found[engine], expected)
    exact = [id for id in rows if not id.startswith("STACKED")]
    assert {id: at.rows[id] for id in exact} == {id: rows[id] for id in exact}, outcome.text
    assert {id: row["status"] for id, row in at.rows.items()} == {id: row["status"] for id, row in rows.items()}


def test_one_bit_is_a_difference(expected):
    """What compares has to be able to find one."""
    numbers = {name: values.copy() for name, values in expected["fused"].items()}
    numbers["parameters"][1, 2, 0] = np.nextafter(numbers["parameters"][1, 2, 0], np.float32(np.inf))
    found = compare("one bit", "fused", numbers, expected["fused"])
    assert found.equal == RUNS - 1
    assert 0 < found.largest < 1e-6
    numbers["train_loss"][0, 0, 3] = -0.0
    assert compare("a sign of zero", "fused", numbers, expected["fused"]).equal == RUNS - 2
