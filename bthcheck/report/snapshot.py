"""What of a session goes on record and is compared: its claims with the numbers behind them, its experiments, its machines.

A snapshot is plain values: ``{"claims": id → claim, "experiments": digest → experiment, "environments": digest → facts}``, the
form of a profile in ``baseline.schema.json``.
"""

from collections.abc import Iterable
from typing import Any

from bthcheck.report.experiments import identity
from bthcheck.report.json_text import rounded

Snapshot = dict[str, dict[str, Any]]
OF_PAPER = "paper"
"""The family of a claim of which none is on record."""
RINGS = ("verdicts", "numbers", "bits")
"""What a session can be compared in: each takes in those before it; see `bthcheck.report.comparison`."""

_FINDING = (
    "quantity", "test", "verdict", "expectation", "statistic", "p", "effect_name", "effect", "interval", "minimum_effect",
    "level", "blocks", "cases", "spread", "table",
)  # fmt: skip
_CLAIM = ("statement", "scope", "kind")
_EXPERIMENT = ("name", "configuration", "engine", "device", "environment", "runs", "beginning")


def snapshot(records: dict[str, Any]) -> Snapshot:
    """Return what goes on record of a session's records, as ``records.json`` has them; claims without a verdict are left out.

    Records of an earlier version hold less, and so does then what is returned.
    """
    return {
        "claims": {row["claim"]["id"]: claim_entry(row) for row in records["claims"] if has_verdict(row)},
        "experiments": {
            identity(entry["configuration"]): _known(entry, _EXPERIMENT) for entry in records.get("experiments", [])
        },
        "environments": dict(records.get("environments", {})),
    }


def has_verdict(row: dict[str, Any]) -> bool:
    """Whether a row's verdict stands: the test presented one, and ended as tests do."""
    return bool(row["verdict"]) and row.get("status", row["verdict"]) == row["verdict"]


def claim_entry(row: dict[str, Any]) -> dict[str, Any]:
    """Return what goes on record of a claim's row, or of the record that its test presented."""
    found = {
        "verdict": row["verdict"],
        "file": row.get("nodeid", "").partition("::")[0] or None,
        **{name: row["claim"].get(name) or None for name in _CLAIM},
        **{name: row.get(name) for name in ("code", "constants", "environment")},
        "family": None if row["claim"].get("family", OF_PAPER) == OF_PAPER else row["claim"]["family"],
        "experiments": sorted(row.get("experiments", [])),
        "findings": [rounded(_known(finding, _FINDING)) for finding in row["findings"]],
    }
    return {name: value for name, value in found.items() if value is not None}


def restricted(kept: Snapshot, ids: Iterable[str]) -> Snapshot:
    """Return what a snapshot has on some claims."""
    wanted = set(ids)
    return without_unused({**kept, "claims": {id: claim for id, claim in kept["claims"].items() if id in wanted}})


def recorded(claim: dict[str, Any]) -> dict[str, Any]:
    """Return a claim's entry without what the claim itself says wherever it is: the record is to be read in a diff."""
    short = {name: value for name, value in claim.items() if name not in _CLAIM}
    if "findings" in claim:
        short["findings"] = [{name: v for name, v in finding.items() if name != "effect_name"} for finding in claim["findings"]]
    return short


def without_unused(kept: Snapshot) -> Snapshot:
    """Return a snapshot without experiments and environments that no claim in it names."""
    claims = kept["claims"]
    used = {name for entry in claims.values() for name in entry.get("experiments", [])}
    experiments = {name: entry for name, entry in kept["experiments"].items() if name in used}
    named = {entry.get("environment") for entry in (*claims.values(), *experiments.values())}
    return {
        "claims": claims,
        "experiments": experiments,
        "environments": {name: facts for name, facts in kept["environments"].items() if name in named},
    }


def _known(entry: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: entry[name] for name in names if entry.get(name) is not None}
