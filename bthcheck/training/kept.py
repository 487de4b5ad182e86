"""Results that are expensive and always the same, kept beside the runs: searches, traces, surveys of regions.

A result is found by everything that decides it: the function, its code, the content of its arguments, the versions of libraries
and the processor. What is not known that well is computed anew every time. An entry is a file like a run's, under the same
rules: arrays and text that cannot run code, whole or not at all, and one that cannot be trusted is a miss that is said.
"""

import contextlib
import functools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.training import code, machine
from bthcheck.training.cache import SCHEMA, Locked, RunCache, key_of
from bthcheck.training.contents import Unknown, decoded, described, encoded, returned_by
from bthcheck.training.entries import KEPT, LARGEST_HEADER, RESULT_LIBRARIES, library_versions
from bthcheck.training.own_code import code_of, code_of_functions, is_ours

PATIENCE_SECONDS = 60.0
"""How long one waits for another process that computes the same before one computes it, too."""
_SAY_SECONDS, _POLL_SECONDS = 5.0, 0.02

Result = TypeVar("Result")


class Listener(Protocol):
    """What is told of every result."""

    def finish(self, function: str, key: str, computed: bool, seconds: float) -> None:
        """A result is at hand: `computed` just now in `seconds`, or read from the cache, for which it once took `seconds`."""

    def wait(self, sentence: str) -> None:
        """Nothing has happened for a while, because another process computes a result."""


class Keeper:
    """Calls functions whose results are kept.

    Parameters
    ----------
    cache : where results are kept, shared by any number of processes
    listener : is told of every result
    """

    def __init__(self, cache: RunCache, listener: Listener) -> None:
        self.cache = cache
        self._listener = listener

    def __call__(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Return ``function(*arguments, **options)``, read from the cache if that was computed before.

        What the function returns must depend on nothing but its code and its arguments, `bthcheck.training.contents.described`
        says of which types these may be. It may be made of None, numbers, text, lists, tuples, dictionaries, arrays and xarray
        objects, or be a dataclass or NamedTuple of such if the function's annotation says which. A result with an attribute
        ``lasting`` that is false is not kept, such as a counterexample, which is searched anew every time.

        What is not known well enough or cannot be stored is computed, with a warning that says why.
        """
        name = f"{function.__module__}.{function.__qualname__}"
        try:
            description = describe(function, arguments, options)
        except Unknown as error:
            warnings.warn(f"what {name} returns is not kept, because {error}", stacklevel=2)
            return self._computed(name, "", functools.partial(function, *arguments, **options))
        key = key_of(description)
        found = self._read(function, name, key)
        if found is None:
            with self._turn(name, key):
                found = self._read(function, name, key)  # which another process may have stored since
                if found is None:
                    compute = functools.partial(function, *arguments, **options)
                    return self._computed(name, key, compute, description, returned_by(function))
        return found[0]

    def _read(self, function: Callable[..., Result], name: str, key: str) -> tuple[Result] | None:
        seconds = 0.0

        def result(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> tuple[Result]:
            nonlocal seconds
            seconds = float(facts["seconds"])
            return (decoded(facts["result"], arrays, returned_by(function)),)

        found = self.cache.entry(self.cache.folder / f"{key}{KEPT}", key, result, ("the kept result", "is computed again"))
        if found is not None:
            self._listener.finish(name, key, False, seconds)
        return found

    def _computed(
        self, name: str, key: str, compute: Callable[[], Any], description: dict[str, Any] | None = None, kind: Any = None
    ) -> Any:
        """Compute a result, and keep it where there is a description of what decides it."""
        start = time.perf_counter()
        with neutral():  # a program's settings are in no key
            result = compute()
        seconds = time.perf_counter() - start
        self._listener.finish(name, key, True, seconds)
        if description is not None and getattr(result, "lasting", True):
            arrays: dict[str, np.ndarray] = {}
            facts = {"key": key, "schema": SCHEMA, "seconds": seconds, "about": {"function": name, "description": description}}
            try:
                facts["result"] = encoded(result, arrays)
                if len(json.dumps(facts)) > LARGEST_HEADER / 4:  # it is text in text, and beside the names of arrays
                    raise Unknown("it holds more text than a header may")
            except Unknown as error:
                warnings.warn(f"what {name} returns is not kept, because {error}", stacklevel=3)
            else:
                self.cache.store(self.cache.folder / f"{key}{KEPT}", arrays, facts, "results computed")
                return decoded(facts["result"], arrays, kind)  # as it is read, to the order of its numbers in memory
        return result

    @contextlib.contextmanager
    def _turn(self, name: str, key: str) -> Iterator[None]:
        """Wait while another process computes a result, but for no more than `PATIENCE_SECONDS`."""
        began = told = time.monotonic()
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(self.cache.lock(key))
                    break
                except Locked:
                    now = time.monotonic()
                if now - began > PATIENCE_SECONDS:
                    break
                if now - told > _SAY_SECONDS:
                    told = now
                    lock = self.cache.folder / f"{key}.lock"
                    self._listener.wait(f"waiting for {name}, which another process computes; its lock is {lock}")
                time.sleep(_POLL_SECONDS)
            yield


def describe(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return everything that decides what a function returns.

    That is the function, the content of its arguments, the text of the code of all functions and classes in them and of what
    that imports, the versions of the libraries under it, and the processor with its vector units. Of what is not of this
    package's, it is the text of its modules and of the whole package, because what they use of that is not followed.

    Raises
    ------
    bthcheck.training.contents.Unknown
        If an argument has no description, or code has changed since it was imported.
    """
    parts: set[Any] = set()
    called = described(function, parts)
    content = described([list(arguments), options], parts)
    modules = {part.__module__ for part in parts if is_ours(part.__module__)}
    own = [part for part in parts if not is_ours(part.__module__)]
    kinds, functions = [part for part in own if isinstance(part, type)], [part for part in own if not isinstance(part, type)]
    texts = []
    for found in ([code_of(kinds)] if kinds else []) + ([code_of_functions(functions)] if functions else []):
        if found.trouble:
            raise Unknown(found.trouble)
        texts.append(found.digest)
    known = {name: code.digest(name) for name in sorted(modules)} if not own else {code.PACKAGE.name: code.package_digest()}
    if None in known.values():
        raise Unknown("the code of bthcheck has changed since it was imported")
    return {
        "schema": SCHEMA,
        "function": called,
        "arguments": content,
        "code": {"package": known, "own": texts},
        "libraries": library_versions(RESULT_LIBRARIES),
        "machine": machine.describe("cpu"),
    }
