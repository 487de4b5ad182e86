"""Full disks, folders that cannot be written or go away, locks of others, several sessions at once."""

import os

import pytest

from bthcheck.benchmark.faults.situations import SITUATIONS, Impossible, trial

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and mounts are those of POSIX")


ELSEWHERE = "the temporary folder is deleted while a session runs"  # harness/test_lost.py


@pytest.mark.parametrize("name", [name for name in SITUATIONS if name != ELSEWHERE])
def test_nothing_is_lost_or_wrong(reference, name):
    try:
        found = trial(name, 1, reference)
    except Impossible as error:
        pytest.skip(str(error))
    assert found.struck
    assert found.unsaid == ""
    assert (found.lost, found.wrong, found.left) == (0, 0, 0)


def test_who_waits_in_a_session_is_told_within_ten_seconds(tmp_path):
    """By a look at the clock that they use: when one says that one waits, and how often a session looks whether one did."""
    from bthcheck.harness.monitor import ProgressMonitor
    from bthcheck.harness.session import Channel
    from bthcheck.training import obtain

    monitor = ProgressMonitor(Channel(tmp_path))
    assert obtain._SAY_SECONDS + monitor._interval < 10
