"""Gathers what every claim's test reported, whichever process ran it."""

import json
from dataclasses import dataclass, field
from typing import Any

from bthcheck.report.records import row, worst_first

PROPERTY = "bthcheck"
"""The user property of a test report that holds a claim's record, as JSON."""


@dataclass
class Results:
    """Rows of a session, one a claim.

    claims : node id → the claim's fields, for every collected claim
    """

    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    _reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, report: Any) -> None:
        """Take in a pytest report of any phase."""
        entry = self._reports.setdefault(report.nodeid, {"seconds": 0.0})
        entry["seconds"] += getattr(report, "duration", 0.0)
        for name, value in report.user_properties:
            if name == PROPERTY:
                entry["record"] = json.loads(value)
        if report.when == "call":
            entry["ran"] = True
            entry["failed"] = report.outcome == "failed"
            entry["message"] = _message(report)
        elif report.outcome == "failed":
            entry["status"] = "error" if report.when in ("setup", "teardown") else "crashed"
            entry["message"] = _message(report)
        elif report.outcome == "skipped":
            entry["status"] = "skipped"
            entry["message"] = _message(report)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a collected claim, worst first; see `bthcheck.report.records.row`."""
        return worst_first([row(nodeid, claim, self._reports.get(nodeid, {})) for nodeid, claim in self.claims.items()])


def _message(report: Any) -> str:
    """Return the first line of what went wrong."""
    longrepr = report.longrepr
    if longrepr is None:
        return ""
    if isinstance(longrepr, (tuple, list)):
        return str(longrepr[-1])
    crash = getattr(longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(longrepr)
    return text.strip().splitlines()[0] if text.strip() else ""
