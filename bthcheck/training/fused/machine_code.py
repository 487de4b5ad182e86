"""Machine code of the kernels on disk, kept under a digest of all the code it was made of.

Numba keeps a program under the text of its own file alone: one that was linked to functions of another file stays in use when
they change. It also gives up where no folder can be written, lets a full disk end a computation, and shares an index between
processes that compile at once. Here a program's file is named by the digest of the whole engine, its signature, processor and
versions, appears whole or not at all, and a folder that cannot be used costs a compilation, not a result. Of several processes
that need a program at once one compiles it, and the others wait and load it: each would otherwise take a core's time for the
same thing. Who waits in vain, because the other has died, hangs or can store nothing, compiles it itself.
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
from filelock import FileLock, Timeout
from numba.core import caching, compiler, config, serialize

from bthcheck.files import sweep, write_whole
from bthcheck.training import code, interrupt

ENGINE = "bthcheck.training.fused"
PATIENCE_SECONDS = 60.0
"""How long one waits for another process to compile a program, which takes one to ten seconds of a core."""
_POLL_SECONDS = 0.05
_OLD_SECONDS = 30 * 86400


class MachineCode(caching._Cache):  # Numba's interface; it has no public one
    """The programs of one function."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.enabled = True
        self._turns: dict[Path, FileLock] = {}  # of the programs that this process is compiling

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
        """Return a compiled program, or None if this process is to compile it.

        Raises
        ------
        bthcheck.training.interrupt.Interrupted
            If this thread is asked to stop while it waits for another process.
        """
        target_context.refresh()
        path = self.path(sig, target_context.codegen())
        if path is None:
            return None
        payload = _read(path)
        if payload is None and self._take_turn(path):
            payload = _read(path)  # which another process may have stored since
            if payload is not None:
                self._end_turn(path)
        return None if payload is None else compiler.CompileResult._rebuild(target_context, *serialize.pickle.loads(payload))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a program that was compiled just now, if it can be."""
        path = self.path(sig, data.codegen)
        if path is None:
            return
        try:
            bound = attrgetter("library.has_dynamic_globals")(data)  # to addresses of this process
            if not bound and all(lifted.can_cache for lifted in data.lifted):
                payload = serialize.dumps(data._reduce())
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, hashlib.sha256(payload).digest() + payload)
        except OSError as error:
            _unwritten(str(error))
        else:
            _tidy()
        finally:
            self._end_turn(path)

    def _take_turn(self, path: Path) -> bool:
        """Wait while another process compiles a program, and return whether this one is now the only one that does.

        A lock that is held has a holder that lives. One that takes too long is not waited for, nor is anybody where there are
        no locks to be had.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        lock = self._turns.get(path) or FileLock(_lock(path), timeout=0, thread_local=False)
        while True:
            try:
                lock.acquire()
            except Timeout:
                if time.monotonic() > until:
                    return False
            except (OSError, NotImplementedError):
                return False
            else:
                self._turns[path] = lock
                return True
            interrupt.current().check()
            time.sleep(_POLL_SECONDS)

    def _end_turn(self, path: Path) -> None:
        """Let others have a program. The lock is removed while it is held: who opened it before finds the program first."""
        lock = self._turns.pop(path, None)
        if lock is not None:
            with contextlib.suppress(OSError):
                _lock(path).unlink(missing_ok=True)
            lock.release(force=True)

    def enable(self) -> None:
        """Load and store programs."""
        self.enabled = True

    def disable(self) -> None:
        """Neither load nor store programs."""
        self.enabled = False

    def flush(self) -> None:
        """Forget nothing: what is stored is right for ever."""


def _read(path: Path) -> bytes | None:
    """Return a program as it was stored; None if it is not there or damaged, and so to be compiled anew and written over."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, payload = content[:32], content[32:]
    return payload if hashlib.sha256(payload).digest() == checksum else None


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


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
    """Remove programs that nobody has made for a month, of code that has changed since, and what killed processes left."""
    sweep(folder())
    with contextlib.suppress(OSError):
        for path in [*folder().glob("*.nbc"), *folder().glob("*.lock")]:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _OLD_SECONDS:
                    path.unlink()
