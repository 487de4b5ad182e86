"""How claims are tested: findings and verdicts, trends, inequalities, probabilities, and searches for counterexamples."""

from bthcheck.evidence.trends import *  # noqa: F403
