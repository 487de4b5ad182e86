"""``bthcheck compare``: what differs between two reports, or between one and what is on record."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bthcheck.choices import PROFILES
from bthcheck.cli.errors import Refused, refusing
from bthcheck.report.snapshot import RINGS

if TYPE_CHECKING:
    from bthcheck.report.differences import Differences
    from bthcheck.report.sides import Side

HELP = """Compare two reports, or a report with what is on record: verdicts, numbers, configurations, bits.

A and B are each a records.json, the folder of a report, or a baseline file. A is what is on record and B what is compared with
it, unless only one of them is a baseline: that is on record then. Without B, A is compared with the record of the claims.

\b
Examples:
  bthcheck compare reports
  bthcheck compare before/records.json reports --html comparison.html
  bthcheck compare reports reports/baseline.json --check bits --markdown comparison.md

Exit status: 0 nothing differs that counts under --check, 1 something does, 2 a file or the command line cannot be used.
"""


@click.command(help=HELP, short_help="Compare two reports, or a report with the record.")
@click.argument("a")
@click.argument("b", required=False)
@click.option("--check", type=click.Choice(RINGS), default="numbers", help="what counts as a difference (default: numbers)")
@click.option("--profile", type=click.Choice(PROFILES), help="of a baseline (default: that of the other side)")
@click.option("--html", metavar="FILE", help="write a page that opens offline")
@click.option("--markdown", metavar="FILE", help="write Markdown, short enough for a comment on GitHub")
@click.option("-v", "--verbose", is_flag=True, help="also say what was compared of findings that agree")
def command(
    a: str, b: str | None, check: str, profile: str | None, html: str | None, markdown: str | None, verbose: bool
) -> int:
    """See `HELP`."""
    from bthcheck.harness.paper import on_record
    from bthcheck.report.sides import read_side

    with refusing():
        first = read_side(Path(a))
        second = read_side(_from_here(on_record(Path.cwd())) if b is None else Path(b))
        if b is None and first.is_baseline:
            raise ValueError(f"{a} is a baseline, and so is the record: name a report to compare it with")
    if second.is_baseline and not first.is_baseline:
        first, second = second, first
    return compared(first, second, check=check, profile=profile, html=html, markdown=markdown, verbose=verbose)


def _from_here(path: Path) -> Path:
    """Return a path as it is called from here, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def compared(
    before: "Side",
    after: "Side",
    *,
    check: str,
    profile: str | None = None,
    html: str | None = None,
    markdown: str | None = None,
    verbose: bool = False,
) -> int:
    """Print a comparison, write it where it is asked for, and return the exit status.

    Raises
    ------
    Refused
        If the sides cannot be compared, or a file cannot be written.
    """
    from bthcheck.files import write_whole
    from bthcheck.report import comparison_markdown, comparison_page
    from bthcheck.report.comparison import compare
    from bthcheck.report.differences import differences_of
    from bthcheck.report.sides import notes_of, profile_of, refuse_placebos

    with refusing():
        refuse_placebos(before, after)
        profiles = profile_of(before, after, profile)
    try:
        found = differences_of(
            compare(before.profiles[profiles[0]], after.profiles[profiles[1]]), check, notes=notes_of(before, after)
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # a form that no schema can ask for
        raise Refused(f"{before.path} and {after.path} cannot be compared, one of them is damaged: {error}") from error
    said = before.described(profiles[0]), after.described(profiles[1])
    _print(found, *said, verbose=verbose)
    try:
        if html is not None:
            comparison_page.write(Path(html), found, *said)
        if markdown is not None:
            write_whole(Path(markdown), comparison_markdown.markdown(found, *said))
    except OSError as error:
        raise Refused(f"{error.filename} cannot be written: {error.strerror}") from error
    return int(found.fails)


def _print(found: "Differences", before: str, after: str, *, verbose: bool) -> None:
    from bthcheck.report.comparison_text import lines

    width = shutil.get_terminal_size().columns
    for line, color in lines(found, before, after, width, verbose=verbose):
        click.echo(click.style(line, bold=True) if color == "bold" else click.style(line, fg=color or None))
