"""Records of a session: a row a claim, in plain Python values, whoever ran the tests."""

from typing import Any

from bthcheck.evidence.findings import CONDITION

# Worst first; the words that are not verdicts say why there is none.
STATUSES = ("error", "crashed", "no verdict", "refuted", "inconclusive", "vacuous", "skipped", "supported")


def row(nodeid: str, claim: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a claim: its record with `status`, `reason`, `seconds` and `nodeid`.

    Parameters
    ----------
    nodeid : of its test
    claim : its fields
    entry : what was heard of its test, as far as anything was: the `record` it presented; whether it `ran` to its end and
        `failed`; a `status` that stands whatever was presented; a `message`; and its `seconds`
    """
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


def worst_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in the order in which they are shown."""
    return sorted(rows, key=lambda row: (STATUSES.index(row["status"]), row["claim"]["id"]))


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
