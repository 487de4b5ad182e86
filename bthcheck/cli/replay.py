"""``bthcheck replay``: train again what a report says it trained, and compare."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bthcheck.cli.errors import failing, refusing
from bthcheck.report.snapshot import RINGS

if TYPE_CHECKING:
    from bthcheck.harness.replay import Plan
    from bthcheck.report.sides import Side

FOLDER = "reports/replay"
HELP = """Train again what a report says it trained, and compare.

The same claims with the same profile, seeds, engine and device, as far as they are there. Nothing is read from a cache, unless
--cache-dir names one. The report of the replay goes into a folder of its own, and then both are compared as compare does it.
Tests are the paper's, or those of the project in whose folder this, or the report, is. Other options are pytest's and those of
bthcheck's plugin, such as -n 4 and --data-file.

\b
Examples:
  bthcheck replay reports/records.json
  bthcheck replay reports/records.json -n 4 --check bits

Exit status: 0 nothing differs that counts under --check, 1 something does or could not be replayed, 2 a file or the command
line cannot be used. That of a session that did not run to its end is pytest's.
"""
_RAN = (0, 1)  # of pytest: all tests ran, whatever came of them


@click.command(
    help=HELP,
    short_help="Train again what a report says it trained, and compare.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("report")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST OPTIONS]...")
@click.option(
    "--results-dir", "--bth-results-dir", default=FOLDER, metavar="DIR", help=f"where the new report goes (default: {FOLDER})"
)
@click.option(
    "--check", "--bth-check", type=click.Choice(RINGS), help="what counts as a difference (default: what the report has)"
)
def command(report: str, arguments: tuple[str, ...], results_dir: str, check: str | None) -> int:
    """See `HELP`."""
    from bthcheck.cli.compare import compared
    from bthcheck.cli.terminal import escape, restore
    from bthcheck.harness import paper
    from bthcheck.report.sides import RECORDS, read_side

    with refusing():
        if report.startswith("-"):
            raise ValueError(f"the report must stand before pytest's options, got {report!r}")
        before = read_side(Path(report))
        planned = _planned(before, arguments)
        results = Path(results_dir)
        if results.resolve() == before.path.resolve().parent:
            raise ValueError(f"{results_dir} has the report that is replayed: name another folder with --results-dir")
    for sentence in planned.said:
        click.echo(sentence)
    ring = check or _check_of(before)
    restore()
    written = results / RECORDS
    earlier = _state(written)
    with failing(), tempfile.TemporaryDirectory(prefix="bthcheck-replay-") as folder:
        record = _record(before, Path(folder, "baseline.json"))
        options = [*planned.options, f"--bth-check={ring}", f"--bth-results-dir={results_dir}", *arguments, *planned.tests]
        status = paper.replay(
            options, ["bthcheck", "replay", report, *arguments], record, before.path, of_paper=planned.of_paper
        )
    if status not in _RAN or _state(written) == earlier:
        click.echo(f"the replay did not run to its end, and nothing is compared with {before.path}", err=True)
        return status or 1
    escape()
    with refusing():
        after = read_side(written)
    click.echo("")
    status = compared(before, after, check=ring)
    return 1 if planned.lost or after.without_verdict() else status


def _check_of(before: "Side") -> str:
    """Return the ring that a report has checked."""
    settings = (before.records or {}).get("settings")
    ring = settings.get("check") if isinstance(settings, dict) else None
    return ring if ring in RINGS else "numbers"


def _planned(before: "Side", arguments: tuple[str, ...]) -> "Plan":
    from bthcheck.choices import cuda_count
    from bthcheck.cli.statements import statements
    from bthcheck.harness.paper import claims_folder
    from bthcheck.harness.replay import plan

    if before.records is None:
        raise ValueError(f"{before.path} is a baseline, which does not say how it was trained: name a records.json")
    tests = {id: f"{claim.file}::{claim.function}" for id, claim in statements(claims_folder()).items()}
    here, there = Path.cwd(), before.path.resolve().parent
    folders = dict.fromkeys([here, *here.parents, there, *there.parents])
    return plan(before.records, tests, folders, arguments, gpus=cuda_count)


def _record(before: "Side", path: Path) -> Path:
    """Write what a report found as a baseline, which its replay is compared with claim by claim."""
    from bthcheck.report.baseline import SCHEMA

    path.write_text(json.dumps({"schema": SCHEMA, "profiles": before.profiles}), encoding="utf-8")
    return path


def _state(path: Path) -> Any:
    """Return what tells a file from what was there before; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
