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
from types import FunctionType, ModuleType
from typing import NamedTuple

from bthcheck.training.code import PACKAGE

_STANDARD = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")})
_PACKAGES = {"site-packages", "dist-packages"}
_seen: weakref.WeakKeyDictionary[object, dict[Path, tuple[int, int]]] = weakref.WeakKeyDictionary()


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
    try:
        files, installed = _followed({kind.__module__ for kind in kinds})
    except _Unread as error:
        return Code(None, f"the code of {_names(kinds)} {error}")
    if not all(_defined_in(kind, files) for kind in kinds):
        return Code(None, f"the code of {_names(kinds)} is in no file")
    if not all(_as_first_seen(kind, files) for kind in kinds):
        return Code(None, f"the code of {_names(kinds)} has changed since it was first used")
    return Code(_digest(files, installed), "")


def code_of_functions(functions: Iterable[FunctionType]) -> Code:
    """Return what there is to know of the code of functions of modules that are none of this package's, as `code_of`."""
    functions = list(functions)
    who = ", ".join(sorted(f"{function.__module__}.{function.__qualname__}" for function in functions))
    try:
        files, installed = _followed({function.__module__ for function in functions})
    except _Unread as error:
        return Code(None, f"the code of {who} {error}")
    if not all(_as_first_seen(function, files) for function in functions):
        return Code(None, f"the code of {who} has changed since it was first used")
    return Code(_digest(files, installed), "")


class _Unread(Exception):
    """The code of a module is not known; says why."""


def _followed(modules: Iterable[str]) -> tuple[dict[Path, str], set[str]]:
    """Return the files, with their text, of modules and of all they import that is one's own, and what they import else."""
    files: dict[Path, str] = {}
    installed: set[str] = set()
    pending = sorted(modules)
    while pending:
        module = sys.modules.get(pending.pop())
        path = _file(module)
        if path is None:
            raise _Unread("is in no file")
        if path in files:
            continue
        try:
            files[path], mentioned = _read(path, _stamp(path), getattr(module, "__package__", None) or "")
        except (OSError, ValueError, SyntaxError):
            raise _Unread("cannot be read") from None
        imported = [name for name in mentioned if name in sys.modules]
        pending += [name for name in imported if _place(name) == "own"]
        installed |= {name.partition(".")[0] for name in imported if _place(name) == "installed"}
    return files, installed


def _digest(files: dict[Path, str], installed: Iterable[str]) -> str:
    total = hashlib.sha256(repr(sorted(f"{name} {_version(name)}" for name in installed)).encode())
    for text in sorted(files.values()):  # wherever they are
        total.update(hashlib.sha256(text.encode()).digest())
    return total.hexdigest()


def _names(kinds: Iterable[type]) -> str:
    return ", ".join(sorted({kind.__name__ for kind in kinds}))


def _counts_elsewhere(kind: type) -> bool:
    """Whether a class is Python's, PyTorch's or this package's, and not only says so."""
    module = sys.modules.get(kind.__module__)
    top = kind.__module__.partition(".")[0]
    ours = _place(kind.__module__) == "standard" or top == "torch"
    return ours and getattr(module, kind.__name__, None) is kind


def is_ours(module: str) -> bool:
    """Whether a module of this name is of this package, but for its tests."""
    return module.partition(".")[0] == PACKAGE.name and not module.startswith(f"{PACKAGE.name}.tests.")


def _place(name: str) -> str:
    """Return where a module is from: "standard" for Python and this package, "installed", or "own"."""
    if is_ours(name):
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


def _as_first_seen(kind: object, files: Iterable[Path]) -> bool:
    """Whether files are as they were when a class or function was first looked at; one that is imported anew is another."""
    first = _seen.setdefault(kind, {})
    return all(first.setdefault(path, stamp) == stamp for path, stamp in {path: _stamp(path) for path in files}.items())


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(name), "__version__", ""))
