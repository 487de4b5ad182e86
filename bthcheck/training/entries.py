"""What is in a folder of finished runs and kept results, without reading more than the beginning of a file, or loading PyTorch.

An entry says of itself what it is of, the experiment or function, and everything that its numbers depend on. The time of its
file is when it was last of use. Who prunes takes the lock of an entry first, so that none goes that a process is at.
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
RESULT_LIBRARIES = (*_LIBRARIES, "scipy", "xarray", "hypothesis", "matplotlib")
"""What results that are kept depend on: they are computed, not only trained."""
_SUFFIX, KEPT = ".safetensors", ".kept"


@dataclass(frozen=True)
class Entry:
    """A finished run in a folder, or a result that was computed and kept.

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
        """The digest that it is stored under."""
        return self.path.name.removesuffix(self.path.suffix)

    @property
    def is_run(self) -> bool:
        """Whether it is a run."""
        return self.path.suffix == _SUFFIX

    @property
    def current(self) -> bool | None:
        """Whether this installation would read it: the same code and libraries; None if it does not say."""
        if self.about is None:
            return None
        description = self.about["description"]
        if not self.is_run:
            known = description["code"]["package"]
            libraries = description["libraries"] == library_versions(RESULT_LIBRARIES)
            return libraries and all(_digest_of(name) == digest for name, digest in known.items())
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
def _digest_of(module: str) -> str | None:
    try:
        return code.package_digest() if module == code.PACKAGE.name else code.digest(module)
    except ValueError:
        return None


@functools.cache
def library_versions(names: tuple[str, ...] = _LIBRARIES) -> dict[str, str]:
    """Return the versions of libraries: by default of those that a run's numbers depend on."""
    return {name: importlib.metadata.version(name) for name in names}


def entries(folder: Path) -> list[Entry]:
    """Return the finished runs and kept results of a folder, least recently used first.

    Raises
    ------
    OSError
        If the folder cannot be looked into.
    """
    found = []
    for item in os.scandir(folder):
        if item.name.endswith((_SUFFIX, KEPT)):
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
        lock, entry = folder / f"{key}.lock", [folder / f"{key}{suffix}" for suffix in (_SUFFIX, KEPT)]
        try:
            with FileLock(lock, timeout=0):
                for path in entry:
                    path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    lock.unlink(missing_ok=True)
            gone.append(key)
        except Timeout:
            held.append(key)
        except (OSError, NotImplementedError) as error:
            if said is not None:
                said(f"{entry[0].with_suffix('')} cannot be removed: {getattr(error, 'strerror', None) or error}")
    return gone, held


def orphans(folder: Path) -> list[str]:
    """Return the keys of locks without an entry: left by processes that were killed, unless one holds them."""
    locks = {path.stem for path in folder.glob("*.lock")}
    return sorted(locks - {path.stem for suffix in (_SUFFIX, KEPT) for path in folder.glob(f"*{suffix}")})


def _about(path: Path) -> dict[str, Any] | None:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))  # a pipe cannot hang
        with os.fdopen(handle, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > LARGEST_HEADER:
                return None
            about = json.loads(json.loads(file.read(length))["__metadata__"]["facts"])["about"]
        description = about["description"]
        if path.suffix == KEPT:
            named = isinstance(about["function"], str) and isinstance(description["code"]["package"], dict)
        else:
            named = isinstance(about["experiment"], str) and isinstance(description["engine"], str)
        return about if named and description.keys() >= {"code", "libraries"} else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
