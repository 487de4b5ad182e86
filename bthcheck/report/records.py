"""Gathers what every claim's test reported, whichever process ran it, into rows for the terminal and the report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROPERTY = "bthcheck"
CONDITION = "condition"
"""The test of a finding that a claim rests on and does not state: unmet, the claim is inconclusive."""
# Worst first; the words that are not verdicts say why there is none.
STATUSES = ("error", "crashed", "no verdict", "refuted", "inconclusive", "vacuous", "skipped", "supported")


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
        """Return one row a collected claim, worst first: the record, `status`, `reason`, `seconds` and `nodeid`."""
        rows = [self._row(nodeid, claim) for nodeid, claim in self.claims.items()]
        return sorted(rows, key=lambda row: (STATUSES.index(row["status"]), row["claim"]["id"]))

    def _row(self, nodeid: str, claim: dict[str, Any]) -> dict[str, Any]:
        entry = self._reports.get(nodeid, {})
        record = entry.get("record") or {
            "claim": claim,
            "verdict": None,
            "findings": [],
            "figures": [],
            "notes": [],
            "tables": [],
        }
        status, reason = entry.get("status"), entry.get("message", "")
        if status is None and record.get("error"):
            status, reason = "error", record["error"]
        if status is None and record["verdict"]:
            status, reason = record["verdict"], record["reason"]
        if status is None and entry.get("ran"):
            status = "error" if entry["failed"] else "skipped"
        if status is None:
            status, reason = "no verdict", "the test never reported"
        return {**record, "claim": claim, "status": status, "reason": reason, "nodeid": nodeid,
                "seconds": entry.get("seconds", 0.0)}  # fmt: skip


def headline(row: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that stand for a claim: those of the weakest of its findings.

    That is the one with the verdict of the claim and, among those, the largest p. A condition, which has no effect, stands for
    a claim only where there is nothing else: what was measured is said also where it decides nothing.
    """
    tests = [f for f in row["findings"] if f.get("test") != CONDITION] or row["findings"]
    candidates = [f for f in tests if f["verdict"] == row["verdict"]] or tests
    if not candidates:
        return {}
    return max(candidates, key=lambda f: -1.0 if f["p"] is None else f["p"])


def read_baseline(path: Path, profile: str) -> dict[str, str]:
    """Return claim id → the verdict on record for a profile; empty if there is none.

    Raises
    ------
    ValueError
        If the file is not a JSON object of that form.
    """
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")).get(profile, {}))
    except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the baseline {path} must be a JSON object of profiles, each id → verdict: {error}") from error


def write_baseline(path: Path, profile: str, rows: list[dict[str, Any]]) -> None:
    """Put this session's verdicts on record for its profile; claims that were not run keep theirs."""
    whole = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    verdicts = {row["claim"]["id"]: row["verdict"] for row in rows if row["verdict"]}
    whole[profile] = dict(sorted({**whole.get(profile, {}), **verdicts}.items()))
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


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
