"""The verdicts that there are on claims: on record, and of the last session in a results folder."""

import json
from pathlib import Path
from typing import Any

from bthcheck.cli.errors import failing
from bthcheck.harness.paper import on_record
from bthcheck.report.baseline import verdicts


def recorded(profile: str) -> tuple[Path, dict[str, str]]:
    """Return the file of the verdicts on record, and claim id → verdict for a profile."""
    path = on_record(Path.cwd())
    with failing():
        return path, verdicts(path, profile)


def last_session(folder: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the records of the last session whose report is in `folder`, and claim id → its row; empty if there is none."""
    path = Path(folder, "records.json")
    with failing():
        try:
            records = json.loads(path.read_text(encoding="utf-8"))
            return records, {row["claim"]["id"]: row for row in records["claims"]}
        except (FileNotFoundError, NotADirectoryError):
            return {}, {}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no record of a session of claims; name another folder with --results-dir") from error
