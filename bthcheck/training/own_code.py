"""The code of architectures and tasks of one's own: the files of their modules and of all modules that these import.

A run of them is kept only where all of that is known. What is defined in no file, as in a notebook or at a prompt, may be
another thing the next time under the same name.
"""

import ast
import functools
import hashlib
import importlib.metadata
import inspect
import sys
import sysconfig
import weakref
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from bthcheck.training.code import PACKAGE

_STANDARD = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")})
_PACKAGES = {"site-packages", "dist-packages"}
_seen: weakref.WeakKeyDictionary[type, dict[Path, tuple[int, int]]] = weakref.WeakKeyDictionary()


class Code(NamedTuple):
    """digest : of all files and of the versions of what is installed; trouble : why there is none, in words, else empty"""

    digest: str | None
    trouble: str


def code_of(kinds: Iterable[type]) -> Code:
    """Return what there is to know of the code of classes, as it was when this process first looked at it.

    Parameters
    ----------
    kinds : architectures, tasks and modules; what PyTorch and this package define counts elsewhere
    """
    kinds = {base for kind in kinds for base in kind.__mro__ if not _counts_elsewhere(base)}
    files: dict[Path, str] = {}
    installed: set[str] = set()
    pending = sorted({kind.__module__ for kind in kinds})
    while pending:
        module = sys.modules.get(pending.pop())
        path = _file(module)
        if path is None:
            return Code(None, f"the code of {_names(kinds)} is in no file")
        if path in files:
            continue
        try:
            files[path], mentioned = _read(path, _stamp(path), getattr(module, "__package__", None) or "")
        except (OSError, ValueError, SyntaxError):
            return Code(None, f"the code of {_names(kinds)} cannot be read")
        imported = [name for name in mentioned if name in sys.modules]
        pending += [name for name in imported if _place(name) == "own"]
        installed |= {name.partition(".")[0] for name in imported if _place(name) == "installed"}
    if not all(_defined_in(kind, files) for kind in kinds):
        return Code(None, f"the code of {_names(kinds)} is in no file")
    if not all(_as_first_seen(kind, files) for kind in kinds):
        return Code(None, f"the code of {_names(kinds)} has changed since it was first used")
    total = hashlib.sha256(repr(sorted(f"{name} {_version(name)}" for name in installed)).encode())
    for text in sorted(files.values()):  # wherever they are
        total.update(hashlib.sha256(text.encode()).digest())
    return Code(total.hexdigest(), "")


def _names(kinds: Iterable[type]) -> str:
    return ", ".join(sorted({kind.__name__ for kind in kinds}))


def _counts_elsewhere(kind: type) -> bool:
    """Whether a class is Python's, PyTorch's or this package's, and not only says so."""
    module = sys.modules.get(kind.__module__)
    top = kind.__module__.partition(".")[0]
    ours = _place(kind.__module__) == "standard" or top == "torch"
    return ours and getattr(module, kind.__name__, None) is kind


def _place(name: str) -> str:
    """Return where a module is from: "standard" for Python and this package, "installed", or "own"."""
    if name.partition(".")[0] == PACKAGE.name and not name.startswith(f"{PACKAGE.name}.tests."):
        return "standard"
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if not isinstance(path, str):  # built in, or a namespace, whose parts have files, or a prompt
        return "own" if module is None or name == "__main__" else "standard"
    if _PACKAGES & set(Path(path).parts):
        return "installed"
    return "standard" if any(Path(path).resolve().is_relative_to(folder) for folder in _STANDARD) else "own"


def _file(module: ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if isinstance(name, str) else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_size


@functools.lru_cache(maxsize=512)
def _read(path: Path, stamp: tuple[int, int], package: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of a module, and what it imports wherever in it that stands, with the packages around that."""
    del stamp
    text = path.read_text(encoding="utf-8")
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import():
                found += [alias.name for alias in node.names]
            case ast.ImportFrom():
                around = package.split(".")
                above = around[: len(around) - node.level + 1] if node.level else []
                parent = ".".join([*above, *([node.module] if node.module else [])])
                found += [parent, *(f"{parent}.{alias.name}" for alias in node.names)]
    parts = [name.split(".") for name in found]
    return text, tuple(dict.fromkeys(".".join(part[:count]) for part in parts for count in range(1, len(part) + 1)))


def _defined_in(kind: type, files: Iterable[Path]) -> bool:
    """Whether the functions of a class were compiled from these files, but for what decorators and dataclasses add."""
    functions = [inspect.unwrap(value) for value in vars(kind).values() if inspect.isfunction(value)]
    places = {function.__code__.co_filename for function in functions} - {"<string>"}
    known = set(files)
    return all(Path(place).resolve() in known or _is_library(Path(place).resolve()) for place in places)


def _is_library(path: Path) -> bool:
    folders = (PACKAGE, *_STANDARD)
    return path.is_file() and (bool(_PACKAGES & set(path.parts)) or any(path.is_relative_to(folder) for folder in folders))


def _as_first_seen(kind: type, files: Iterable[Path]) -> bool:
    """Whether files are as they were when the class was first looked at; a class that is imported anew is another."""
    first = _seen.setdefault(kind, {})
    return all(first.setdefault(path, stamp) == stamp for path, stamp in {path: _stamp(path) for path in files}.items())


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(name), "__version__", ""))
