"""A session against what is on record, as its report shows it; and what the session was asked for, which the report keeps."""

from collections.abc import Sequence
from typing import Any

import pytest

from bthcheck.harness.options import OPTIONS, option
from bthcheck.harness.settings import Settings
from bthcheck.report.comparison import compare, level_of
from bthcheck.report.differences import Differences, differences_of
from bthcheck.report.numbers import count
from bthcheck.report.snapshot import Snapshot, restricted, snapshot, without_unused


def against_record(records: dict[str, Any], baseline: Snapshot, ring: str, missing: Sequence[str] = ()) -> Differences | None:
    """Return what differs between a session and what is on record; None if nothing is.

    Claims that did not run are not compared. Every test of numbers has the level at which the claim was judged.

    Parameters
    ----------
    records : of the session, as the controller has them
    baseline : what is on record for its profile
    ring : what the session checks
    missing : ids of claims that should have run
    """
    if not baseline["claims"]:
        return None
    now = without_unused(snapshot(records))
    before = restricted(baseline, now["claims"])
    notes = [f"{id} is on record, and did not run" for id in missing]
    others = len(set(baseline["claims"]) - set(now["claims"]) - set(missing))
    if others:
        notes.append(f"{count(others, 'claim')} on record came to no verdict in this session, or did not run")
    return differences_of(compare(before, now, level=level_of(baseline)), ring, notes=notes)


def asked(config: pytest.Config, settings: Settings) -> dict[str, Any]:
    """Return what a session was asked for, as plain values by which it can be done again."""
    return {
        "profile": settings.profile,
        "seeds": None if settings.seeds is None else list(settings.seeds),
        "engine": option(config, "engine"),
        "device": option(config, "device"),
        "family": settings.family,
        "check": settings.check,
        "data_file": None if settings.data is None else settings.data.name,
        "flags": [name for name, kind in OPTIONS.items() if kind.get("action") == "store_true" and option(config, name)],
    }
