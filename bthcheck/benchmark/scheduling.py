"""How long many runs take on many workers: the way an executor deals them out, simulated from times of runs.

A worker takes the next run when it is free, which is greedy list scheduling (Graham, *SIAM Journal on Applied Mathematics* 17,
1969). No run is split, so that no number of workers is faster than the longest run.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

RUNS = (32, 320, 3200)
"""The paper's CIFAR experiment, and ten and a hundred times as many runs."""
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


class Costs(NamedTuple):
    """What a run costs beside its training, in seconds.

    start : until a worker can take its first run: Python, imports, machine code
    overhead : of every run on its worker: drawn data, what travels and is stored
    """

    start: float = 0.0
    overhead: float = 0.0


FREE = Costs()
"""Nothing beside the training."""


class Bounds(NamedTuple):
    """What no schedule is faster than, in seconds.

    work : all of it divided by the workers, each of which starts once
    straggler : the longest run, on a worker that began with it
    """

    work: float
    straggler: float

    @property
    def larger(self) -> float:
        """The one that counts."""
        return max(self)


def finished(times: Sequence[float], workers: int, costs: Costs = FREE) -> float:
    """Return when the last of some runs is finished that are dealt out in their order, in seconds.

    Parameters
    ----------
    times : (runs,) seconds that each trains for
    workers : how many there are from the beginning to the end

    Raises
    ------
    ValueError
        If there is no worker, or a time is negative or not finite.
    """
    _check(times, workers)
    free = [costs.start] * min(workers, len(times))  # a heap: when each worker is free
    end = 0.0
    for seconds in times:
        done = heapq.heappop(free) + costs.overhead + seconds
        end = max(end, done)
        heapq.heappush(free, done)
    return end


def bounds(times: Sequence[float], workers: int, costs: Costs = FREE) -> Bounds:
    """Return what no schedule of these runs can be faster than.

    Raises
    ------
    ValueError
        As `finished`.
    """
    _check(times, workers)
    each = np.asarray(times, float) + costs.overhead
    return Bounds(costs.start + each.sum() / workers, costs.start + float(each.max(initial=0.0)))


def useful(times: Sequence[float], costs: Costs = FREE) -> int:
    """Return from how many workers on more of them change nothing: as the straggler is met, or each run has its own.

    Raises
    ------
    ValueError
        As `finished`.
    """
    least = finished(times, max(1, len(times)), costs)
    low, high = 1, max(1, len(times))
    while low < high:  # the end does not come later with more workers, since none waits for another
        middle = (low + high) // 2
        low, high = (low, middle) if finished(times, middle, costs) <= least else (middle + 1, high)
    return low


def drawn(measured: Sequence[float], mean: float, runs: int, seed: int = 0) -> np.ndarray:
    """Return (runs,) times whose ratios to their mean are drawn from those measured, in seconds.

    Parameters
    ----------
    measured : times of runs in any unit, for their spread
    mean : the mean of a run that is longer or shorter than those, in seconds
    """
    ratios = np.asarray(measured, float) / np.mean(measured)
    return mean * np.random.default_rng(seed).choice(ratios, runs)


def curve(times: Sequence[float], workers: Iterable[int] = WORKERS, costs: Costs = FREE) -> dict[int, float]:
    """Return number of workers → when all runs are `finished`."""
    return {count: finished(times, count, costs) for count in workers}


def _check(times: Sequence[float], workers: int) -> None:
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if not np.isfinite(times).all() or (np.asarray(times) < 0).any():
        raise ValueError("times must be finite numbers of at least 0")
