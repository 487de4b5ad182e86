"""Faces: names that are handed on from where they live, imported when they are first asked for.

A process that only reports needs the names of verdicts, but neither PyTorch nor SciPy: what a face hands on costs nothing
until it is used.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any


def handing_on(face: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package `face` whose names live in the modules that `homes` says."""

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {face!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return __getattr__


class Later:
    """A library that is imported when something of it is first asked for, in the place of ``import name``.

    It is for libraries that take seconds, as PyTorch does, and for them alone: what a module imports of this package is read
    from its text.

    Parameters
    ----------
    name : of the module
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(_imported(self._name), name)


@functools.cache
def _imported(name: str) -> ModuleType:
    return importlib.import_module(name)


class Renamed(MetaPathFinder):
    """Finds modules under the names that they were shown by before they moved: the very same modules, not copies.

    Parameters
    ----------
    homes : name → the name of the module now
    """

    def __init__(self, homes: Mapping[str, str]) -> None:
        self.homes = homes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import `fullname`, or None if it never was a name of this package."""
        del path, target
        home = self.homes.get(fullname)
        return None if home is None else ModuleSpec(fullname, _Forwarder(home))


class _Forwarder(Loader):
    """A loader that imports a module by the name it has now."""

    def __init__(self, home: str) -> None:
        self.home = home

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.home)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own description back, which importing it by another name has overwritten."""
        module.__spec__ = self.spec

    def get_code(self, fullname: str) -> CodeType | None:
        """Return what ``python -m`` is to run."""
        del fullname
        spec = importlib.util.find_spec(self.home)
        loader: Any = spec.loader if spec is not None else None
        return None if loader is None else loader.get_code(self.home)


def install(finder: Renamed) -> None:
    """Have Python ask the finder for what it does not find itself; again, after this package was imported anew."""
    sys.meta_path[:] = [other for other in sys.meta_path if getattr(other, "homes", None) != finder.homes]
    sys.meta_path.append(finder)
