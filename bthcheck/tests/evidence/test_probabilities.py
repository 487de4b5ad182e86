"""Tests of probabilities and of spread against their own error rates."""

import numpy as np
import pytest
from scipy import stats

from bthcheck.evidence import Verdict, dispersion, rate


def test_rate_verdicts():
    assert rate(0, 200, 0.05, quantity="q").verdict is Verdict.SUPPORTED
    assert rate(0, 100, 0.05, quantity="q").verdict is Verdict.INCONCLUSIVE  # too few to show so small a rate
    assert rate(40, 200, 0.05, quantity="q").verdict is Verdict.REFUTED
    assert rate(10, 200, 0.05, quantity="q").verdict is Verdict.INCONCLUSIVE
    assert rate(0, 200, 0.05, quantity="q").p == pytest.approx(0.95**200)


def test_dispersion_verdicts():
    z = np.random.default_rng(7).normal(size=400)
    assert dispersion(z, quantity="q").verdict is Verdict.SUPPORTED
    assert dispersion(0.3 * z, quantity="q").verdict is Verdict.REFUTED
    assert dispersion(2 * z, quantity="q").verdict is Verdict.REFUTED
    assert dispersion(z[:20], quantity="q").verdict is Verdict.INCONCLUSIVE
    assert dispersion(0.3 * z, quantity="q", calibrated=False).verdict is Verdict.SUPPORTED
    assert dispersion(z, quantity="q", calibrated=False).verdict is Verdict.REFUTED
    finding = dispersion(z, quantity="q")
    assert finding.effect == pytest.approx(z.std(ddof=1))
    assert finding.interval[0] < finding.effect < finding.interval[1]


def test_dispersion_holds_its_level():
    generator = np.random.default_rng(8)
    edge = [dispersion(0.8 * generator.normal(size=100), quantity="q", level=0.05).verdict for _ in range(2000)]
    count = edge.count(Verdict.SUPPORTED)  # at the edge of what counts as calibrated
    assert stats.binomtest(count, 2000, 0.05, alternative="greater").pvalue > 1e-4
