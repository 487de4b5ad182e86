"""The code that decides a run's numbers: a module, and everything of this package that it imports, directly or not.

It is found by reading imports, wherever in a module they stand, and not by a list that someone would have to keep. A parent
package counts only where a name is imported from it: else it decides nothing.
"""

import ast
import contextlib
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_ASIDE = ("__main__.py", "benchmark", "cli", "harness", "pytest_plugin.py", "report", "tests")  # these only call and show


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


_IMPORTED = {path: _stamp(path) for path in PACKAGE.rglob("*.py")}
"""The files as they were when the engines were imported."""


def sources(module: str, package: Path = PACKAGE) -> list[Path]:
    """Return the files of a module and of all it imports of its package, sorted.

    Parameters
    ----------
    module : absolute name, such as "bthcheck.training.fused"
    package : the folder of the package

    Raises
    ------
    ValueError
        If the package has no such module.
    """
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        path = _path(name, package)
        if path is None:
            raise ValueError(f"{package.name} has no module {name}")
        found[name] = path
        pending += [imported for imported in _imported_by(path, _stamp(path)) if imported.partition(".")[0] == package.name]
        pending = [child for name in pending if (child := _module(name, package)) is not None]
    return sorted(found.values())


@functools.cache
def digest(module: str) -> str | None:
    """Return a digest of the text of `sources`; None if it is no more what this process has imported, as after a pull."""
    paths = sources(module)
    total = text_digest(paths, PACKAGE)
    with contextlib.suppress(OSError):
        if all(_stamp(path) == _IMPORTED.get(path) for path in paths):
            return total
    return None


def package_files() -> list[Path]:
    """Return the files of the package that a number can come from, sorted."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in _ASIDE)


@functools.cache
def package_digest() -> str | None:
    """Return a digest of the text of `package_files`; None if it is no more what was imported."""
    paths = package_files()
    total = text_digest(paths, PACKAGE)
    with contextlib.suppress(OSError):
        if all(_stamp(path) == _IMPORTED.get(path) for path in paths):
            return total
    return None


def text_digest(paths: list[Path], package: Path) -> str:
    """Return a digest of the names and the text of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(package).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _path(name: str, package: Path) -> Path | None:
    place = package.joinpath(*name.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _module(name: str, package: Path) -> str | None:
    """Return the module that "bthcheck.a.b" names: itself, or if b is a name in it, bthcheck.a."""
    if _path(name, package) is not None:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent and _path(parent, package) is not None else None


@functools.lru_cache(maxsize=1024)
def _imported_by(path: Path, stamp: tuple[int, int]) -> tuple[str, ...]:
    """Return what a file imports; `stamp` is that of its text, which many modules have in common and need be read once."""
    del stamp
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"), path)))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, "a.b" for ``import a.b`` and for ``from a import b``; not what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for other in node.orelse:
                    yield from _imports(ast.Module([other], []))
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(parent), level=0):
                yield from (f"{parent}.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                raise ValueError(f"imports within the package are absolute, got a relative one in line {node.lineno}")
            case _:
                yield from _imports(node)
