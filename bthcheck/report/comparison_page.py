"""The HTML page of a comparison: one file that opens offline."""

from pathlib import Path

from bthcheck.files import write_whole
from bthcheck.report.comparison import FALSE_ALARM
from bthcheck.report.differences import Differences
from bthcheck.report.page import fill


def page(found: Differences, before: str, after: str) -> str:
    """Return a comparison as HTML.

    Parameters
    ----------
    before, after : what is on record and what is compared with it, a phrase each
    """
    values = {"found": found, "before": before, "after": after, "false_alarm": FALSE_ALARM}
    return fill("comparison.html", values, Path())


def write(path: Path, found: Differences, before: str, after: str) -> None:
    """Write the page of a comparison; raises ``OSError`` if it cannot be written, and what was there stays."""
    write_whole(path, page(found, before, after))
