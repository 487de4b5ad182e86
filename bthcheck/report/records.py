"""Records of a session: a row a claim, in plain Python values, whoever ran the tests."""

from typing import Any

from bthcheck.choices import FAMILIES
from bthcheck.evidence.findings import CONDITION

# Worst first; the words that are not verdicts say why there is none.
STATUSES = ("error", "crashed", "no verdict", "refuted", "inconclusive", "vacuous", "skipped", "supported")


def row(nodeid: str, claim: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a claim: its record with `status`, `reason`, `seconds` and `nodeid`.

    Whoever knows the record adds `on_record`, the verdict there or None, and `changes`, sentences on what differs from it.

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


def family(row: dict[str, Any]) -> str:
    """Return the family of a claim's row; reports of earlier versions, which knew of one, do not say it."""
    return str(row["claim"].get("family", FAMILIES[0]))


def worst_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in the order in which they are shown: the paper's claims before those that go beyond it."""
    return sorted(rows, key=lambda row: (FAMILIES.index(family(row)), STATUSES.index(row["status"]), row["claim"]["id"]))


def is_on_record(row: dict[str, Any]) -> bool:
    """Whether a claim came out as it is on record."""
    return row.get("on_record") == row["status"] and not row.get("changes")


def has_changed(row: dict[str, Any]) -> bool:
    """Whether a claim has a verdict and it, or a number behind it, is another than on record."""
    verdict, before = row.get("verdict"), row.get("on_record")
    return bool(row.get("changes")) or (verdict == row["status"] and before is not None and before != verdict)


def needs_attention(row: dict[str, Any], *, placebo: bool = False) -> bool:
    """Whether somebody has to look at a claim: it ended in an error, is neither supported nor as on record, or has changed.

    A better verdict than on record is a change. What did not run has nothing to show, unless it was skipped and is on record.
    On a placebo a claim is not to come out supported.
    """
    status = row["status"]
    if status in ("error", "crashed"):
        return True
    if placebo:
        return bool(status == "supported")
    if status in ("skipped", "no verdict"):
        return status == "skipped" and row.get("on_record") is not None
    return has_changed(row) or not (status == "supported" or is_on_record(row))


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
