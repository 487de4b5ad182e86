"""How a session ended: whether every claim that was to be tested has reported."""

from collections.abc import Sequence
from typing import Any

FINISHED, INTERRUPTED, RUNNING = "finished", "interrupted", "running"
STATES = (FINISHED, INTERRUPTED, RUNNING)
"""What ``state`` in records.json may be. A report of a running session stays if that is killed."""
UNREPORTED = "no verdict"
"""The status of a claim of which nothing was heard."""


def state_of(rows: Sequence[dict[str, Any]], interrupted: bool) -> str:
    """Return how a session ended: one that left claims out, because of -x say, was interrupted too.

    Parameters
    ----------
    rows : one a claim, as from `bthcheck.report.records.row`
    interrupted : whether somebody, or an error, ended it
    """
    return INTERRUPTED if interrupted or any(row["status"] == UNREPORTED for row in rows) else FINISHED


def sentence(state: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return what is to be said of how a session ended; empty if it came to its end."""
    if state == FINISHED:
        return ""
    count = sum(row["verdict"] is not None for row in rows)
    counted = f"{count} of {len(rows)} {'claim has' if len(rows) == 1 else 'claims have'} a verdict"
    return f"interrupted: {counted}" if state == INTERRUPTED else f"not finished: {counted} so far"
