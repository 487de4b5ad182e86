"""Finished runs on disk, shared by any number of processes, users and machines.

One file a run, named by a digest of everything that can change its numbers. A file is a safetensors archive: arrays and text,
nothing that could run code. A file that cannot be read back exactly as it was written counts as absent, and is said aloud. What
cannot be stored is kept in memory: a full disk costs a session nothing that it has computed.
"""

import contextlib
import functools
import hashlib
import json
import os
import stat
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from safetensors.numpy import load, save

from bthcheck.checks import readable_folder
from bthcheck.files import LEFT_BEHIND_SECONDS, sweep, temporary, write_whole
from bthcheck.protocols import fields_of, is_own, name_of
from bthcheck.training import code, machine
from bthcheck.training.entries import LARGEST_HEADER, library_versions
from bthcheck.training.fingerprints import fingerprint
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.statistics import FINITE, STATISTICS

SCHEMA = 1
_TOUCH_SECONDS = 24 * 3600
_swept: dict[Path, float] = {}  # when this process last looked through a folder for what was left behind
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Form:
    """What is known of a run's result before it is trained.

    rows : how many numbers every statistic has
    dtype : type of the parameters
    parameters : how many there are; None if it is not known, as of a module of one's own
    """

    rows: int
    dtype: str
    parameters: int | None = None

    def check(self, result: RunResult) -> None:
        """Raise ``ValueError`` unless a result has this form."""
        if {array.shape for array in result.statistics.values()} != {(self.rows,)}:
            raise ValueError("its statistics are not those of this run")
        if result.parameters.dtype != self.dtype or len(result.parameters) != (self.parameters or len(result.parameters)):
            raise ValueError("its parameters are not those of this run")

    @property
    def most_bytes(self) -> int | None:
        """What a file of it has at most."""
        if self.parameters is None:
            return None
        return 8 + LARGEST_HEADER + 8 * (len(STATISTICS) * self.rows + self.parameters)


def form_of(run: Run) -> Form:
    """Return the form of a run's result."""
    network: Any = run.setting.network
    return Form(run.setting.training.rows, run.setting.training.dtype, None if is_own(network) else network.parameters)


class Locked(Exception):
    """Another process is training a run."""


def run_key(run: Run, engine: str, device: str) -> str:
    """Return the digest a run is stored under."""
    return key_of(describe(run, engine, device))


