"""Where the verdicts in Markdown go: a file that is replaced, or the summary of a job of GitHub's, which others add to."""

import os
from pathlib import Path
from typing import Any

from bthcheck.files import write_whole
from bthcheck.report.markdown import COMMENT_LIMIT, SMALLEST, STEP_LIMIT, verdicts

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
"""Names the file in which a step of a job of GitHub's writes its summary."""


def write(path: Path, rows: list[dict[str, Any]], **details: Any) -> None:
    """Write the verdicts into a file, in as many bytes as GitHub takes; see `bthcheck.report.markdown.verdicts`.

    The file that ``GITHUB_STEP_SUMMARY`` names is added to, because a step may hold several sessions, up to a MiB in all. Any
    other is replaced, and has a size that the comment on a pull request may have.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If there is no room left in the summary of the step.
    """
    if not is_summary(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, verdicts(rows, limit=COMMENT_LIMIT, **details))
        return
    held = path.stat().st_size if path.exists() else 0
    room = STEP_LIMIT - held - 1
    if room < SMALLEST:
        raise ValueError(f"{path} has {held} bytes, and GitHub shows no more than {STEP_LIMIT} of a step")
    text = verdicts(rows, limit=room, **details)
    with path.open("ab") as file:
        file.write(("\n" * bool(held) + text).encode("utf-8", "backslashreplace"))


def is_summary(path: Path) -> bool:
    """Whether a file is the one that collects the summary of a job's step."""
    named = os.environ.get(SUMMARY_VARIABLE)
    return bool(named) and os.path.realpath(path) == os.path.realpath(str(named))
