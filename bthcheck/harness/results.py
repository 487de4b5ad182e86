"""Gathers what every claim's test reported, whichever process ran it."""

import json
from dataclasses import dataclass, field
from typing import Any

from bthcheck.report.records import headline, row, worst_first

ATTRIBUTE = "bthcheck"
"""The attribute of a test report that holds a claim's record, as JSON. Unlike its properties it is in no JUnit XML."""


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
        if hasattr(report, ATTRIBUTE):
            entry["record"] = json.loads(getattr(report, ATTRIBUTE))
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


def properties(record: dict[str, Any], on_record: str | None) -> list[tuple[str, str]]:
    """Return what a record says in short, name → text, for whoever reads JUnit XML: nothing stands there that is not known.

    The numbers are those of the finding that stands for the claim, as in the verdict table; the interval is the effect's.
    """
    finding = headline(record)
    values = {
        "claim": record["claim"]["id"],
        "verdict": None if "error" in record else record["verdict"],
        "on_record": on_record,
        "p": finding.get("p"),
        "effect": finding.get("effect"),
        "interval": finding.get("interval") and " ".join(f"{end:.9g}" for end in finding["interval"]),
        "seeds": finding.get("blocks"),
    }
    texts = {name: f"{value:.9g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return [(f"bthcheck.{name}", text) for name, text in texts.items() if values[name] is not None]


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
