"""What a folder of many finished runs costs who looks something up in it, lists it or prunes it.

Times are those of the processor. What a session does for every run must not grow with the folder; who lists it reads the
beginning of every file.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bthcheck.experiments import SINUSOIDS

CONSTANT = ("open the cache again", "a run that is there", "a run that is not")
"""What must take no longer with more entries."""
LINEAR = ("open the cache for the first time", "bthcheck cache", "bthcheck cache prune")
"""What may take time in proportion to them."""
_LOOKED_UP = 200
_EXPERIMENTS = 20


def measured(entries: int) -> dict[str, float]:
    """Return what is done → seconds of the processor, with this many entries; a listing is a process, without its imports."""
    from bthcheck.training import cache

    with tempfile.TemporaryDirectory(prefix="bthcheck-benchmark-") as name:
        folder = Path(name)
        keys = fill(folder, entries)
        some = [keys[place] for place in np.random.default_rng(0).integers(0, entries, _LOOKED_UP)]
        cache._swept.clear()
        found = {name: _seconds(lambda: cache.RunCache(folder), 1) for name in (LINEAR[0], CONSTANT[0])}
        store = cache.RunCache(folder)
        assert store.read(some[0]) is not None
        looked_up = iter(some)
        found[CONSTANT[1]] = _seconds(lambda: store.read(next(looked_up)), len(some))
        absent = iter(key[::-1] for key in some)
        found[CONSTANT[2]] = _seconds(lambda: store.read(next(absent)), len(some))
        empty = folder / "empty"
        empty.mkdir()
        prune = ("prune", "--keep", str(entries // 2), "--dry-run")
        for what, arguments in zip(LINEAR[1:], ((), prune), strict=True):
            found[what] = max(0.0, _process(folder, *arguments) - _process(empty, *arguments))
    return found


def fill(folder: Path, entries: int) -> list[str]:
    """Write finished runs of made-up numbers, as real in all else; return their keys."""
    from bthcheck.training.cache import RunCache, describe, key_of
    from bthcheck.training.obtain import about
    from bthcheck.training.runs import Run, RunResult
    from bthcheck.training.statistics import STATISTICS

    store, numbers, keys = RunCache(folder), np.random.default_rng(0), []
    with _unsynced():
        for place in range(entries):
            experiment = SINUSOIDS.replace(epochs=2 + place % _EXPERIMENTS, seeds=(place,))
            run = Run(experiment, 0.5, place)
            description = describe(run, "fused", "cpu")
            statistics = {name: numbers.random(run.setting.training.rows) for name in STATISTICS}
            keys.append(key_of(description))
            store.write(keys[-1], RunResult(statistics, numbers.random(64, "float32"), False, 0.1), about(run, description))
    return keys


@contextmanager
def _unsynced() -> Iterator[None]:
    """Have files not reach the disk at once: it makes no difference to who looks them up, and takes an hour of 20 000."""
    sync, os.fsync = os.fsync, lambda fd: None
    try:
        yield
    finally:
        os.fsync = sync


def _seconds(action: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - start) / times


def _process(folder: Path, *arguments: str) -> float:
    """Return the seconds of the processor that ``bthcheck cache`` takes in a process of its own."""
    before = os.times()
    command = [sys.executable, "-m", "bthcheck", "cache", *arguments, "--cache-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
