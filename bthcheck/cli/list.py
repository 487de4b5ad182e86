"""``bthcheck list``: all claims, a line each."""

import shutil
import sys

import click

from bthcheck.choices import PROFILES
from bthcheck.cli.errors import failing
from bthcheck.text import visible

HELP = """List the claims: id, verdict on record, verdict of the last session, statement.

\b
Examples:
  bthcheck list
  bthcheck list --profile paper
"""


@click.command(help=HELP, short_help="List the claims with their verdicts.")
@click.option("--profile", type=click.Choice(PROFILES), default="laptop", help="whose verdicts on record (default: laptop)")
@click.option("--results-dir", default="reports", metavar="DIR", help="where the last report went (default: reports)")
def command(profile: str, results_dir: str) -> None:
    """See `HELP`."""
    from bthcheck.cli.statements import statements
    from bthcheck.cli.verdicts import last_session, recorded
    from bthcheck.harness.paper import claims_folder

    with failing():
        claims = statements(claims_folder())
    _, record = recorded(profile)
    _, last = last_session(results_dir)
    rows = [("claim", "on record", "last", "statement")]
    rows += [
        (id, record.get(id, "none"), last[id]["status"] if id in last else "–", claim.statement) for id, claim in claims.items()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        line = "  ".join([*(f"{entry:<{width}}" for entry, width in zip(row[:3], widths, strict=True)), row[3]])
        click.echo(_fitting(visible(line)))


def _fitting(line: str) -> str:
    """Return a line, cut where a terminal would break it."""
    width = shutil.get_terminal_size().columns
    return line if not sys.stdout.isatty() or len(line) <= width else line[: width - 1] + "…"
