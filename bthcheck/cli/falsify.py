"""``bthcheck falsify``: replay a counterexample from its file, and show how tight inequalities were found to be."""

from pathlib import Path

import click

from bthcheck.cli.errors import failing, refusing

CACHE = ".bthcheck_cache"
HELP = """Replay a counterexample to an exact claim, or show how close each claim came to one.

Attacks are made by bthcheck verify --falsify MINUTES, or pytest claims --falsify MINUTES.

\b
Examples:
  bthcheck falsify replay reports/falsified/X2-counterexample.json
  bthcheck falsify tightness
"""
REPLAY = """Compute both sides of a counterexample anew, from its file alone, and say whether it still violates the inequality.

\b
Example:
  bthcheck falsify replay reports/falsified/X2-counterexample.json

Exit status: 0 it violates the inequality no more, 1 it still does, 2 the file is none of a counterexample.
"""
TIGHTNESS = """Show the smallest ratio of the larger to the smaller side that attacks have met so far, of every claim.

\b
Example:
  bthcheck falsify tightness
"""


@click.group(help=HELP, short_help="Replay a counterexample; show how tight inequalities are.")
def command() -> None:
    """See `HELP`."""


@command.command(help=REPLAY, short_help="Compute both sides of a counterexample anew.")
@click.argument("file")
def replay(file: str) -> int:
    """See `REPLAY`."""
    from bthcheck.evidence.attacks import store

    with refusing():
        id, attack, case, _ = store.read(Path(file))
        found = store.replayed(attack, case)
        if found is None:
            raise ValueError(f"{file}: its sides cannot be compared, none is within the range of float64")
    sides = f"{found.smaller:.9g} {'>' if found.smaller > found.larger else '≤'} {found.larger:.9g}"
    rounding = f"of which rounding may be {found.tolerance:.1e}"
    word = "still violates" if found.violated else "does not violate"
    click.echo(f"{id}: the case {word} {attack.inequality}: {sides}, {rounding}")
    return 1 if found.violated else 0


@command.command(help=TIGHTNESS, short_help="Show the smallest ratios that were met.")
@click.option("--cache-dir", default=CACHE, metavar="DIR", help=f"where attacks keep what they found (default: {CACHE})")
def tightness(cache_dir: str) -> int:
    """See `TIGHTNESS`."""
    from bthcheck.evidence.attacks import store
    from bthcheck.report.falsification import tightness as rows_of

    with failing():
        entries = [{**entry, "all_examples": entry["examples"]} for entry in store.tightness(Path(cache_dir))]
    if not entries:
        click.echo(f"{cache_dir} has nothing of attacks: pytest claims --falsify MINUTES makes them")
        return 0
    rows = [["claim", "inequality", "smallest ratio", "smaller", "larger", "examples"], *rows_of(entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"The closest cases are in {Path(cache_dir) / store.FOLDER}, a file {store.KEPT} a claim.")
    return 0
