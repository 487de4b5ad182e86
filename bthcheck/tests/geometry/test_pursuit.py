"""Minimal combinations against brute force: every vertex of the program, enumerated."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy.optimize import linprog

from bthcheck.geometry.pursuit import BasisPursuit, Outcome


def cheapest(columns, weights, target):
    """Value of the cheapest combination, over all sets of independent columns; infinite if none makes the target.

    A linear program that has a solution has one on independent columns, of which there are at most `rank`.
    """
    rank = np.linalg.matrix_rank(columns)
    best = np.inf if target.any() else 0.0
    for size in range(1, rank + 1):
        for chosen in combinations(range(columns.shape[1]), size):
            part = columns[:, chosen]
            if np.linalg.matrix_rank(part) < size:
                continue
            k = np.linalg.lstsq(part, target, rcond=None)[0]
            if np.abs(part @ k - target).max() < 1e-9:
                best = min(best, weights[list(chosen)] @ np.abs(k))
    return best


@st.composite
def problems(draw):
    rows, count = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    if draw(st.booleans()):
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        columns = generator.integers(0, 2, (rows, count)).astype(float)
        combined = columns @ generator.integers(-1, 2, (count, 2))
        return columns, generator.integers(0, 9, count) / 4, np.column_stack([combined, generator.integers(0, 2, rows)])
    columns = draw(st_numpy.arrays(np.int8, (rows, count), elements=st.integers(0, 1))).astype(float)
    weights = draw(st_numpy.arrays(np.float64, count, elements=st.integers(0, 8).map(lambda n: n / 4)))
    targets = draw(st_numpy.arrays(np.int8, (rows, 3), elements=st.integers(0, 1))).astype(float)
    return columns, weights, targets


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problems())
def test_the_value_is_that_of_the_best_vertex(problem):
    columns, weights, targets = problem
    solutions = BasisPursuit(columns, weights).solve(targets)
    for number, target in enumerate(targets.T):
        expected = cheapest(columns, weights, target)
        if np.isinf(expected):
            assert solutions.outcome[number] == Outcome.INFEASIBLE
            assert np.isnan(solutions.value[number])
            assert solutions.nonzeros[number] == 0
        else:
            k = solutions.coefficients[:, number]
            assert solutions.outcome[number] == Outcome.SOLVED
            assert solutions.value[number] == pytest.approx(expected, abs=1e-9)
            np.testing.assert_allclose(columns @ k, target, atol=1e-9)
            assert solutions.residual[number] < 1e-9
            assert solutions.nonzeros[number] == (np.abs(k) > 1e-7).sum()


def test_brute_force_meets_every_outcome():
    """What the property above runs into: unique solutions, programs, and targets out of reach."""
    seen = {"infeasible": 0, "unique": 0, "programs": 0}

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(problems())
    def count(problem):
        columns, weights, targets = problem
        pursuit = BasisPursuit(columns, weights)
        outcome = pursuit.solve(targets).outcome
        seen["infeasible"] += int((outcome == Outcome.INFEASIBLE).sum())
        seen["programs"] += pursuit.programs
        seen["unique"] += int((outcome == Outcome.SOLVED).sum()) - pursuit.programs

    count()
    assert min(seen.values()) > 40, seen


def test_agrees_with_one_plain_program_on_a_wide_problem():
    generator = np.random.default_rng(0)
    columns = (generator.random((20, 60)) < 0.4).astype(float)
    columns[:, 30:] = columns[:, :30] + columns[:, generator.permutation(30)]  # every column depends on others
    weights = generator.uniform(0.1, 2, 60)
    targets = columns @ generator.integers(-1, 2, (60, 25))
    solutions = BasisPursuit(columns, weights).solve(targets)
    assert (solutions.outcome == Outcome.SOLVED).all()
    for value, target in zip(solutions.value, targets.T, strict=True):
        plain = linprog(np.tile(weights, 2), A_eq=np.hstack([columns, -columns]), b_eq=target)
        assert plain.status == 0
        assert value == pytest.approx(plain.fun, rel=1e-7)
    assert (solutions.nonzeros <= np.linalg.matrix_rank(columns)).all()


def test_a_program_that_the_solver_gives_up_on_is_not_decided():
    generator = np.random.default_rng(1)
    columns = (generator.random((12, 30)) < 0.5).astype(float)
    targets = columns @ generator.standard_normal((30, 4))
    solutions = BasisPursuit(columns, np.ones(30), max_iterations=1).solve(targets)
    assert (solutions.outcome == Outcome.UNDECIDED).all()
    assert np.isnan(solutions.value).all()
    assert np.isnan(solutions.coefficients).all()
    assert not solutions.nonzeros.any()


def test_one_hard_program_leaves_the_others_decided(monkeypatch):
    generator = np.random.default_rng(1)
    columns = (generator.random((12, 30)) < 0.5).astype(float)
    targets = columns @ generator.standard_normal((30, 4))
    whole = BasisPursuit(columns, np.ones(30)).solve(targets)
    calls = []

    def gives_up_on_all_and_on_the_third(costs, **options):
        result = linprog(costs, **options)
        calls.append(len(costs))
        if len(calls) in (1, 4):
            result.status = 4
        return result

    monkeypatch.setattr("scipy.optimize.linprog", gives_up_on_all_and_on_the_third)
    solutions = BasisPursuit(columns, np.ones(30)).solve(targets)
    assert calls == [240, 60, 60, 60, 60]
    assert sorted(solutions.outcome) == [Outcome.SOLVED] * 3 + [Outcome.UNDECIDED]
    solved = solutions.outcome == Outcome.SOLVED
    np.testing.assert_allclose(solutions.value[solved], whole.value[solved], rtol=1e-9)


@pytest.mark.parametrize("inflated", [False, True])
def test_a_solution_without_a_dual_that_proves_it_is_not_decided(monkeypatch, inflated):
    columns, weights = np.array([[1.0, 1, 0], [0, 1, 1]]), np.ones(3)

    def not_minimal(*arguments, **options):
        result = linprog(*arguments, **options)
        result.x = np.array([1.0, 0, 1, 0, 0, 0])  # (1, 0, 1) makes (1, 1) at a cost of 2, where column two makes it at 1
        if inflated:  # a dual of that value, which prices column two above its cost
            result.eqlin.marginals = result.eqlin.marginals * 2
        return result

    monkeypatch.setattr("scipy.optimize.linprog", not_minimal)
    outcome = BasisPursuit(columns, weights).solve(np.array([[1.0], [1]])).outcome
    assert outcome.tolist() == [Outcome.UNDECIDED]


def test_a_target_neither_inside_nor_outside_is_not_decided():
    columns = np.array([[1.0, 0], [0, 1], [0, 0]])
    targets = np.array([[1, 1, 1], [1, 1, 1], [1e-12, 1e-8, 1e-3]])
    outcome = BasisPursuit(columns, np.ones(2)).solve(targets).outcome
    assert outcome.tolist() == [Outcome.SOLVED, Outcome.UNDECIDED, Outcome.INFEASIBLE]


def test_a_solution_that_does_not_fit_is_not_decided():
    """Beside a target this large its last entry is rounding, but more than a solution may leave over."""
    columns = np.array([[1.0, 0], [0, 1], [0, 0]])
    solutions = BasisPursuit(columns, np.ones(2)).solve(np.array([[1e3], [1e3], [1e-8]]))
    assert solutions.outcome.tolist() == [Outcome.UNDECIDED]
    assert np.isnan(solutions.value).all()
    assert np.isnan(solutions.coefficients).all()


def test_without_columns_only_nothing_can_be_made():
    solutions = BasisPursuit(np.empty((3, 0)), np.empty(0)).solve(np.array([[0.0, 1], [0, 0], [0, 0]]))
    assert solutions.outcome.tolist() == [Outcome.SOLVED, Outcome.INFEASIBLE]
    assert solutions.value[0] == 0
    assert np.isnan(solutions.value[1])


def test_columns_that_cost_nothing_are_used():
    columns = np.array([[1.0, 1, 0], [0, 1, 1]])
    solutions = BasisPursuit(columns, np.array([0.0, 5, 0])).solve(np.array([[1.0], [1]]))
    assert solutions.value[0] == 0
    assert solutions.coefficients[:, 0] == pytest.approx([1, 0, 1])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"columns must be \(N, m\) and weights \(m,\), got \(2, 3\) and \(2,\)"):
        BasisPursuit(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match="weights must be finite numbers of at least 0"):
        BasisPursuit(np.ones((2, 2)), np.array([1.0, -1]))
    with pytest.raises(ValueError, match="columns must be finite"):
        BasisPursuit(np.array([[np.nan]]), np.ones(1))
    with pytest.raises(ValueError, match=r"targets must be \(2, t\), got \(3, 1\)"):
        BasisPursuit(np.ones((2, 2)), np.ones(2)).solve(np.ones((3, 1)))
