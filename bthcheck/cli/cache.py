"""``bthcheck cache``: what the folder of finished runs holds, and what of it is removed."""

import datetime
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bthcheck.cli.errors import Refused, failing
from bthcheck.text import visible

if TYPE_CHECKING:
    from bthcheck.training.entries import Entry

CACHE = ".bthcheck_cache"
HELP = """Say what the folder of finished runs holds: size, entries of each experiment, what killed processes left.

Beside runs it holds results that are kept: searches, traces and figures of claims.

\b
Examples:
  bthcheck cache
  bthcheck cache prune --older-than 30d --dry-run
"""
PRUNE = """Remove finished runs and kept results, and what killed processes left.

What is chosen by any of the options is removed; without one, only what killed processes left. The age of a run or result is
the time since it was written or last read. One that a process is at is never removed.

\b
Examples:
  bthcheck cache prune
  bthcheck cache prune --older-than 30d --dry-run
  bthcheck cache prune --keep 2GB
  bthcheck cache prune --unused
"""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}
_FOLDER = click.option("--cache-dir", default=CACHE, metavar="DIR", help=f"the folder (default: {CACHE})")


@click.group(help=HELP, short_help="Say what the folder of finished runs holds, and prune it.", invoke_without_command=True)
@_FOLDER
@click.pass_context
def command(ctx: click.Context, cache_dir: str) -> None:
    """See `HELP`."""
    ctx.obj = cache_dir
    if ctx.invoked_subcommand is not None:
        return

    folder, found = _entries(cache_dir)
    click.echo(f"{folder}: {_counted(found)}, {_size(sum(entry.size for entry in found))}")
    rows = [("experiment", "runs", "size", "last used", "of this code")]
    if not all(entry.is_run for entry in found):
        rows = [("experiment, or function of kept results", "entries", *rows[0][2:])]
    for name, group in _groups([entry for entry in found if entry.about is not None]).items():
        last = datetime.datetime.fromtimestamp(max(entry.used for entry in group)).strftime("%Y-%m-%d")
        of_code = "yes" if group[0].current else "no"
        rows.append((name, str(len(group)), _size(sum(entry.size for entry in group)), last, of_code))
    if len(rows) > 1:
        _print(rows)
    silent = [entry for entry in found if entry.about is None]
    if silent:
        size = _size(sum(entry.size for entry in silent))
        click.echo(f"{_counted(silent)}, {size}, do not say what they are of: they are damaged, or of an earlier version")
    _say_leftovers(folder)


@command.command(help=PRUNE, short_help="Remove finished runs, and what killed processes left.")
@click.option("--older-than", metavar="AGE", help="not used for so long: 30d, 12h, 2w")
@click.option(
    "--keep", metavar="SIZE", help="the least recently used beyond this size, 500MB or 2GB, or this number of runs, 1000"
)
@click.option("--unused", is_flag=True, help="of other code or other versions of libraries than this installation's")
@click.option("--dry-run", is_flag=True, help="say what would be removed, and remove nothing")
@click.option("--cache-dir", metavar="DIR", help=f"the folder (default: {CACHE})")
@click.pass_obj
def prune(before: str, older_than: str | None, keep: str | None, unused: bool, dry_run: bool, cache_dir: str | None) -> None:
    """See `PRUNE`."""
    from bthcheck.files import leftovers
    from bthcheck.training.entries import orphans, remove

    age = None if older_than is None else _age(older_than)
    limit = None if keep is None else _limit(keep)
    folder, found = _entries(cache_dir or before)
    chosen = _chosen(found, age, limit, unused)
    sizes = {entry.key: entry.size for entry in chosen}
    left, abandoned = leftovers(folder), _abandoned()
    freed = sum(path.stat().st_size for path in left if path.exists())
    did = "would remove" if dry_run else "removed"
    if dry_run:
        gone, held = list(sizes), list[str]()
    else:
        gone, held = remove(folder, sizes, _complain)
        remove(folder, orphans(folder))
        for path in left:
            with failing():
                path.unlink(missing_ok=True)
        _remove_abandoned()
    by_key = {entry.key: entry for entry in found}
    click.echo(
        f"{did} from {folder}: {_counted([by_key[key] for key in gone], found)}, {_size(sum(sizes[key] for key in gone))}"
    )
    if held:
        click.echo(f"not removed, because a process is at them: {_counted([by_key[key] for key in held])}")
    if left or abandoned:
        click.echo(f"{did} {_leftover(len(left), freed, len(abandoned))}")


