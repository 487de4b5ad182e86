"""The verdicts on record, a JSON file of profiles, each claim id → verdict."""

import json
from pathlib import Path
from typing import Any


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
