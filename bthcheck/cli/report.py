"""``bthcheck report``: what a session left, in another form."""

import json
from pathlib import Path
from typing import Any

import click

from bthcheck.cli.errors import Refused, failing

FORMATS = ("mlrc",)
HELP = """Write what a session found in another form, from the records of its report alone.

A is a records.json, or the folder of a report (default: reports). mlrc: a summary in the sections that reviewers of
reproducibility studies know, mlrc.md (Markdown) and mlrc.tex (LaTeX) beside the records: scope of reproducibility, methodology,
results for each claim, what was easy, what was difficult, what differs from the original code.

\b
Example:
  bthcheck report --format mlrc
"""


@click.command(help=HELP, short_help="Write a report in another form, for reviewers.")
@click.argument("a", default="reports")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="mlrc: for reviewers of reproducibility")
@click.option("--output", metavar="DIR", help="where to write (default: beside the records)")
def command(a: str, form: str, output: str | None) -> None:
    """See `HELP`."""
    from bthcheck.files import write_whole
    from bthcheck.report import mlrc

    path = Path(a, "records.json") if Path(a).is_dir() else Path(a)
    records = _read(path)
    folder = path.parent if output is None else Path(output)
    try:
        texts = {f"{form}.md": mlrc.as_markdown(records), f"{form}.tex": mlrc.as_latex(records)}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{path} is damaged, or is no record of a session of claims: {type(error).__name__}: {error}") from error
    with failing("the summary is not written"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(folder / name, text)
            click.echo(f"written: {folder / name}")


def _read(path: Path) -> dict[str, Any]:
    """Return the records of a session of claims.

    Raises
    ------
    Refused
        If the file is not there or is none, or is of a session that says nothing of networks.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; A must be a records.json or the folder of a report") from error
    except ValueError as error:
        raise Refused(f"{path} is no JSON; A must be a records.json or the folder of a report") from error
    if not isinstance(records, dict) or not isinstance(records.get("claims"), list):
        raise Refused(f"{path} is no record of a session of claims; A must be a records.json or the folder of a report")
    if records.get("placebo") or records.get("falsification"):
        what = "a placebo, of which nothing follows for networks" if records.get("placebo") else "attacks, which test no claim"
        raise Refused(f"{path} is of {what}: name the report of a session of claims")
    return records
