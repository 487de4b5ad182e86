"""Finished runs on disk, shared by any number of processes.

One file a run, named by a digest of everything that can change its numbers. A file is a safetensors archive: arrays and text,
nothing that could run code. A file that cannot be read back exactly as it was written counts as absent, and is said aloud.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bthcheck.checks import writable_folder
from bthcheck.training.runs import Run, RunResult

SCHEMA = 1
_POLL_SECONDS = 0.05
_DEADLINE_SECONDS = 3600.0
# Modules whose text decides a run's numbers.
_CODE = (
    "tasks.py",
    "networks.py",
    "training/statistics.py",
    "lipschitz.py",
    "training/streams.py",
    "training/runs.py",
    "training/reference.py",
    "training/fused.py",
)
_LIBRARIES = ("numpy", "torch", "numba")

Train = Callable[[Run], RunResult]


class Observer(Protocol):
    """What is told of every run, possibly from several threads at once."""

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""

    def finish(self, run: Run, key: str, trained: bool, seconds: float) -> None:
        """A run is at hand: `trained` just now in `seconds`, or read from the cache."""


def run_key(run: Run, engine: str, device: str) -> str:
    """Return the digest a run is stored under.

    It covers the run's configuration, the engine and kind of device, the text of the code that trains, and the versions of
    the libraries under it; not the experiment's name, its other levels or its other seeds.
    """
    setting = run.setting
    description = {
        "schema": SCHEMA,
        "task": [type(setting.task).__name__, asdict(setting.task)],
        "network": [type(setting.network).__name__, asdict(setting.network)],
        "training": asdict(setting.training),
        "seed": run.seed,
        "engine": engine,
        "device": device.split(":")[0],
        "code": _code_digest(),
        "libraries": _library_versions(),
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


@functools.cache
def _library_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


@functools.cache
def _code_digest() -> str:
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((package / name).read_bytes())
    return digest.hexdigest()


class RunCache:
    """A folder of finished runs.

    Raises
    ------
    ValueError
        If the folder cannot be created or written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = writable_folder("cache", folder)

    def path(self, key: str) -> Path:
        """Return the file that holds, or would hold, a run."""
        return self.folder / f"{key}.safetensors"

    def lock(self, key: str) -> FileLock:
        """Return the lock of a run; it dies with its holder, and its file means nothing."""
        return FileLock(self.folder / f"{key}.lock")

    def read(self, key: str) -> RunResult | None:
        """Return a run, or None, with a warning if a file is there but cannot be trusted."""
        path = self.path(key)
        if not path.exists():
            return None
        try:
            return _load(path, key)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            warnings.warn(f"the cached run {path} is damaged ({error}) and is trained again", stacklevel=2)
            return None

    def write(self, key: str, result: RunResult) -> None:
        """Store a run: it appears whole or not at all."""
        arrays = {f"statistics/{name}": values for name, values in result.statistics.items()}
        arrays["parameters"] = result.parameters
        facts = json.dumps({"key": key, "schema": SCHEMA, "diverged": result.diverged, "seconds": result.seconds})
        payload = save(arrays, {"facts": facts, "sha256": _digest(arrays, facts)})
        handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path(key))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _digest(arrays: dict[str, np.ndarray], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _load(path: Path, key: str) -> RunResult:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    facts = json.loads(metadata["facts"])
    if facts["schema"] != SCHEMA:
        raise ValueError(f"it was written by schema {facts['schema']}, this is schema {SCHEMA}")
    if facts["key"] != key:
        raise ValueError("it belongs to another run")
    if _digest(arrays, metadata["facts"]) != metadata["sha256"]:
        raise ValueError("its checksum does not match")
    prefix = "statistics/"
    return RunResult(
        statistics={name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)},
        parameters=arrays["parameters"],
        diverged=bool(facts["diverged"]),
        seconds=float(facts["seconds"]),
    )


def obtain(
    runs: Sequence[Run],
    train: Train,
    *,
    engine: str,
    device: str,
    cache: RunCache | None,
    threads: int,
    observer: Observer,
) -> list[RunResult]:
    """Return the results of `runs` in their order, each read from `cache` or trained and stored there.

    Any number of processes may do this at once on one cache: each trains what no other is training, then waits for the rest.
    """
    observer.start(len(runs))
    keys = [run_key(run, engine, device) for run in runs]
    results: dict[int, RunResult] = {}

    def attempt(index: int) -> RunResult | None:
        """Read or train one run; None if another process is at it."""
        run, key = runs[index], keys[index]
        if cache is None:
            result, trained = train(run), True
        else:
            found = cache.read(key)
            if found is None:
                try:
                    with cache.lock(key).acquire(timeout=0):
                        # Only if another process finished it since; the warning about a damaged file was given above.
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            found = cache.read(key)
                        result, trained = (train(run), True) if found is None else (found, False)
                        if trained:
                            cache.write(key, result)
                except Timeout:
                    return None
            else:
                result, trained = found, False
        observer.finish(run, key, trained, result.seconds)
        return result

    deadline = time.monotonic() + _DEADLINE_SECONDS
    with ThreadPoolExecutor(threads, thread_name_prefix="bthcheck") as pool:
        pending = list(range(len(runs)))
        while pending:
            for index, result in _each_done(pool, attempt, pending):
                if result is not None:
                    results[index] = result
            waiting = [index for index in pending if index not in results]
            if len(waiting) == len(pending):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{runs[waiting[0]]} has been locked by another process for an hour")
                time.sleep(_POLL_SECONDS)
            pending = waiting
    return [results[index] for index in range(len(runs))]


def _each_done(
    pool: ThreadPoolExecutor, attempt: Callable[[int], RunResult | None], indices: Sequence[int]
) -> Iterator[tuple[int, RunResult | None]]:
    """Yield (index, result) as they come; on an error or an interrupt, start nothing more."""
    futures: dict[Future[RunResult | None], int] = {pool.submit(attempt, index): index for index in indices}
    try:
        left = set(futures)
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for future in done:
                yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()
