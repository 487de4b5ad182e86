"""What is in a folder of finished runs, without reading more than the beginning of a file, and without loading PyTorch.

An entry says of itself what it is of: the experiment, and everything that its numbers depend on. The time of its file is when
it was last of use. Who prunes takes the lock of a run first, so that no entry goes that a process is at.
"""

import contextlib
import functools
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bthcheck.training import code

LARGEST_HEADER = 2**20  # bytes; some 3000 are written
_LIBRARIES = ("numpy", "torch", "numba")
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """A finished run in a folder.

    size : bytes
    used : when it was written or last read, to a day, in seconds since 1970
    about : what it says of itself; None if it was written by an earlier version, or cannot be read
    """

    path: Path
    size: int
    used: float
    about: dict[str, Any] | None

    @property
    def key(self) -> str:
        """The digest that the run is stored under."""
        return self.path.name.removesuffix(_SUFFIX)

    @property
    def current(self) -> bool | None:
        """Whether this installation would read it: the same code and libraries; None if it does not say."""
        if self.about is None:
            return None
        description = self.about["description"]
        engine = str(description["engine"])
        return description["code"] == code_of(engine) and description["libraries"] == library_versions()


@functools.cache
def code_of(engine: str) -> str | None:
    """Return the digest of the code of an engine; None if there is no such engine."""
    try:
        return code.digest(f"bthcheck.training.{engine}")
    except ValueError:
        return None


@functools.cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a run's numbers depend on."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def entries(folder: Path) -> list[Entry]:
    """Return the finished runs of a folder, least recently used first.

    Raises
    ------
    OSError
        If the folder cannot be looked into.
    """
    found = []
    for item in os.scandir(folder):
        if item.name.endswith(_SUFFIX):
            with contextlib.suppress(OSError):  # another process has just removed it
                facts = item.stat(follow_symlinks=False)
                found.append(Entry(Path(item.path), facts.st_size, facts.st_mtime, _about(Path(item.path))))
    return sorted(found, key=lambda entry: (entry.used, entry.key))


def remove(folder: Path, keys: Iterable[str], said: Callable[[str], None] | None = None) -> tuple[list[str], list[str]]:
    """Remove entries, and return the keys of those that are gone and of those that a process holds the lock of.

    Parameters
    ----------
    said : is told of what cannot be removed, in a sentence

    Notes
    -----
    The lock is removed while it is held. Who opened its file before then locks one that nobody else sees, and at worst a run is
    trained twice, which gives the same numbers.
    """
    gone, held = [], []
    for key in keys:
        lock, entry = folder / f"{key}.lock", folder / f"{key}{_SUFFIX}"
        try:
            with FileLock(lock, timeout=0):
                entry.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    lock.unlink(missing_ok=True)
            gone.append(key)
        except Timeout:
            held.append(key)
        except (OSError, NotImplementedError) as error:
            if said is not None:
                said(f"{entry} cannot be removed: {getattr(error, 'strerror', None) or error}")
    return gone, held


def orphans(folder: Path) -> list[str]:
    """Return the keys of locks without an entry: left by processes that were killed, unless one holds them."""
    locks = {path.stem for path in folder.glob("*.lock")}
    return sorted(locks - {path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}")})


def _about(path: Path) -> dict[str, Any] | None:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))  # a pipe cannot hang
        with os.fdopen(handle, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > LARGEST_HEADER:
                return None
            about = json.loads(json.loads(file.read(length))["__metadata__"]["facts"])["about"]
        description = about["description"]
        named = isinstance(about["experiment"], str) and isinstance(description["engine"], str)
        return about if named and description.keys() >= {"code", "libraries"} else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
