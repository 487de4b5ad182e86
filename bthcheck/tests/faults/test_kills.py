"""Whoever is killed or interrupted, whenever: what is finished is kept, and the next session says what it would have said.

The benchmark tries more kinds of ends, and each more often: ``python -m bthcheck.benchmark.faults``.
"""

import os

import pytest

from bthcheck.benchmark.faults.kills import KINDS, trial

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")

TRIED = [
    "SIGKILL of a worker while it trains",
    "SIGKILL of a worker while it writes an entry",
    "SIGKILL of a worker while it holds a lock",
    "SIGKILL of the process that reports, with workers",
    "SIGKILL while the report is written",
    "Ctrl-C, -n 0",
    "Ctrl-C in a terminal, -n 2",
    "Ctrl-C in a script that calls bthcheck.run",
]


@pytest.mark.parametrize("name", TRIED)
def test_nothing_is_lost_or_wrong(reference, name):
    (kind,) = [kind for kind in KINDS if kind.name == name]
    found = trial(kind, 1, reference)
    assert found.struck
    assert found.unsaid == ""
    assert (found.lost, found.wrong, found.left) == (0, 0, 0)
