"""A claim's own code: what its test does, read from the text of its file and of those beside it.

A claim on record is a number that came from a test. Whether that test is still the same is seen in the code that the claim
reaches within its own folder: functions, classes and constants; not in comments, docstrings, or what the claim says of itself.
"""

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = 12
_LONGEST = 100  # characters of a constant
_UNSAID = ("ctx", "kind", "type_comment", "type_params", "decorator_list", "returns", "annotation")


@dataclass(frozen=True)
class Source:
    """What a claim's test is made of.

    digest : of all code that it reaches
    constants : name → expression, of the constants among that, such as windows and thresholds
    """

    digest: str
    constants: dict[str, str]


def source_of(function: Callable[..., Any] | None) -> Source | None:
    """Return what a test is made of; None where its text is not to be had, as of one that was typed."""
    if function is None:
        return None
    try:
        return _source(Path(inspect.getfile(function)).resolve(), function.__name__)
    except (OSError, TypeError, SyntaxError, ValueError):
        return None


@functools.cache
def _source(path: Path, name: str) -> Source | None:
    found: dict[tuple[Path, str], list[ast.stmt]] = {}
    pending = [(path, name)]
    while pending:
        here = file, wanted = pending.pop()
        if here in found:
            continue
        defined, imported = _module(file)
        if wanted in defined:
            found[here] = defined[wanted]
            pending += [(file, used) for node in defined[wanted] for used in sorted(_names(node))]
        elif wanted in imported:
            pending.append(imported[wanted])
    if (path, name) not in found:
        return None
    total = hashlib.sha256()
    for (file, wanted), nodes in sorted(found.items(), key=lambda entry: (entry[0][0].name, entry[0][1])):
        total.update(f"{_defined(file, wanted)}: {_dumped(nodes)}\n".encode())
    constants = {
        wanted: _expression(nodes[-1])
        for (_, wanted), nodes in sorted(found.items(), key=lambda entry: entry[0])
        if not _is_code(nodes[-1])
    }
    return Source(total.hexdigest()[:_LENGTH], constants)


@functools.cache
def _module(path: Path) -> tuple[dict[str, list[ast.stmt]], dict[str, tuple[Path, str]]]:
    """Return what a file defines at its top, and what it imports by name from files beside it."""
    tree = ast.parse(path.read_text(encoding="utf-8"), path)
    defined: dict[str, list[ast.stmt]] = {}
    imported: dict[str, tuple[Path, str]] = {}
    for node in tree.body:
        for name in _defines(node):
            defined.setdefault(name, []).append(node)
        if isinstance(node, ast.ImportFrom) and node.module:
            beside = path.with_name(f"{node.module.rpartition('.')[2]}.py")
            if beside.is_file() and _is_beside(node.module, beside):
                imported |= {alias.asname or alias.name: (beside, alias.name) for alias in node.names}
    return defined, imported


def _is_beside(module: str, path: Path) -> bool:
    """Whether it is that file which the name of a module means here."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    return loaded is None or Path(loaded).resolve() == path


def _defined(path: Path, name: str) -> str:
    """Return what a definition is called, wherever on a machine its file lies."""
    return f"{path.stem}.{name}"


def _defines(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign():
            for target in node.targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
            yield name


def _names(node: ast.stmt) -> set[str]:
    """Return the names that a definition uses; its decorators are not part of it."""
    unused = [*getattr(node, "decorator_list", []), *getattr(node, "targets", [])]
    parts = [part for part in ast.iter_child_nodes(node) if part not in unused]
    return {name.id for part in parts for name in ast.walk(part) if isinstance(name, ast.Name)}


def _is_code(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _expression(node: ast.stmt) -> str:
    value = getattr(node, "value", None)
    text = "" if value is None else ast.unparse(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _dumped(part: Any) -> str:
    """Return what a definition does as text that is the same in every version of Python.

    Decorators, docstrings, annotations and the places of things in the file are left out, and what is empty.
    """
    if isinstance(part, list):
        return f"[{' '.join(_dumped(entry) for entry in part)}]"
    if not isinstance(part, ast.AST):
        return repr(part)
    fields = {name: value for name, value in ast.iter_fields(part) if name not in _UNSAID and value not in (None, [])}
    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        first = part.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            fields["body"] = part.body[1:]
    return f"{type(part).__name__}({', '.join(f'{name}={_dumped(value)}' for name, value in sorted(fields.items()))})"
