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
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bthcheck.checks import writable_folder
from bthcheck.training import code
from bthcheck.training.runs import Run, RunResult

SCHEMA = 1
_POLL_SECONDS = 0.05
_DEADLINE_SECONDS = 3600.0
_LIBRARIES = ("numpy", "torch", "numba")

Train = Callable[[Sequence[Run]], list[RunResult]]


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
        "code": code.digest(f"bthcheck.training.{engine}"),
        "libraries": _library_versions(),
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


@functools.cache
def _library_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


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
    shards: Sequence[Sequence[int]],
    engine: str,
    device: str,
    cache: RunCache | None,
    threads: int,
    observer: Observer,
) -> list[RunResult]:
    """Return the results of `runs` in their order, each read from `cache` or trained and stored there.

    Any number of processes may do this at once on one cache: each trains what no other is training, then waits for the rest.

    Parameters
    ----------
    train : trains runs side by side
    shards : the indices of runs that are given to `train` together; every index is in one
    """
    observer.start(len(runs))
    keys = [run_key(run, engine, device) for run in runs]
    results: dict[int, RunResult] = {}

    def attempt(shard: Sequence[int]) -> dict[int, RunResult]:
        """Read or train the runs of a shard; those that another process is at are left out."""
        found = {index: result for index in shard if cache and (result := cache.read(keys[index])) is not None}
        for index, result in found.items():
            observer.finish(runs[index], keys[index], False, result.seconds)
        with ExitStack() as locks:
            mine = []
            for index in shard:
                if index in found:
                    continue
                if cache is not None:
                    try:
                        locks.enter_context(cache.lock(keys[index]).acquire(timeout=0))
                    except Timeout:
                        continue
                    # Only if another process finished it since; the warning about a damaged file was given above.
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        result = cache.read(keys[index])
                    if result is not None:
                        found[index] = result
                        observer.finish(runs[index], keys[index], False, result.seconds)
                        continue
                mine.append(index)
            for index, result in zip(mine, train([runs[index] for index in mine]) if mine else [], strict=True):
                if cache is not None:
                    cache.write(keys[index], result)
                found[index] = result
                observer.finish(runs[index], keys[index], True, result.seconds)
        return found

    deadline = time.monotonic() + _DEADLINE_SECONDS
    with ThreadPoolExecutor(threads, thread_name_prefix="bthcheck") as pool:
        pending = [list(shard) for shard in shards]
        while pending:
            before = len(results)
            for found in _each_done(pool, attempt, pending):
                results.update(found)
            pending = [left for shard in pending if (left := [index for index in shard if index not in results])]
            if pending and len(results) == before:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{runs[pending[0][0]]} has been locked by another process for an hour")
                time.sleep(_POLL_SECONDS)
    return [results[index] for index in range(len(runs))]


def _each_done(
    pool: ThreadPoolExecutor, attempt: Callable[[Sequence[int]], dict[int, RunResult]], shards: Sequence[Sequence[int]]
) -> Iterator[dict[int, RunResult]]:
    """Yield the outcomes of attempts as they come; on an error or an interrupt, start nothing more."""
    futures = [pool.submit(attempt, shard) for shard in shards]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()
