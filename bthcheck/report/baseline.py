"""The verdicts on record, a JSON file of profiles, each claim id → verdict."""

import json
from pathlib import Path
from typing import Any

from bthcheck.files import write_whole


def read_baseline(path: Path, profile: str) -> dict[str, str]:
    """Return claim id → the verdict on record for a profile; empty if there is none.

    Raises
    ------
    ValueError
        If the file is not a JSON object of that form, or cannot be read.
    """
    return _read(path).get(profile, {})


def write_baseline(path: Path, profile: str, rows: list[dict[str, Any]], *, start: Path | None = None) -> None:
    """Put this session's verdicts on record for its profile; claims that were not run keep theirs.

    Where there is no such file yet, the record begins with that of the file `start`.

    Raises
    ------
    ValueError
        If there is a file that cannot be understood.
    OSError
        If it cannot be written; what was on record still is.
    """
    whole = _read(path) if start is None or path.exists() else _read(start)
    verdicts = {row["claim"]["id"]: row["verdict"] for row in rows if row["verdict"]}
    whole[profile] = dict(sorted({**whole.get(profile, {}), **verdicts}.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(whole, indent=2) + "\n")


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(whole, dict):
            raise ValueError(f"it is a {type(whole).__name__}")
        for profile, verdicts in whole.items():
            if not isinstance(verdicts, dict) or not all(isinstance(verdict, str) for verdict in verdicts.values()):
                raise ValueError(f"{profile!r} is none")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"the baseline {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no JSON, no UTF-8, or not of this form
        raise ValueError(f"the baseline {path} must be a JSON object of profiles, each id → verdict: {error}") from error
    return whole
