"""What it takes to train again what a report says was trained: which tests, with which options, and what cannot be."""

import ast
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bthcheck.checks import one_of, seeds
from bthcheck.choices import DEVICES, ENGINES
from bthcheck.report.ending import FINISHED
from bthcheck.report.snapshot import has_verdict

_REFUSED = {
    "profile": "the profile is that of the report",
    "placebo": "a placebo is no replay",
    "update-baseline": "a replay puts nothing on record",
}


@dataclass(frozen=True)
class Plan:
    """A session that is to be run.

    tests : what pytest is to run, a path and name each
    options : pytest's, those that the report was made with
    of_paper : whether the tests are of the paper's claims, as they come with the package
    said : what cannot be as it was, a sentence each
    lost : ids of claims of the report that have a verdict and cannot be tested again
    """

    tests: tuple[str, ...]
    options: tuple[str, ...]
    of_paper: bool
    said: tuple[str, ...]
    lost: tuple[str, ...]


def plan(
    records: dict[str, Any], paper: Mapping[str, str], folders: Iterable[Path], typed: Iterable[str], *, gpus: Callable[[], int]
) -> Plan:
    """Return how to train again what a report says was trained.

    Parameters
    ----------
    records : as of records.json
    paper : claim id → "file::function" of the paper's claims
    folders : where the tests of another project may be, by their names in the report
    typed : pytest's options that somebody typed; they come after those of the report
    gpus : says how many there are here, if the report was trained on one

    Raises
    ------
    ValueError
        If there is nothing to replay, or what was typed makes it another session.
    """
    typed = tuple(typed)
    _check(records, typed)
    rows = [row for row in records["claims"] if has_verdict(row)]
    said = _without_verdict(records)
    if not rows:
        raise ValueError("no claim of the report has a verdict, so that there is nothing to replay")
    of_paper = all(_is_of_paper(row, paper) for row in rows)
    found = {row["claim"]["id"]: paper[row["claim"]["id"]] for row in rows if _is_of_paper(row, paper)}
    root = None if of_paper else _root(rows, folders)
    if root is not None:  # of a project that has claims of its own; it may have the paper's, too
        names = {row["claim"]["id"]: row.get("nodeid", "") for row in rows}
        found = {id: f"{root / name.partition('::')[0]}::{name.partition('::')[2]}" for id, name in names.items()
                 if is_there(root, name)}  # fmt: skip
    lost = tuple(row["claim"]["id"] for row in rows if row["claim"]["id"] not in found)
    if not found:
        raise ValueError(
            f"the tests of {', '.join(lost)} are not found: replay this in the folder of the project that they are of"
        )
    if lost:
        said.append(f"not there any more, and not replayed: {', '.join(lost)}")
    options, others = _options(records, typed, gpus)
    return Plan(tuple(dict.fromkeys(found.values())), options, root is None, (*said, *others), lost)


