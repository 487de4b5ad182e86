"""Where results lie that workers train: in memory, and in the cache under the keys of all who might have trained them."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bthcheck.training.cache import Form, RunCache, describe, form_of, key_of
from bthcheck.training.executors import kinds
from bthcheck.training.obtain import Observer, about
from bthcheck.training.remote import Facts
from bthcheck.training.runs import Run, RunResult


class Desk:
    """Results of runs, and what is known of them before.

    descriptions : of every run, with the libraries and the processor of this machine
    keys : of every run; the first is that of this machine, by which a run is called whoever trains it
    kinds : one worker of each kind that may have trained them
    results : index of a run → what came of it
    trained : how many of them were trained just now
    """

    def __init__(self, runs: Sequence[Run], engine: str, device: str, cache: RunCache | None, observer: Observer) -> None:
        self.runs, self.engine, self.device, self.cache, self.observer = runs, engine, device, cache, observer
        self.descriptions = [describe(run, engine, device) for run in runs]
        self.keys = [[key_of(description)] for description in self.descriptions]
        self.forms: dict[Any, Form] = {run.level: form_of(run) for run in {run.level: run for run in runs}.values()}
        self.results: dict[int, RunResult] = {}
        self.kinds: list[Facts] = []
        self.trained = 0

    def know(self, workers: Sequence[Facts]) -> None:
        """Look for runs from now on under the keys of these workers, too."""
        self.kinds = kinds(workers)
        for index in range(len(self.runs)):
            own = [key_of(self._of(index, kind)) for kind in self.kinds]
            self.keys[index] = list(dict.fromkeys([self.keys[index][0], *own]))

    def _of(self, index: int, worker: Facts) -> dict[str, Any]:
        return {**self.descriptions[index], "libraries": worker["libraries"], "machine": worker["machine"]}

    def read(self, index: int) -> bool:
        """Take a run out of the cache; return whether it is at hand."""
        if index in self.results:
            return True
        if self.cache is None:
            return False
        form = self.forms[self.runs[index].level]
        for number, key in enumerate(self.keys[index]):
            result = self.cache.read(key, form)
            if result is not None:
                self._put(index, result, False, self.kinds[number - 1] if number else None)
                return True
        return False

    def lock(self, index: int, locks: ExitStack) -> None:
        """Lock a run whoever would train it; raise `Locked` if another process is at it."""
        if self.cache is not None:
            with ExitStack() as mine:
                for key in sorted(self.keys[index]):
                    mine.enter_context(self.cache.lock(key))
                locks.push(mine.pop_all())

    def keep(self, index: int, result: RunResult, worker: Facts) -> None:
        """Take in a run that a worker has trained just now."""
        description = self._of(index, worker)
        if self.cache is not None:
            self.cache.write(key_of(description), result, about(self.runs[index], description))
        self.trained += 1
        self._put(index, result, True, worker)

    def _put(self, index: int, result: RunResult, trained: bool, worker: Facts | None) -> None:
        self.results[index] = result
        credit = getattr(self.observer, "credit", None)
        if credit is not None:
            credit(worker)
        self.observer.finish(self.runs[index], self.keys[index][0], trained, result.seconds)

    def kept(self) -> str:
        """Return what there is of an experiment that is not complete, as the end of a sentence."""
        if self.cache is None:
            return f"the {self.trained} runs that are trained are lost, because there is no cache; name one to go on from there"
        return f"{len(self.results)} of {len(self.runs)} runs are kept in {self.cache.folder}; the same call goes on from there"


def most_locks() -> int:
    """Return how many locks this process may hold: each is an open file, and half of those it may open are for others."""
    try:
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    except (ImportError, OSError, ValueError):
        return 10**6
    return soft // 2 if soft > 0 else 10**6
