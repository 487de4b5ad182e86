"""Checks of what a user hands in: each raises one sentence naming what was wrong and what is allowed."""

import operator
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def positive_int(name: str, value: object) -> int:
    """Return `value` as an int, or raise ``ValueError`` unless it is a whole number of at least 1."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return number


def positive(name: str, value: float) -> float:
    """Return `value` as a float, or raise ``ValueError`` unless it is a finite number above 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """Return `value` as a float, or raise ``ValueError`` unless it is a finite number of at least 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def below_one(name: str, value: float) -> float:
    """Return `value` as a float, or raise ``ValueError`` unless it is a number from 0 and below 1."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number from 0 and below 1, got {value!r}")
    return float(value)


def one_of(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return `value`, or raise ``ValueError`` unless it is one of the `allowed` words."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def distinct(name: str, values: Sequence[T]) -> tuple[T, ...]:
    """Return `values` as a tuple, or raise ``ValueError`` if it is empty or repeats an entry."""
    values = tuple(values)
    if not values:
        raise ValueError(f"{name} must name at least one value, got none")
    if not _all_differ(values):
        repeated = sorted({repr(v) for v in values if values.count(v) > 1})
        raise ValueError(f"{name} must be distinct, got {', '.join(repeated)} more than once")
    return values


def _all_differ(values: tuple[object, ...]) -> bool:
    """Whether no value is there twice; of many, such as thousands of seeds, in a time that grows as they do."""
    try:
        return len(set(values)) == len(values)
    except TypeError:  # some have no hash
        return all(values.count(value) == 1 for value in values)


def seeds(name: str, text: str) -> tuple[int, ...]:
    """Return the seeds that a word of the command line says: "10" is ten of them from 0, "0,3,7" are those three.

    Raises
    ------
    ValueError
        If it says none, or one more than once.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if "," not in text and numbers[0] > 0:
        return tuple(range(numbers[0]))
    if "," not in text or min(numbers) < 0:
        raise ValueError(f"{name} must be a number of seeds or a list such as 0,3,7, got {text!r}")
    return distinct(name, numbers)


def writable_folder(name: str, folder: str | os.PathLike[str]) -> Path:
    """Create `folder` if need be and return it, or raise ``ValueError`` if it cannot be written."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(f"the {name} folder {path} cannot be written: {error.strerror}") from error
    return path


def readable_folder(name: str, folder: str | os.PathLike[str]) -> Path:
    """Create `folder` if need be and return it, or raise ``ValueError`` if it cannot be looked into."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        os.scandir(path).close()
    except OSError as error:
        raise ValueError(f"the {name} folder {path} cannot be used: {error.strerror}") from error
    return path
