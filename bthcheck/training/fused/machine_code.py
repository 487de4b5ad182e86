"""Machine code of the kernels on disk, kept under a digest of all the code it was made of.

Numba keeps a program under the text of its own file alone: one that was linked to functions of another file stays in use when
they change. It also gives up where no folder can be written, lets a full disk end a computation, and shares an index between
processes that compile at once. Here a program's file is named by the digest of the whole engine, its signature, processor and
versions, appears whole or not at all, and a folder that cannot be used costs a compilation, not a result.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
import time
import warnings
from operator import attrgetter
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, compiler, config, serialize

from bthcheck.files import write_whole
from bthcheck.training import code

ENGINE = "bthcheck.training.fused"
_OLD_SECONDS = 30 * 86400


class MachineCode(caching._Cache):  # Numba's interface; it has no public one
    """The programs of one function."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.enabled = True

    @property
    def cache_path(self) -> str:
        """The folder, as Numba asks for it."""
        return str(folder())

    def path(self, signature: Any, codegen: Any) -> Path | None:
        """Return the file of a program: of a signature, for a processor and its vector units; None if it is not to be kept."""
        digest = code.digest(ENGINE) if self.enabled else None
        if digest is None:
            return None
        facts = (digest, str(signature), repr(codegen.magic_tuple()), numba.__version__)
        name = f"{self.function.__module__}.{self.function.__qualname__}".removeprefix(f"{ENGINE}.")
        return folder() / f"{name}-{hashlib.sha256(repr(facts).encode()).hexdigest()}.nbc"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return a compiled program, or None."""
        target_context.refresh()
        path = self.path(sig, target_context.codegen())
        try:
            content = path.read_bytes() if path is not None else b""
        except OSError:
            return None
        checksum, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != checksum:
            return None  # compiled anew, and overwritten
        return compiler.CompileResult._rebuild(target_context, *serialize.pickle.loads(payload))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a program that was compiled just now, if it can be."""
        path = self.path(sig, data.codegen)
        bound = attrgetter("library.has_dynamic_globals")(data)  # to addresses of this process
        if path is None or bound or any(not lifted.can_cache for lifted in data.lifted):
            return
        payload = serialize.dumps(data._reduce())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            _unwritten(str(error))
        else:
            _tidy()

    def enable(self) -> None:
        """Load and store programs."""
        self.enabled = True

    def disable(self) -> None:
        """Neither load nor store programs."""
        self.enabled = False

    def flush(self) -> None:
        """Forget nothing: what is stored is right for ever."""


@functools.cache
def folder() -> Path:
    """Return where programs are kept: where ``NUMBA_CACHE_DIR`` says, or beside the code, or in the user's cache.

    Where none of these can be written it is a folder of this process, which says so and takes it away when it ends.
    """
    given = config.CACHE_DIR  # type: ignore[attr-defined]
    candidates = [Path(given) / "bthcheck"] if given else [Path(__file__).parent / "__pycache__" / "machine-code"]
    if not given:
        with contextlib.suppress(RuntimeError):  # nobody's home
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            candidates.append(home / "bthcheck" / "machine-code")
    for candidate in candidates:
        with contextlib.suppress(OSError):
            candidate.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=candidate):
                return candidate
    import atexit

    try:
        own = Path(tempfile.mkdtemp(prefix="bthcheck-machine-code-"))
    except OSError:  # no place at all: load_overload finds nothing there, and save_overload says so
        return candidates[0]
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    warnings.warn(
        f"compiled kernels are kept for this process alone, because {' and '.join(map(str, candidates))} cannot be written;"
        " name a folder by NUMBA_CACHE_DIR to keep them",
        stacklevel=2,
    )
    return own


@functools.cache
def _unwritten(reason: str) -> None:
    warnings.warn(f"compiled kernels could not be stored and are compiled again next time: {reason}", stacklevel=2)


@functools.cache
def _tidy() -> None:
    """Remove programs that nobody has made for a month: those of code that has changed since."""
    with contextlib.suppress(OSError):
        for path in folder().glob("*.nbc"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    path.unlink()
