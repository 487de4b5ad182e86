"""``bthcheck show``: all that is known of one claim."""

import os
import shutil
import textwrap
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from bthcheck.choices import PROFILES
from bthcheck.cli.errors import Refused, failing
from bthcheck.text import visible

if TYPE_CHECKING:
    from bthcheck.cli.statements import Statement

HELP = """Show a claim: its statement, source and scope, how it is tested, its verdicts on record and that of the last session.

\b
Example:
  bthcheck show T2
"""
TESTED = {
    "trend": "a trend over ordered levels within seeds, one-sided at the level that its family of claims shares",
    "probabilistic": "a probability that the theorem bounds, one-sided at the level that its family of claims shares",
    "exact": "an inequality that a single violation beyond rounding refutes",
}
"""Kind of a claim → how such claims are tested."""


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of claims that begin so, for the shell."""
    from bthcheck.cli.statements import statements
    from bthcheck.harness.paper import claims_folder

    claims = statements(claims_folder())
    return [
        CompletionItem(id, help=claim.statement) for id, claim in claims.items() if id.lower().startswith(incomplete.lower())
    ]


@click.command(help=HELP, short_help="Show a claim: statement, source, scope, test and verdicts.")
@click.argument("claim", shell_complete=complete)
@click.option("--results-dir", default="reports", metavar="DIR", help="where the last report went (default: reports)")
def command(claim: str, results_dir: str) -> None:
    """See `HELP`."""
    from bthcheck.cli.statements import statements
    from bthcheck.cli.verdicts import last_session, recorded
    from bthcheck.harness.paper import claims_folder

    with failing():
        claims = statements(claims_folder())
    found = next((known for id, known in claims.items() if id.lower() == claim.lower()), None)
    if found is None:
        raise Refused(f"the claim must be one of {', '.join(claims)}, got {claim!r}")
    width = min(100, max(60, shutil.get_terminal_size().columns))
    facts = [("", f"{found.id}: {found.statement}"), ("source", found.source), ("scope", found.scope)]
    facts += _test(found)
    records = {profile: recorded(profile) for profile in PROFILES}
    path = next(iter(records.values()))[0]
    verdicts = [f"{profile} {record[found.id]}" for profile, (_, record) in records.items() if found.id in record]
    facts.append(("on record", f"{', '.join(verdicts)} ({_relative(str(path))})" if verdicts else "no verdict"))
    session, rows = last_session(results_dir)
    if found.id in rows:
        row = rows[found.id]
        when = f"profile {session.get('profile')}, finished {session.get('finished')}"
        facts.append(("last", f"{row['status']}{' on a placebo' if session.get('placebo') else ''} ({when})"))
        facts += [("", row["reason"])] if row.get("reason") else []
    else:
        facts.append(("last", f"no verdict in {results_dir}: bthcheck verify {found.id}"))
    for name, text in facts:
        if text:
            first = f"{name:<11}" if name else ""
            text = visible(text, keep="\n\t")
            click.echo(textwrap.fill(text, width, initial_indent=first, subsequent_indent=" " * 11))


def _test(claim: "Statement") -> list[tuple[str, str]]:
    where = f"{claim.function} in {_relative(str(claim.file))}, line {claim.line}"
    facts = [("tested as", TESTED.get(claim.kind, claim.kind)), ("test", where)]
    facts += [("needs", ", ".join(claim.needs))] if claim.needs else []
    return facts + [("presents" if not i else " ", call) for i, call in enumerate(claim.presents)]


def _relative(path: str) -> str:
    """Return a path as it is called from here, if it is below."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):
        return path
    return path if relative.startswith(os.pardir) else relative
