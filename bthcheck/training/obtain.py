"""The results of runs: read where they are finished, trained where they are not, by any number of processes at once."""

import contextlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from bthcheck.training import interrupt
from bthcheck.training.cache import Locked, RunCache, describe, form_of, key_of
from bthcheck.training.remote import Train
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.share import followed

_POLL_SECONDS = 0.05
_SAY_SECONDS = 5.0
"""How long one waits for another process in silence; from then on it is said, ever more seldom."""


class Observer(Protocol):
    """What is told of every run, possibly from several threads at once."""

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""

    # Also, if there is such a method: begin(runs: Sequence[Run], keys: Sequence[str], share: Callable[[], float]) -> None.
    # These runs are trained side by side from now on; `share()` is how much of that is done, 0 to 1, whenever it is asked.
    # And, with an executor: meet(workers: Sequence[Facts], count: int | None, name: str) -> None. These workers, of which there
    # are `count` if that is known, train what is not at hand. credit(worker: Facts | None) -> None. The run that is told of
    # next was trained by this one, or by one like this process; see `bthcheck.training.remote.facts`.

    def finish(self, run: Run, key: str, trained: bool, seconds: float) -> None:
        """A run is at hand: `trained` just now in `seconds`, or read from the cache."""

    def wait(self, sentence: str) -> None:
        """Nothing has happened for a while, because another process is at it: which run, which file, how long."""


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

    Any number of processes may do this at once on one cache: each trains what no other is training, then waits for the rest, as
    long as it takes. A lock that is held has a holder that lives, because it dies with it.

    Whoever is interrupted stops training at the next step. What was finished by then is in the cache.

    Parameters
    ----------
    train : trains runs side by side
    shards : the indices of runs that are given to `train` together; every index is in one
    """
    observer.start(len(runs))
    descriptions = [describe(run, engine, device) for run in runs]
    keys = [key_of(description) for description in descriptions]
    forms = {} if cache is None else {run.level: form_of(run) for run in {run.level: run for run in runs}.values()}
    results: dict[int, RunResult] = {}

    def read(index: int) -> RunResult | None:
        result = None if cache is None else cache.read(keys[index], forms[runs[index].level])
        if result is not None:
            observer.finish(runs[index], keys[index], False, result.seconds)
        return result

    def attempt(shard: Sequence[int]) -> dict[int, RunResult]:
        """Read or train the runs of a shard; those that another process is at are left out."""
        found = {index: result for index in shard if (result := read(index)) is not None}
        with ExitStack() as locks:
            mine = []
            for index in shard:
                if index in found:
                    continue
                if cache is not None:
                    try:
                        locks.enter_context(cache.lock(keys[index]))
                    except Locked:
                        continue
                    if (result := read(index)) is not None:  # another process has finished it since
                        found[index] = result
                        continue
                mine.append(index)
            for index, result in zip(mine, trained(mine) if mine else [], strict=True):
                if cache is not None:
                    cache.write(keys[index], result, about(runs[index], descriptions[index]))
                found[index] = result
                observer.finish(runs[index], keys[index], True, result.seconds)
        return found

    def trained(indices: Sequence[int]) -> list[RunResult]:
        with followed() as share:
            begin = getattr(observer, "begin", None)  # of `Observer`, which not everybody who writes one knows
            if begin is not None:
                begin([runs[index] for index in indices], [keys[index] for index in indices], share)
            return train([runs[index] for index in indices])

    progress = told = time.monotonic()
    pending = [list(shard) for shard in shards]
    while pending:
        before = len(results)
        with contextlib.closing(interrupt.each_done(attempt, pending, threads)) as outcomes:
            for found in outcomes:
                results.update(found)
        pending = [left for shard in pending if (left := [index for index in shard if index not in results])]
        now = time.monotonic()
        if len(results) > before:
            progress = told = now
        elif pending:
            if now - told > _SAY_SECONDS + (told - progress) / 2:
                told = now
                observer.wait(waiting(runs[pending[0][0]], keys[pending[0][0]], cache, sum(map(len, pending)), now - progress))
            time.sleep(_POLL_SECONDS)
    return [results[index] for index in range(len(runs))]


def about(run: Run, description: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry says of itself: the description that it is found by, and which level of which experiment it is."""
    return {"experiment": run.experiment.name, "vary": run.experiment.vary, "level": run.level, "description": description}


def waiting(run: Run, key: str, cache: RunCache | None, count: int, seconds: float) -> str:
    """Return a sentence on a run, and `count - 1` more, that another process has been training for `seconds`."""
    more = f" and {count - 1} more" if count > 1 else ""
    where = f"; its lock is {cache.folder / key}.lock" if cache is not None else ""
    since = time.strftime("%H:%M:%S", time.localtime(time.time() - seconds))
    held = f"for at least {seconds:.0f} s, since {since} or longer"
    return f"waiting for {run}{more}, which another process has been training {held}{where}"
