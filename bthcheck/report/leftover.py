"""Files that earlier reports in a folder wrote beside them, and that the report there now does not have.

Which these are is read off the ``records.json`` that they left: a file that no report names is somebody else's, and stays.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_OURS = re.compile(r"figures/[A-Za-z0-9][A-Za-z0-9_.-]*\.(svg|csv)|experiments/[A-Za-z0-9][A-Za-z0-9_.-]*\.(html|nc)")
EARLIER = "earlier_files"
"""Where the records of a session that is not finished say which files of earlier ones there may still be."""


def files_of(records: Mapping[str, Any]) -> set[str]:
    """Return the paths of the files beside a report that its records name, and no path that leads elsewhere."""
    figures = [figure for row in records["claims"] for figure in row["figures"]]
    named = [figure.get(name) for figure in figures for name in ("path", "data")]
    named += [entry.get(name) for entry in records.get("experiments", []) for name in ("page", "file")]
    return {path for path in named if isinstance(path, str) and _OURS.fullmatch(path)}


def earlier(folder: Path) -> set[str]:
    """Return the files that the report in a folder names, and those that it says were there before."""
    try:
        records = json.loads((folder / "records.json").read_text(encoding="utf-8"))
        before = {path for path in records.get(EARLIER, []) if isinstance(path, str) and _OURS.fullmatch(path)}
        return files_of(records) | before
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # there is none, or it is not of a session
        return set()


def remove(folder: Path, paths: Iterable[str]) -> None:
    """Remove files of earlier reports; what cannot be removed, or is no file, stays."""
    for path in paths:
        with contextlib.suppress(OSError):
            (folder / path).unlink()
