"""Exact inequalities and equalities, and their verdicts."""

import numpy as np
import pytest

from bthcheck import evidence
from bthcheck.evidence import Verdict, inequality

ALONG = "frequency"


def test_inequality_verdicts():
    held = inequality([1.0, 2], [2.0, 2], 1e-12, quantity="q")
    assert (held.verdict, held.cases) == (Verdict.SUPPORTED, 2)
    assert held.effect == pytest.approx(1.5)  # median of 2 and 1
    assert held.statistic == ("worst margin", 0.0)
    rounding = inequality([1 + 1e-13], [1.0], 1e-12, quantity="q")
    assert rounding.verdict is Verdict.SUPPORTED
    assert "1 needed the rounding tolerance" in rounding.reason
    violated = inequality([1.0, 2.1], [2.0, 2.0], 1e-12, quantity="q")
    assert violated.verdict is Verdict.REFUTED
    assert "violated in 1 of 2 cases, at worst 2.1 > 2" in violated.reason
    assert inequality([1.0], [5.0], 0, quantity="q", trivial=4.0).verdict is Verdict.VACUOUS
    assert inequality([1.0], [3.0], 0, quantity="q", trivial=4.0).verdict is Verdict.SUPPORTED
    assert inequality([np.nan], [3.0], 0, quantity="q").verdict is Verdict.INCONCLUSIVE
    with pytest.raises(ValueError, match="no case of q was measured"):
        inequality([], [], 0, quantity="q")


def test_an_infinite_bound_is_not_support():
    assert inequality([1.0], [np.inf], 0, quantity="q").verdict is Verdict.INCONCLUSIVE


def test_equality_verdicts():
    same = evidence.equality([1.0, 2 + 1e-12], [1.0, 2.0], 1e-9, quantity="q")
    assert (same.verdict, same.effect, same.cases) == (Verdict.SUPPORTED, pytest.approx(1), 2)
    twice = evidence.equality([2.0, 1.0, 6.0], [1.0, 1.0, 2.0], 1e-9, quantity="q")
    assert (twice.verdict, twice.effect) == (Verdict.REFUTED, 2)
    assert twice.reason == "q differs in 2 of 3 cases: 1 to 3 times the definition"
    lost = evidence.equality([1.0, np.inf, np.nan], 1.0, 1e-9, quantity="q")
    assert (lost.verdict, lost.effect) == (Verdict.REFUTED, 1)
    assert lost.reason.endswith("and not finite in 2")
    with pytest.raises(ValueError, match="no case of q was measured"):
        evidence.equality([], [], 0, quantity="q")
    with pytest.raises(ValueError, match="q must be defined by finite numbers above 0"):
        evidence.equality([1.0], [0.0], 0, quantity="q")
