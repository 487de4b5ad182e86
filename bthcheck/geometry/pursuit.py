"""Weighted basis pursuit: the cheapest combination of given columns that makes a target.

min Σ w_i |k_i| over all k with S k = s. Most of it is linear algebra. A target outside the column space of S has no solution,
which a projection decides. A column that takes part in no linear dependency has the same coefficient in every solution. What
remains is a small linear program over the columns that depend on each other, which SciPy's HiGHS solves. Nothing it says is
taken on trust: coefficients are computed anew on the support it found, and what is returned says how well they fit.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import scipy

from bthcheck.ambient import neutral

RANK = 1e-10
"""Singular values below this share of the largest count as zero."""
INSIDE, OUTSIDE = 1e-10, 1e-6
"""Distance to the column space, as a share of the target's norm: up to the first a target is in it, from the second on it is
not, and between them it is not decided."""
NONZERO = 1e-7
"""Coefficients up to this count as zero. LP solvers keep constraints to about 1e-7, so smaller ones mean nothing."""
FIT = 1e-9
"""Largest entry of |S k − s| of a solution."""
GAP = 1e-6
"""Largest relative distance between the value of a solution and the dual bound that shows it is minimal."""
_PROGRAM_SIZE = 2**20  # entries of the programs that are solved in one call


class Outcome(IntEnum):
    """What is known of a target: a minimal solution, that there is none, or neither."""

    SOLVED = 0
    INFEASIBLE = 1
    UNDECIDED = 2


class Solutions(NamedTuple):
    """Solutions for t targets over m columns; NaN where the outcome is not `SOLVED`.

    outcome : (t,) of `Outcome`
    coefficients : (m, t), k
    value : (t,), Σ w_i |k_i|
    residual : (t,), the largest entry of |S k − s| with what rounding may have hidden of it
    nonzeros : (t,) int, coefficients above `NONZERO`; 0 where not solved
    """

    outcome: np.ndarray
    coefficients: np.ndarray
    value: np.ndarray
    residual: np.ndarray
    nonzeros: np.ndarray


class BasisPursuit:
    """Factorises columns once, to solve for any number of targets.

    Parameters
    ----------
    columns : S, (N, m); m may be 0
    weights : w, (m,), not negative
    max_iterations : of the LP solver, a program; None for its own limit

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite or a weight is negative.
    """

    @neutral()
    def __init__(self, columns: np.ndarray, weights: np.ndarray, *, max_iterations: int | None = None) -> None:
        self.columns = np.asarray(columns, float)
        self.weights = np.asarray(weights, float)
        if self.columns.ndim != 2 or self.weights.shape != self.columns.shape[1:]:
            raise ValueError(f"columns must be (N, m) and weights (m,), got {self.columns.shape} and {self.weights.shape}")
        if not np.isfinite(self.columns).all():
            raise ValueError("columns must be finite numbers")
        if not (np.isfinite(self.weights) & (self.weights >= 0)).all():
            raise ValueError("weights must be finite numbers of at least 0")
        self.max_iterations = max_iterations
        self.programs = 0  # solved so far
        left, sigma, right = np.linalg.svd(self.columns, full_matrices=False)
        self.rank = int((sigma > RANK * sigma.max(initial=0.0)).sum())
        self._basis = left[:, : self.rank]
        self._inverse = right[: self.rank].T / sigma[: self.rank]
        # The projector on the kernel of S. Its diagonal is zero where a column takes part in no dependency.
        kernel = np.eye(self.columns.shape[1]) - right[: self.rank].T @ right[: self.rank]
        self.dependent = np.flatnonzero(np.diag(kernel) > RANK)
        self._rows = self._independent_rows()

    @neutral()
    def solve(self, targets: np.ndarray) -> Solutions:
        """Solve for targets s, (N, t).

        Raises
        ------
        ValueError
            If the shape does not fit the columns.
        """
        targets = np.asarray(targets, float)
        if targets.ndim != 2 or len(targets) != len(self.columns):
            raise ValueError(f"targets must be ({len(self.columns)}, t), got {targets.shape}")
        inside = self._basis.T @ targets
        distance = np.linalg.norm(targets - self._basis @ inside, axis=0)
        norm = np.linalg.norm(targets, axis=0)
        outcome = np.full(targets.shape[1], Outcome.UNDECIDED)
        outcome[distance >= OUTSIDE * norm] = Outcome.INFEASIBLE
        outcome[distance <= INSIDE * norm] = Outcome.SOLVED  # also a target of zeros, whose distance is 0

        coefficients = np.full((self.columns.shape[1], targets.shape[1]), np.nan)
        solved = np.flatnonzero(outcome == Outcome.SOLVED)
        shortest = self._inverse @ inside[:, solved]
        cheapest = self._cheapest(shortest[self.dependent])
        for number, some, part in zip(solved, shortest.T, cheapest, strict=True):
            if part is None:
                outcome[number] = Outcome.UNDECIDED
            else:
                some[self.dependent] = part
                coefficients[:, number] = self._refined(some, targets[:, number])
        size = np.abs(coefficients)
        rounding = self.columns.shape[1] * np.finfo(float).eps * np.abs(self.columns).max(initial=0.0)
        residual = np.abs(self.columns @ coefficients - targets).max(axis=0, initial=0.0) + rounding * size.sum(axis=0)
        outcome[(outcome == Outcome.SOLVED) & (residual > FIT)] = Outcome.UNDECIDED
        unknown = outcome != Outcome.SOLVED
        coefficients[:, unknown] = residual[unknown] = np.nan
        nonzeros = (np.abs(coefficients) > NONZERO).sum(axis=0)
        value = self.weights @ np.abs(coefficients)
        value[unknown] = np.nan
        return Solutions(outcome, coefficients, value, residual, nonzeros)

    def _cheapest(self, parts: np.ndarray) -> list[np.ndarray | None]:
        """Return the cheapest coefficients of the dependent columns that make what each of `parts`, (., t), makes, or None."""
        needed = np.abs(parts).max(axis=0, initial=0.0) > NONZERO  # else they cost nothing, and free columns have no choice
        distinct, which = np.unique(np.round(parts[:, needed], 9) + 0.0, axis=1, return_inverse=True)
        most = max(1, _PROGRAM_SIZE // max(1, self._rows.size))
        programs: list[np.ndarray | None] = []
        for start in range(0, distinct.shape[1], most):
            programs += self._programs(distinct[:, start : start + most])
        cheapest: list[np.ndarray | None] = [np.zeros(len(parts))] * parts.shape[1]
        for number, program in zip(np.flatnonzero(needed), which.ravel(), strict=True):
            cheapest[number] = programs[program]
        return cheapest

    def _programs(self, parts: np.ndarray) -> list[np.ndarray | None]:
        """Solve a program a column of `parts`, all in one call, because a call takes longer than what it calls.

        If the solver does not call all of them optimal, each is solved by itself. A dual of the same value shows each minimal.
        """
        count = parts.shape[1]
        scale = self.weights[self.dependent].max() or 1.0  # the solver's tolerances are absolute
        weights = self.weights[self.dependent] / scale
        right = self._rows @ parts
        options: dict[str, object] = {"presolve": False}  # which takes longer than solving
        if self.max_iterations is not None:
            options["maxiter"] = self.max_iterations * count
        result = scipy.optimize.linprog(
            np.tile(weights, 2 * count),
            A_eq=scipy.sparse.kron(scipy.sparse.eye_array(count), np.hstack([self._rows, -self._rows]), format="csc"),
            b_eq=right.T.ravel(),
            method="highs-ds",
            options=options,
        )
        if result.status != 0:
            return [None] if count == 1 else [self._programs(part[:, None])[0] for part in parts.T]
        self.programs += count
        positive, negative = result.x.reshape(count, 2, -1).transpose(1, 2, 0)
        solutions = positive - negative
        value = weights @ np.abs(solutions)
        prices = result.eqlin.marginals.reshape(count, -1).T  # no column is worth more than it costs, or they prove nothing
        fair = (np.abs(self._rows.T @ prices) <= weights[:, None] + GAP).all(axis=0)
        minimal = fair & (np.abs(value - (right * prices).sum(axis=0)) <= GAP * (1 + value))
        return [solution if shown else None for solution, shown in zip(solutions.T, minimal, strict=True)]

    def _refined(self, solution: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Fit the coefficients above `NONZERO` anew, by least squares in full precision; the others are 0."""
        support = np.flatnonzero(np.abs(solution) > NONZERO)
        refined = np.zeros_like(solution)
        if len(support):
            refined[support] = np.linalg.lstsq(self.columns[:, support], target, rcond=None)[0]
        return refined

    def _independent_rows(self) -> np.ndarray:
        """Rows of the dependent columns that all their other rows follow from, as many as their rank."""
        rows = np.unique(self.columns[:, self.dependent], axis=0)
        rank = len(self.dependent) - (self.columns.shape[1] - self.rank)
        if not rank:
            return rows[:0]
        _, _, order = scipy.linalg.qr(rows.T, mode="economic", pivoting=True)
        return rows[order[:rank]]