def is_there(root: Path, nodeid: str) -> bool:
    """Whether a file has a test of that name, parametrized or not, in a class or not."""
    name, _, rest = nodeid.partition("::")
    if not (root / name).resolve().is_relative_to(root.resolve()):  # a report may come from anybody
        return False
    try:
        body: list[ast.stmt] = ast.parse((root / name).read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return False
    for part in rest.partition("[")[0].split("::"):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        node = next((entry for entry in body if isinstance(entry, kinds) and entry.name == part), None)
        if node is None:
            return False
        body = node.body
    return True


def value_of(arguments: Iterable[str], name: str) -> str | None:
    """Return what a command line says of one of this plugin's options, under either of its names; None if nothing."""
    found, arguments = None, list(arguments)
    for number, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in (f"--{name}", f"--bth-{name}"):
            found = value if equals else "".join(arguments[number + 1 : number + 2])
    return found


def _check(records: dict[str, Any], typed: tuple[str, ...]) -> None:
    if records.get("placebo"):
        raise ValueError("the report is of a placebo, which says nothing that could be replayed")
    for name, reason in _REFUSED.items():
        if value_of(typed, name) is not None:
            raise ValueError(f"--{name} cannot be used here: {reason}")


def _is_of_paper(row: dict[str, Any], paper: Mapping[str, str]) -> bool:
    """Whether a row is of a claim of the paper: one of another project may have its id."""
    file, _, function = paper.get(row["claim"]["id"], "").partition("::")
    was, _, name = row.get("nodeid", "").partition("::")
    return bool(function) and function == name and Path(file).name == Path(was).name


def _root(rows: list[dict[str, Any]], folders: Iterable[Path]) -> Path | None:
    """Return the folder in which most of the tests are."""
    there = [(sum(is_there(folder, row.get("nodeid", "")) for row in rows), folder) for folder in folders]
    count, best = max(there, key=lambda entry: entry[0], default=(0, None))
    return best if count else None


def _without_verdict(records: dict[str, Any]) -> list[str]:
    missing = [f"{row['claim']['id']} ({row.get('status', 'no verdict')})" for row in records["claims"] if not has_verdict(row)]
    said = [] if records.get("state", FINISHED) == FINISHED else ["the session of the report did not run to its end"]
    return said + ([f"without a verdict in the report, and not replayed: {', '.join(missing)}"] if missing else [])


def _options(records: dict[str, Any], typed: tuple[str, ...], gpus: Callable[[], int]) -> tuple[tuple[str, ...], list[str]]:
    """Return pytest's options for what a report was asked for, and what has to be another."""
    asked, said = _asked(records)
    options = [f"--bth-profile={records['profile']}"]
    if asked["seeds"] is not None and value_of(typed, "seeds") is None:
        chosen = asked["seeds"]
        regular = chosen == list(range(len(chosen)))
        options.append(f"--bth-seeds={len(chosen) if regular else ','.join(map(str, chosen))}")
    if asked["data_file"] and value_of(typed, "data-file") is None:
        raise ValueError(f"the report was trained on the images of {asked['data_file']}: say where they are with --data-file")
    if value_of(typed, "device") is None:
        device, sentence = _device(records, asked["device"], gpus)
        options.append(f"--bth-device={device}")
        said += [sentence] if sentence else []
    if value_of(typed, "engine") is None:
        options.append(f"--bth-engine={asked['engine']}")
    if value_of(typed, "cache-dir") is None:  # runs that are read, and not trained, would say nothing
        options.append("--bth-no-cache")
    return tuple(options), said


def _device(records: dict[str, Any], asked: str, gpus: Callable[[], int]) -> tuple[str, str]:
    """Return the device that is nearest to the one of a report, and what to say if it is another."""
    trained = {str(entry.get("device", "")) for entry in records.get("experiments", [])}
    if not any(device.startswith("cuda") for device in {*trained, asked}):
        return "cpu", ""
    count = gpus()
    if not count:
        return "cpu", "the report was trained on a GPU, and there is none here: digits will be others on a CPU"
    number = asked.partition(":")[2]
    if number and int(number) >= count:
        return "cuda", f"the report was trained on GPU {number}, and there are {count} here: another is taken"
    return ("cuda" if asked == "auto" else asked), ""


def _asked(records: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what a report was asked for; of an older one, which has no settings, as far as its command says."""
    known = {"seeds": None, "engine": "auto", "device": "auto", "data_file": None}
    settings = records.get("settings")
    if settings:
        return _sound({name: settings.get(name, value) for name, value in known.items()}), []
    try:
        command = shlex.split(str(records.get("command", "")))
    except ValueError:
        command = []
    text = value_of(command, "seeds")
    data = value_of(command, "data-file")
    found = {
        "seeds": None if text is None else list(seeds("--seeds", text)),
        "engine": value_of(command, "engine") or "auto",
        "device": value_of(command, "device") or "auto",
        "data_file": None if data is None else Path(data).name,
    }
    return _sound(found), ["the report is of an earlier version and has no settings: they are read off its command"]


def _sound(asked: dict[str, Any]) -> dict[str, Any]:
    """Return settings that may be handed on; raise ``ValueError`` if they can be no session's."""
    one_of("the engine of the report", asked["engine"], ENGINES)
    if not isinstance(asked["device"], str) or not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", asked["device"]):
        raise ValueError(f"the device of the report must be {DEVICES}, got {asked['device']!r}")
    numbers = asked["seeds"]
    whole = isinstance(numbers, list) and numbers and all(type(seed) is int and seed >= 0 for seed in numbers)
    if numbers is not None and not whole:
        raise ValueError(f"the seeds of the report must be whole numbers from 0, got {numbers!r}")
    if not isinstance(asked["data_file"], str | None):
        raise ValueError(f"the data file of the report must be a name, got {asked['data_file']!r}")
    return asked
