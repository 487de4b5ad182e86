"""What is said of how a session ended."""

import pytest

from bthcheck.report.ending import FINISHED, INTERRUPTED, RUNNING, sentence, state_of

SUPPORTED = {"status": "supported", "verdict": "supported"}
CRASHED = {"status": "crashed", "verdict": None}
SILENT = {"status": "no verdict", "verdict": None}


@pytest.mark.parametrize(
    ("rows", "interrupted", "state"),
    [
        ([SUPPORTED, CRASHED], False, FINISHED),
        ([SUPPORTED, CRASHED], True, INTERRUPTED),
        ([SUPPORTED, SILENT], False, INTERRUPTED),  # -x
        ([], True, INTERRUPTED),
    ],
)
def test_a_session_that_left_claims_out_was_interrupted(rows, interrupted, state):
    assert state_of(rows, interrupted) == state


def test_claims_with_a_verdict_are_counted():
    rows = [SUPPORTED, SUPPORTED, CRASHED, SILENT]
    assert sentence(INTERRUPTED, rows) == "interrupted: 2 of 4 claims have a verdict"
    assert sentence(RUNNING, rows[1:]) == "not finished: 1 of 3 claims have a verdict so far"
    assert sentence(INTERRUPTED, [SILENT]) == "interrupted: 0 of 1 claim has a verdict"
    assert sentence(FINISHED, rows) == ""
