"""The findings on record, a JSON file of a snapshot a profile; ``baseline.schema.json`` says what is in it.

A file of schema 1, which held a verdict a claim, is read as one without numbers; one of schema 2 had every entry whole.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from filelock import FileLock

from bthcheck.files import write_whole
from bthcheck.report.json_text import written
from bthcheck.report.shared_entries import folded, unfolded
from bthcheck.report.snapshot import Snapshot, recorded, without_unused

SCHEMA = 3
_WHOLE = 2
_LOCK_SECONDS = 60.0


def read_baseline(path: Path, profile: str) -> Snapshot:
    """Return what is on record for a profile; claims, experiments and environments are empty if nothing is.

    Raises
    ------
    ValueError
        If the file is no baseline, is of a schema that is not known here, or cannot be read.
    """
    return _read(path).get(profile, _nothing())


def read_profiles(path: Path) -> dict[str, Snapshot]:
    """Return profile → what is on record for it; raises as `read_baseline`."""
    return _read(path)


def problem_of(whole: Any) -> str | None:
    """Return what keeps plain values from being a baseline of this schema, in a sentence; None if nothing does."""
    return _problem(whole)


def verdicts(path: Path, profile: str) -> dict[str, str]:
    """Return claim id → the verdict on record for a profile; raises as `read_baseline`."""
    return {id: claim["verdict"] for id, claim in read_baseline(path, profile)["claims"].items()}


@dataclass(frozen=True)
class Update:
    """What putting a session on record has changed: ids of claims, and for those with another verdict both."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, str, str], ...] = ()
    numbers: tuple[str, ...] = ()
    unchanged: int = 0

    def sentences(self) -> list[str]:
        """Return what to tell of it, a line each."""
        lines = [f"put on record: {', '.join(self.added)}"] if self.added else []
        lines += [f"no longer on record: {', '.join(self.removed)}"] if self.removed else []
        lines += [f"now on record: {id} is {after}, was {before}" for id, before, after in self.verdicts]
        lines += [f"new numbers on record: {', '.join(self.numbers)}"] if self.numbers else []
        rest = f"{self.unchanged} as on record before" if self.unchanged else ""
        return [*lines, rest] if rest else lines or ["nothing was put on record"]


def write_baseline(
    path: Path, profile: str, session: Snapshot, *, start: Path | None = None, gone: Iterable[str] = ()
) -> Update:
    """Put a session's findings on record for its profile and return what that changed; claims that were not run keep theirs.

    Sessions that do so at once wait for each other, and none loses what another has put on record.

    Parameters
    ----------
    start : where there is no such file yet, the record begins with that of this one
    gone : ids of claims that are no more

    Raises
    ------
    ValueError
        If there is a file that cannot be understood.
    OSError
        If it cannot be written; what was on record still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return _locked(path, lambda: _write(path, profile, session, start, set(gone)))


def _write(path: Path, profile: str, session: Snapshot, start: Path | None, gone: set[str]) -> Update:
    whole = _read(path) if start is None or path.exists() else _read(start)
    before = whole.get(profile, _nothing())
    ran = {id: recorded(claim) for id, claim in session["claims"].items()}
    claims = {id: claim for id, claim in before["claims"].items() if id not in gone} | ran
    merged = {
        "claims": claims,
        "experiments": before["experiments"] | session["experiments"],
        "environments": before["environments"] | session["environments"],
    }
    whole[profile] = without_unused(merged)
    write_whole(path, written({"schema": SCHEMA, "profiles": folded(whole)}) + "\n")
    return _update(before["claims"], claims, ran)


def _update(before: dict[str, Any], after: dict[str, Any], ran: dict[str, Any]) -> Update:
    both = [id for id in sorted(ran) if id in before]
    other = [id for id in both if before[id]["verdict"] != after[id]["verdict"]]
    numbers = [id for id in both if id not in other and before[id] != after[id]]
    return Update(
        added=tuple(sorted(set(ran) - set(before))),
        removed=tuple(sorted(set(before) - set(after))),
        verdicts=tuple((id, before[id]["verdict"], after[id]["verdict"]) for id in other),
        numbers=tuple(numbers),
        unchanged=len(both) - len(other) - len(numbers),
    )


def _lock_of(path: Path) -> Path:
    """Return the file that sessions of this user lock who write a baseline: not beside it, where it would be in the way."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"bthcheck-baseline-{user}-{name}.lock")


def _locked(path: Path, action: Callable[[], Update]) -> Update:
    """Do something while no other session does; without a lock where none can be had."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, NotImplementedError):  # a lock that is held for so long is no reason to lose findings
            held.enter_context(FileLock(_lock_of(path), timeout=_LOCK_SECONDS))
        return action()


def _nothing() -> Snapshot:
    return {"claims": {}, "experiments": {}, "environments": {}}


def _read(path: Path) -> dict[str, Snapshot]:
    """Return profile → snapshot, of a file of any schema up to this one; a file may have been through an editor of Windows."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(f"the baseline {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise ValueError(f"the baseline {path} must be a JSON object of profiles, but it is damaged: {error}") from error
    if isinstance(whole, dict) and "schema" not in whole:
        return _upgraded(path, whole)
    if isinstance(whole, dict) and whole["schema"] not in (SCHEMA, _WHOLE):
        raise ValueError(
            f"the baseline {path} is of schema {whole['schema']!r},"
            f" and this version of bthcheck reads schema {SCHEMA}, {_WHOLE} and 1"
        )
    problem = _problem(whole)
    if problem:
        raise ValueError(f"the baseline {path} must be a JSON object of profiles, as baseline.schema.json says: {problem}")
    return unfolded(whole["profiles"])


def _problem(whole: Any) -> str | None:
    """Return what a document has that the schema does not allow, or None."""
    import jsonschema

    schema = json.loads(resources.files("bthcheck.report").joinpath("baseline.schema.json").read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(whole))
    if error is None:
        try:
            return _ragged(unfolded(whole["profiles"]))
        except ValueError as unknown:
            return str(unknown)
    message = error.message if len(error.message) <= 200 else error.message[:199] + "…"
    return f"{'/'.join(map(str, error.absolute_path)) or 'the whole'}: {message}"


def _ragged(profiles: dict[str, Snapshot]) -> str | None:
    """Return which table has not a row a seed and a number a column, which a schema cannot ask for; None if all have."""
    for profile, kept in profiles.items():
        for id, claim in kept["claims"].items():
            for finding in claim.get("findings", []):
                table = finding.get("table")
                if table is None:
                    continue
                widths = {len(row) for row in table["values"]}
                if len(table["rows"]) != len(table["values"]) or not widths <= {len(table["columns"])}:
                    where = f"{profile}, {id}, “{finding['quantity']}”"
                    return f"{where}: the table must have a row a seed and a number a column"
    return None


def _upgraded(path: Path, whole: dict[str, Any]) -> dict[str, Snapshot]:
    """Return a document of schema 1, profile → claim id → verdict, as one of this."""
    for profile, claims in whole.items():
        if not isinstance(claims, dict) or not all(isinstance(verdict, str) for verdict in claims.values()):
            raise ValueError(f"the baseline {path} must be a JSON object of profiles, each id → verdict: {profile!r} is none")
    return {
        profile: {**_nothing(), "claims": {id: {"verdict": verdict} for id, verdict in claims.items()}}
        for profile, claims in whole.items()
    }