def key_of(description: dict[str, Any]) -> str:
    """Return the digest that a run of this description is stored under."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def describe(run: Run, engine: str, device: str) -> dict[str, Any]:
    """Return everything that can change a run's numbers.

    That is the run's configuration, the engine and kind of device, the text of the code that trains, the versions of the
    libraries under it, and the processor with its vector units; not the experiment's name, its other levels or its other seeds.
    Of an architecture or task of one's own it covers code, data, first weights and what the module makes of the data.
    Where the code has changed since it was imported nobody knows what it is, and the key is one that nobody asks for again.
    """
    setting = run.setting
    description = {
        "schema": SCHEMA,
        "task": [name_of(setting.task), fields_of(setting.task)],
        "network": [name_of(setting.network), fields_of(setting.network)],
        "training": setting.training.described(),
        "seed": run.seed,
        "engine": engine,
        "device": device.split(":")[0],
        "code": code.digest(f"bthcheck.training.{engine}") or f"changed since it was imported: {uuid.uuid4()}",
        "libraries": library_versions(),
        "machine": machine.describe(device),
    }
    own = fingerprint(run)
    if own is not None:
        description["own"] = own
    return description


class RunCache:
    """A folder of finished runs. One that can be read but not written is served from and left as it is.

    Raises
    ------
    ValueError
        If the folder cannot be created or read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = readable_folder("cache", folder)
        self._said: set[str] = set()
        try:
            new = temporary(self.folder)
            new.touch(exist_ok=False)
            self._mode: int | None = stat.S_IMODE(new.stat().st_mode)  # what the umask leaves of a new file's
            new.unlink()
        except OSError as error:
            self._mode = None
            why = error.strerror
            _say_once(f"finished runs are read from {self.folder} but not kept there, because it cannot be written: {why}")
        else:
            _sweep_now_and_then(self.folder.absolute())

    def path(self, key: str) -> Path:
        """Return the file that holds, or would hold, a run."""
        return self.folder / f"{key}.safetensors"

    @contextlib.contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep other processes from training a run meanwhile, where the folder's file system can.

        A lock dies with its holder, and its file means nothing. Where there is none to be had two may train the same run, which
        gives the same numbers.

        Raises
        ------
        Locked
            If another process holds it.
        """
        with contextlib.ExitStack() as held:
            if self._mode is not None:
                try:
                    path = self.folder / f"{key}.lock"
                    _clear(path, folder=False)
                    held.enter_context(FileLock(path, timeout=0, mode=self._mode))
                except Timeout as error:
                    raise Locked from error
                except (OSError, NotImplementedError) as error:
                    self._say(f"runs in {self.folder} are trained without locks, because none can be had: {_reason(error)}")
            yield

    def read(self, key: str, form: Form | None = None) -> RunResult | None:
        """Return a run, or None, with a warning if a file is there but cannot be trusted.

        Parameters
        ----------
        form : what it has to look like, if that is known
        """

        def result(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> RunResult:
            found = _result(arrays, facts)
            if form is not None:
                form.check(found)
            return found

        said = ("the cached run", "is trained again")
        return self.entry(self.path(key), key, result, said, None if form is None else form.most_bytes)

    def entry(
        self,
        path: Path,
        key: str,
        decode: Callable[[dict[str, np.ndarray], dict[str, Any]], Entry],
        said: tuple[str, str],
        most: int | None = None,
    ) -> Entry | None:
        """Return what is in a file, decoded, or None, with a warning if it is there but cannot be trusted.

        Parameters
        ----------
        decode : is given arrays and facts; whatever it raises, the file is damaged
        said : what it is a file of, and what becomes of that if it cannot be trusted, for the warning
        most : bytes that it can have
        """
        try:
            content = _content(path, most)
            result = None if content is None else decode(*_opened(content, key))
            self._note_use(path)
            return result
        except PermissionError as error:
            problem = f"cannot be read ({error.strerror})"
        except Exception as error:  # whatever a file holds that somebody else wrote, it is no reason to stop
            problem = f"is damaged ({_reason(error)})"
        self._say(f"{said[0]} {path} {problem} and {said[1]}")
        return None

    def write(self, key: str, result: RunResult, about: dict[str, Any] | None = None) -> None:
        """Store a run, whole or not at all; where it cannot be stored, say so once and go on.

        `about` is kept with it, for whoever looks through the folder.
        """
        arrays = {f"statistics/{name}": values for name, values in result.statistics.items()}
        arrays["parameters"] = result.parameters
        known = {"key": key, "schema": SCHEMA, "diverged": result.diverged, "seconds": result.seconds}
        self.store(self.path(key), arrays, known | ({} if about is None else {"about": about}), "runs finished")

    def store(self, path: Path, arrays: dict[str, np.ndarray], facts: dict[str, Any], what: str) -> None:
        """Write a file that `entry` reads, whole or not at all; where it cannot be written, say so once, of `what`, and go on.

        `facts` have the "key" and the "schema".
        """
        if self._mode is None:
            return
        text = json.dumps(facts)
        content = save(arrays, {"facts": text, "sha256": _digest(arrays, text)})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _clear(path)
            write_whole(path, content)
        except OSError as error:
            self._say(f"{what} from now on may not be kept in {self.folder}: {error.strerror}")

    def _note_use(self, path: Path) -> None:
        """Have the time of a file say when it was last of use, to a day: what is pruned first is what nobody read."""
        if self._mode is not None:
            with contextlib.suppress(OSError, NotImplementedError):
                if time.time() - path.lstat().st_mtime > _TOUCH_SECONDS:
                    os.utime(path, follow_symlinks=False)

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            warnings.warn(sentence, stacklevel=3)


@functools.cache
def _say_once(sentence: str) -> None:
    """Warn of what holds for the whole process, in which runs and what is computed of them have the same folder."""
    warnings.warn(sentence, stacklevel=3)


def _sweep_now_and_then(folder: Path) -> None:
    """Remove what the dead left: a session opens its cache for every experiment, and 20 000 entries take time to list."""
    now = time.monotonic()
    if now - _swept.get(folder, -LEFT_BEHIND_SECONDS) >= LEFT_BEHIND_SECONDS:
        sweep(folder)
        _swept[folder] = now


def _clear(path: Path, folder: bool = True) -> None:
    """Take away what stands in the place of a file: a link is never followed, whoever put it there, to what it points to."""
    if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
        path.unlink(missing_ok=True)
    elif folder and path.is_dir():
        path.rmdir()  # which holds nothing of ours


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _content(path: Path, most: int | None) -> bytes | None:
    """Return what is in a file, None if there is none; opened so that a pipe cannot hang, and read if it is not too large."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        if path.is_symlink():
            raise ValueError("it is a link to nothing") from None
        return None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("it is no file")
        if most is not None and os.fstat(handle).st_size > most:
            raise ValueError("it is larger than the file of this run can be")
        return file.read()


def _digest(arrays: dict[str, np.ndarray], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _opened(content: bytes, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and facts of a file, or raise if it is not, to the bit, one that was written for this key."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > LARGEST_HEADER:
        raise ValueError("it has no header")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    arrays = load(content)
    facts = json.loads(metadata["facts"])
    if facts["schema"] != SCHEMA:
        raise ValueError(f"it was written by schema {facts['schema']}, this is schema {SCHEMA}")
    if facts["key"] != key:
        raise ValueError("it belongs to another run")
    if _digest(arrays, metadata["facts"]) != metadata["sha256"]:
        raise ValueError("its checksum does not match")
    return arrays, facts


def _result(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> RunResult:
    prefix = "statistics/"
    statistics = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    parameters = arrays["parameters"]
    lengths = {array.shape for array in statistics.values()}
    if statistics.keys() != STATISTICS.keys() or len(lengths) != 1:
        raise ValueError("its statistics are not those of this run")
    if any(array.dtype != np.float64 for array in statistics.values()) or parameters.ndim != 1 or parameters.dtype.kind != "f":
        raise ValueError("its arrays are of another type")
    diverged, seconds = facts["diverged"], facts["seconds"]
    finite = all(np.isfinite(statistics[name]).all() for name in FINITE)
    if type(diverged) is not bool or not (diverged or finite) or not 0 <= seconds < np.inf:
        raise ValueError("it holds numbers that no run has")
    return RunResult(statistics, parameters, diverged, float(seconds))
