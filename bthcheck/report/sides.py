"""What may be compared: the records of a session, and what is on record. Which of them a file holds is told by its content."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bthcheck.checks import one_of
from bthcheck.choices import PROFILES
from bthcheck.report.baseline import SCHEMA, problem_of, read_profiles
from bthcheck.report.ending import FINISHED
from bthcheck.report.snapshot import Snapshot, has_verdict, snapshot

RECORDS = "records.json"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    path : the file
    profiles : profile → what it holds for that; records of a session have one
    records : all of a session's records; None for a baseline
    """

    path: Path
    profiles: dict[str, Snapshot]
    records: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def is_baseline(self) -> bool:
        """Whether this is what is on record, of several profiles."""
        return self.records is None

    @property
    def placebo(self) -> bool:
        """Whether levels were permuted."""
        return bool(self.records and self.records.get("placebo"))

    def without_verdict(self) -> list[str]:
        """Return the ids of claims of a session that came to no verdict, each with what became of it."""
        rows = self.records["claims"] if self.records else []
        return [f"{row['claim']['id']} ({row.get('status', 'no verdict')})" for row in rows if not has_verdict(row)]

    def described(self, profile: str) -> str:
        """Return what this is, in a phrase."""
        if self.records is None:
            return f"{self.path}, profile {profile}"
        return f"{self.path}, profile {profile}, finished {self.records.get('finished', 'at an unknown time')}"


def read_side(path: Path) -> Side:
    """Return what a file holds: records of a session, or what is on record; of a folder, its ``records.json``.

    Raises
    ------
    ValueError
        If there is no such file, or it is neither.
    """
    if path.is_dir():
        if not (path / RECORDS).exists():
            raise ValueError(f"the folder {path} holds no {RECORDS}, so no report was written there")
        path = path / RECORDS
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no JSON, or no UTF-8
        raise ValueError(f"{path} must be a {RECORDS} or a baseline, but it is no JSON: {error}") from error
    if isinstance(whole, dict) and whole.get("falsification") is not None:
        raise ValueError(f"{path} is of attacks on claims, which have no numbers to compare; see bthcheck falsify --help")
    if isinstance(whole, dict) and isinstance(whole.get("claims"), list):
        return _of_session(path, whole)
    if not isinstance(whole, dict):
        raise ValueError(f"{path} must be a {RECORDS} or a baseline, and is neither")
    return Side(path, read_profiles(path))


def _of_session(path: Path, records: dict[str, Any]) -> Side:
    try:
        profile = one_of("its profile", records.get("profile"), PROFILES)
        if not all(isinstance(text, str) for row in records["claims"] for text in _names(row)):
            raise ValueError("a claim's id, test and status must be text")
        kept = snapshot(records)
        described = {str(name): str(value) for name, value in records.get("environment", {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no record of a session of claims, or damaged: {_short(error)}") from error
    problem = problem_of({"schema": SCHEMA, "profiles": {profile: kept}})
    if problem:
        raise ValueError(f"{path} is no record of a session of claims, or damaged: {problem}")
    if "processor" in described:  # by the name that a person knows it by, and not the compiler
        described["processor and cores"] = described.pop("processor")
    if described:
        kept = {**kept, "environments": {**kept["environments"], "described": described}}
    return Side(path, {profile: kept}, records)


def _names(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["claim"]["id"], row.get("nodeid", ""), row.get("status", "")


def _short(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__} {text if len(text) <= 100 else text[:99] + '…'}"


def profile_of(before: Side, after: Side, chosen: str | None) -> tuple[str, str]:
    """Return the profiles of two sides: of a baseline, that of the other side, the one that is chosen, or the only one.

    Raises
    ------
    ValueError
        If it cannot be told, or a side does not have the one that was chosen.
    """
    sides = (before, after)
    wanted = chosen or next((next(iter(side.profiles)) for side in sides if not side.is_baseline), None)
    if wanted is None:
        common = [profile for profile in PROFILES if all(profile in side.profiles for side in sides)]
        if len(common) != 1:
            what = f"both have {', '.join(common)}" if common else "they have none in common"
            raise ValueError(f"--profile must say which profile of two baselines is compared: {what}")
        wanted = common[0]
    found = []
    for side in sides:
        if wanted in side.profiles:
            found.append(wanted)
        elif side.is_baseline:
            has = ", ".join(side.profiles) or "none"
            raise ValueError(f"{side.path} has nothing on record for profile {wanted}, only for {has}")
        elif chosen:
            raise ValueError(f"{side.path} is of profile {next(iter(side.profiles))}, and --profile is {chosen}")
        else:
            found.append(next(iter(side.profiles)))
    return found[0], found[1]


def notes_of(before: Side, after: Side) -> list[str]:
    """Return what to say beforehand of two sides that are compared."""
    notes = []
    for side in (before, after):
        if side.records and side.records.get("state", FINISHED) != FINISHED:
            notes.append(f"The session of {side.path} did not run to its end")
        missing = side.without_verdict()
        if missing:
            word = "claim has" if len(missing) == 1 else "claims have"
            notes.append(f"{len(missing)} {word} no verdict in {side.path}, and cannot be compared: {', '.join(missing)}")
    profiles = [next(iter(side.profiles)) for side in (before, after) if not side.is_baseline]
    if len(set(profiles)) > 1:
        notes.append(f"The profiles are not the same, {' and '.join(profiles)}: experiments differ on purpose")
    return notes


def refuse_placebos(before: Side, after: Side) -> None:
    """Raise ``ValueError`` if one side is a placebo: it says nothing of networks, and differs because it has to."""
    for side, other in ((before, after), (after, before)):
        if side.placebo and not other.placebo:
            raise ValueError(f"{side.path} is a placebo, which can be compared with another placebo alone")
