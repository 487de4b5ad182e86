"""``bthcheck verify``: the paper's claims, as pytest runs them."""

import click

from bthcheck.cli.errors import failing

HELP = """Verify the paper's claims. The report is reports/index.html in the current folder.

Claims may be named by their ids. Options are pytest's, and those of bthcheck's plugin: --profile, --device, --engine, --dask,
--seeds, --results-dir, --cache-dir, --no-cache, --data-root, --download, --markdown, --placebo, --check, --update-baseline. For
help on them: --pytest-help

\b
Examples:
  bthcheck verify --profile quick
  bthcheck verify T2 X1 --profile quick
  bthcheck verify -n 4 -k "CIFAR and not published"

Exit status, as pytest's: 0 all came out supported or as on record, 1 one did not, 2 interrupted, 3 something could not be
written, 4 the command line is wrong, 5 there was nothing to run.
"""


@click.command(
    help=HELP,
    short_help="Verify the paper's claims; passes pytest's options on.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CLAIM]... [PYTEST OPTIONS]...")
def command(arguments: tuple[str, ...]) -> int:
    """See `HELP`."""
    from bthcheck.cli.statements import statements
    from bthcheck.cli.terminal import restore
    from bthcheck.harness.paper import claims_folder, verify

    restore()
    with failing():
        claims = {statement.id.lower(): statement for statement in statements(claims_folder()).values()}
    passed = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        claim = claims.get(argument.lower()) if not before.startswith("-") or "=" in before else None
        passed.append(argument if claim is None else f"{claim.file}::{claim.function}")
    pytest_arguments = ["--help" if argument == "--pytest-help" else argument for argument in passed]
    return verify(pytest_arguments, ["bthcheck", "verify", *arguments])
