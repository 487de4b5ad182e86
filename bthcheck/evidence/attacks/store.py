"""What is kept of attacks: counterexamples as files that replay alone, and of every claim what later sessions begin with.

Beside the runs, in the folder `FOLDER` of the cache, every claim has one with Hypothesis' database of examples and `KEPT`: how
many seeds were tried, examples in all sessions, the closest case that was ever met and the counterexample, if one was found.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bthcheck.ambient import neutral
from bthcheck.evidence.attacks.cases import Case, built
from bthcheck.evidence.attacks.judging import Judged, judged
from bthcheck.evidence.attacks.table import ATTACKS, Attack, attack_of
from bthcheck.files import write_whole

SCHEMA = 1
FOLDER = "falsify"
KEPT, DATABASE = "kept.json", "examples"
FALSIFIED = "falsified"
"""The folder of counterexamples in that of results."""
LARGEST_BYTES = 50_000_000
_PATIENCE_SECONDS = 5.0


def falsified(id: str, found: Judged, case: Case) -> dict[str, Any]:
    """Return what the file of a counterexample holds."""
    sides = {"smaller": found.smaller, "larger": found.larger, "tolerance": found.tolerance}
    return {"schema": SCHEMA, "claim": id, "inequality": ATTACKS[id].inequality, **sides, "case": case}


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write a counterexample into the folder of results and return its path.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = folder / FALSIFIED / f"{content['claim']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    return path


def read(path: Path) -> tuple[str, Attack, Case, dict[str, float]]:
    """Return the claim's id, its attack, the case and the two sides and tolerance that a file says.

    Raises
    ------
    ValueError
        If the file is none of a counterexample: one sentence.
    """
    content = _parsed(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, as results/falsified/X1.json does")
    if content.get("schema") != SCHEMA or isinstance(content.get("schema"), bool):
        raise ValueError(f"{path} must have schema {SCHEMA}, got {content.get('schema')!r}")
    try:
        attack = attack_of(content.get("claim"))
        sides = {name: _number(name, content.get(name)) for name in ("smaller", "larger", "tolerance")}
        case = content.get("case")
        if not isinstance(case, dict) or case.get("kind") != attack.kind:
            kind = case.get("kind") if isinstance(case, dict) else case
            raise ValueError(f"the case of a counterexample to {content['claim']} must have kind {attack.kind!r}, got {kind!r}")
        built(case)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return content["claim"], attack, case, sides


@neutral()
def replayed(attack: Attack, case: Case) -> Judged | None:
    """Compute both sides of a case anew; None if they cannot be compared."""
    return judged(attack.measure(built(case)))


def kept(cache: Path, id: str) -> dict[str, Any]:
    """Return what is kept of a claim; as of one that was never attacked where nothing is, or nothing that can be read."""
    blank: dict[str, Any] = {"seeds": 0, "examples": 0, "closest": None, "counterexample": None}
    with contextlib.suppress(ValueError, OSError):
        content = _parsed(cache / FOLDER / id / KEPT)
        if isinstance(content, dict) and content.get("schema") == SCHEMA:
            for name in ("seeds", "examples"):
                if isinstance(content.get(name), int) and content[name] >= 0:
                    blank[name] = content[name]
            for name in ("closest", "counterexample"):
                if _is_sound(id, content.get(name)):
                    blank[name] = content[name]
    return blank


def keep(cache: Path, id: str, seeds: int, examples: int, closest: dict[str, Any] | None, found: Case | None) -> dict[str, Any]:
    """Add what a session tried and found to what is kept of a claim, and return that.

    Parameters
    ----------
    seeds, examples : how many were tried now
    closest : {"ratio", "smaller", "larger", "case"} of the closest case, kept if it is closer than the one before
    found : the counterexample, if there is one

    Raises
    ------
    OSError
        If it cannot be written.
    """
    folder = cache / FOLDER / id
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{KEPT}.lock"):
        before = kept(cache, id)
        if closest is not None and (before["closest"] is None or closest["ratio"] < before["closest"]["ratio"]):
            before["closest"] = closest
        if found is not None:
            before["counterexample"] = {"case": found}
        before["seeds"] += seeds
        before["examples"] += examples
        write_whole(folder / KEPT, json.dumps({"schema": SCHEMA, **before}, ensure_ascii=False, allow_nan=False) + "\n")
    return before


def tightness(cache: Path) -> list[dict[str, Any]]:
    """Return what is kept of every claim that was attacked, with its id, inequality and what is expected."""
    rows = []
    for id, attack in ATTACKS.items():
        found = kept(cache, id)
        if found["examples"]:
            rows.append({"claim": id, "inequality": attack.inequality, "expected": attack.expected, **found})
    return rows


def _parsed(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"{path} must have at most {LARGEST_BYTES // 10**6} MB, got {path.stat().st_size / 1e6:.0f}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be JSON, and is no text") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise ValueError(f"{path} must be JSON: {said}") from None


def _number(name: str, value: Any) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e308 and math.isfinite(value)
    if not good:
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def _is_sound(id: str, entry: Any) -> bool:
    """Whether what a file has kept is a case of its claim, with a ratio if it is the closest: anybody may have edited it."""
    if not isinstance(entry, dict):
        return False
    try:
        if entry.get("case", {}).get("kind") != ATTACKS[id].kind:
            return False
        built(entry["case"])
        for name in ("ratio", "smaller", "larger") if "ratio" in entry else ():
            _number(name, entry[name])
    except (ValueError, AttributeError, KeyError):
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, or go on without where it cannot be had: at worst another session's numbers are lost."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE_SECONDS)
    except (Timeout, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