def _entries(cache_dir: str) -> "tuple[Path, list[Entry]]":
    from bthcheck.training.entries import entries

    folder = Path(cache_dir)
    try:
        return folder, entries(folder)
    except FileNotFoundError:
        raise Refused(f"there is no folder {folder}: name one with --cache-dir") from None
    except OSError as error:
        raise Refused(f"--cache-dir must be a folder that can be read, got {folder}: {error.strerror}") from error


def _chosen(found: "list[Entry]", age: float | None, limit: tuple[float, str] | None, unused: bool) -> "list[Entry]":
    """Return the entries that any of the options chooses; `found` is least recently used first."""
    now, chosen = time.time(), []
    most, of = limit or (float("inf"), "bytes")
    sizes = [int(entry.is_run) if of == "runs" else entry.size for entry in found]
    after = sum(sizes)  # of an entry and of all that were used after it
    for entry, size in zip(found, sizes, strict=True):
        beyond = after > most and size > 0
        if (age is not None and now - entry.used > age) or beyond or (unused and entry.current is False):
            chosen.append(entry)
        after -= size
    return chosen


def _counted(some: "list[Entry]", of: "list[Entry] | None" = None) -> str:
    """Return "5 runs and 2 kept results", or "5 runs of 6 and 2 kept results of 2", of which nothing is said where none are."""
    from bthcheck.report.numbers import count

    every = some if of is None else of
    parts = []
    for is_run, noun in ((True, "run"), (False, "kept result")):
        number, total = (sum(entry.is_run is is_run for entry in group) for group in (some, every))
        if total or (is_run and not every):
            parts.append(count(number, noun) + ("" if of is None else f" of {total}"))
    return " and ".join(parts)


def _groups(found: "list[Entry]") -> "dict[str, list[Entry]]":
    """Return the entries of each experiment by a name that tells it from the others."""
    from bthcheck.report.experiments import told_apart

    groups: dict[str, list[Entry]] = {}
    for entry in found:
        groups.setdefault(json.dumps(_experiment(entry.about or {}), sort_keys=True), []).append(entry)
    experiments = [json.loads(text) for text in groups]
    return dict(zip(told_apart(experiments), groups.values(), strict=True))


def _experiment(about: dict[str, Any]) -> dict[str, Any]:
    """Return the name and the configuration that all runs of an experiment share; of a kept result, what computes it."""
    if "function" in about:
        return {"name": about["function"], "configuration": {}}
    varied = about.get("vary")
    shared = {name: value for name, value in about["description"].items() if name not in ("seed", "machine", "schema")}
    for part in ("task", "network", "training"):
        fields = shared.get(part)
        kind, values = fields if isinstance(fields, list) and len(fields) == 2 else ("", fields)
        if varied == part:
            shared.pop(part)
        elif isinstance(values, dict):
            shared[part] = {"type": kind, **{name: value for name, value in values.items() if name != varied}}
    return {"name": about["experiment"], "configuration": shared}


def _age(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text, re.ASCII)
    if found is None:
        raise Refused(f"--older-than must be an age such as 30d, 12h or 2w, got {text!r}")
    return float(found[1]) * _SECONDS[found[2]]


def _limit(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)", text.upper(), re.ASCII)
    if found is not None:
        return float(found[1]) * _BYTES[found[2]], "bytes"
    if re.fullmatch(r"\d+", text, re.ASCII):
        return float(text), "runs"
    raise Refused(f"--keep must be a size such as 500MB or 2GB, or a number of runs, got {text!r}")


def _size(number: float) -> str:
    unit = next(unit for unit, size in reversed(_BYTES.items()) if number >= size or unit == "B")
    return f"{number / _BYTES[unit]:.3g} {unit}"


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(visible(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        row = tuple(map(visible, row))
        click.echo("  ".join(f"{entry:<{width}}" for entry, width in zip(row, widths, strict=True)).rstrip())


def _say_leftovers(folder: Path) -> None:
    from bthcheck.files import leftovers

    left, abandoned = leftovers(folder), _abandoned()
    if left or abandoned:
        size = sum(path.stat().st_size for path in left if path.exists())
        click.echo(f"bthcheck cache prune would remove {_leftover(len(left), size, len(abandoned))}")


def _leftover(files: int, size: float, sessions: int) -> str:
    from bthcheck.report.numbers import count

    return f"{count(files, 'file')}, {_size(size)}, and {count(sessions, 'temporary folder')} of killed processes"


def _abandoned() -> list[Path]:
    from bthcheck.harness.folders import abandoned

    return abandoned(Path(tempfile.gettempdir()))


def _remove_abandoned() -> None:
    from bthcheck.harness.folders import remove_abandoned

    remove_abandoned(Path(tempfile.gettempdir()))


def _complain(sentence: str) -> None:
    click.echo(f"Warning: {sentence}", err=True)
