"""The results of runs that the workers of an executor train: what is finished is read, the rest is sent, a few tasks ahead.

One thread keeps locks, sends tasks, takes in what comes back and writes it into the caller's cache; workers need no shared file
system. Not all runs are sent at once: as many as the workers can begin, and as many again so that none of them waits. So an
interrupted session leaves no queue behind, other sessions on the same workers have their turn, and a run that somebody else has
finished meanwhile is not trained again.
"""

import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from bthcheck.training import interrupt
from bthcheck.training.cache import Locked, RunCache
from bthcheck.training.desk import Desk, most_locks
from bthcheck.training.executors import Unusable, Workers, adapt, alike, differences, is_final
from bthcheck.training.obtain import Observer, waiting
from bthcheck.training.remote import Facts, Task, at_home, code_of, difference, in_a_line, train
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.statistics import STATISTICS

AHEAD = 2
"""So many tasks are with the executor for each that its workers can be at."""
AT_ONCE = 200
"""Tasks with an executor that does not say how many workers it has."""
_TRIES = 2
_LOOK_SECONDS = 0.2
_COUNT_SECONDS = 2.0
_SAY_SECONDS = 5.0

Shards = Callable[[int | None, int], Sequence[Sequence[int]]]
"""Number of workers and bytes of each → indices of runs that are trained side by side."""


class Failed(RuntimeError):
    """Training on an executor's workers ended without all results, in a sentence: which run, why, and what is kept."""


def dispatch(
    runs: Sequence[Run],
    executor: Any,
    *,
    shards: Shards,
    engine: str,
    device: str,
    cache: RunCache | None,
    observer: Observer,
) -> list[RunResult]:
    """Return the results of `runs` in their order, each read from `cache` or trained by a worker of `executor`.

    Any number of processes may do this at once on one cache, with executors or without: each trains what no other is training,
    then waits for the rest. Where everything is in the cache, the executor is not asked for anything. A run is kept under the
    libraries and the processor of the worker that trained it, and looked for under those of all workers there are.

    Parameters
    ----------
    executor : see `bthcheck.training.executors`
    shards : says which runs are sent together, once it is known who trains

    Raises
    ------
    ValueError
        If the executor or its workers cannot be used, or something of one's own cannot be sent; nothing is then trained.
    Failed
        If a run fails twice, a worker is found to have other code, or the executor dies. Runs that workers are at are waited
        for and kept.
    """
    observer.start(len(runs))
    desk = Desk(runs, engine, device, cache, observer)
    for index in range(len(runs)):
        desk.read(index)
    if len(desk.results) < len(runs):
        _train_rest(desk, adapt(executor), shards)
    return [desk.results[index] for index in range(len(runs))]


def _train_rest(desk: "Desk", workers: Workers, shards: Shards) -> None:
    expected = code_of(desk.engine)
    if expected is None:
        raise Unusable("the code of bthcheck has changed since it was imported; start Python again to use an executor")
    found = workers.ask(desk.engine, desk.device, _patient(desk.observer, workers.name))
    for one in found:
        if (why := difference(expected, one, desk.device)) is not None:
            raise Unusable(f"a worker of {workers.name} {why}")
    desk.know(found)
    for sentence in differences(_here(desk), desk.kinds):
        if getattr(desk.observer, "silent", False):
            warnings.warn(sentence, stacklevel=5)
        else:
            desk.observer.wait(sentence)
    meet = getattr(desk.observer, "meet", None)
    if meet is not None:
        meet(found, workers.count(), workers.name)
    with at_home() as home:
        crew = _Crew(desk, workers, home)
        crew.work([list(shard) for shard in shards(workers.count(), min(one["room"] for one in found))])


def _here(desk: "Desk") -> Facts:
    """Return of this process what the bits of a run depend on."""
    description = desk.descriptions[0]
    return {"libraries": description["libraries"], "machine": description["machine"]}


def _patient(observer: Observer, name: str) -> Callable[[float], None]:
    """Return what is told how long the workers have not answered, and passes it on ever more seldom."""
    said = 0.0

    def say(seconds: float) -> None:
        nonlocal said
        if seconds - said > _SAY_SECONDS + said / 2:
            said = seconds
            observer.wait(f"waiting for a worker of {name} to say what it is, for {seconds:.0f} s; its workers may be at work")

    return say


@dataclass(eq=False)
class _Flight:
    """A task that is with the executor.

    indices : of its runs
    locks : held until it is done
    begun : whether a worker is taken to be at it
    """

    indices: list[int]
    locks: ExitStack
    future: Any = None
    tries: int = 0
    begun: bool = False
    polled: bool = False


@dataclass
class _Crew:
    """Sends tasks, and takes in what comes back.

    desk : where results lie
    home : see `bthcheck.training.remote.at_home`
    fatal : why nothing more is sent, in words; None as long as all is well
    """

    desk: Desk
    workers: Workers
    home: str
    fatal: str | None = None
    _flights: list[_Flight] = field(default_factory=list)  # in the order in which workers get them
    _landed: SimpleQueue[tuple[_Flight, Any]] = field(default_factory=SimpleQueue)
    _held: deque[list[int]] = field(default_factory=deque)  # shards with a run that another process is at
    _count: int | None = None
    _counted: float = float("-inf")
    _heard: float = 0.0
    _told: float = 0.0
    _retry: float = 0.0
    _ask: float = 0.0
    _most_locks: int = field(default_factory=lambda: most_locks())
    _said: set[str] = field(default_factory=set)
    _broken: bool = False
    _unsendable: bool = False

    def work(self, shards: Sequence[list[int]]) -> None:
        """Have all shards trained that are not at hand."""
        todo = deque(shards)
        self._heard = self._told = time.monotonic()
        try:
            while todo or self._held or self._flights:
                self._send(todo)
                self._begin()
                self._await(bool(todo))
                interrupt.current().check()
                if self.fatal is not None:
                    todo.clear()
                    self._held.clear()
                elif self._held and not todo and time.monotonic() >= self._retry:
                    todo, self._held = self._held, deque()
        finally:
            self._clear()
        if self._unsendable and not self.desk.trained:
            raise Unusable(self.fatal)
        if self.fatal is not None:  # only now is it known what is kept
            raise Failed(f"{self.fatal}; {self.desk.kept()}{', with a new executor' * self._broken}")

    def _has_room(self) -> bool:
        """Whether one more task may be with the executor now."""
        now = time.monotonic()
        if now - self._counted > _COUNT_SECONDS:
            self._count, self._counted = self.workers.count(), now
        if len(self._flights) >= (AT_ONCE if self._count is None else AHEAD * self._count):
            return False
        locks = sum(len(self.desk.keys[index]) for flight in self._flights for index in flight.indices)
        if not self._flights or self.desk.cache is None or locks < self._most_locks:
            return True
        if len(self._flights) < (self._count or 0):
            self._say_once(
                f"only {len(self._flights)} of {self._count} workers are given runs, because this process may open few files"
                f" (ulimit -n is {2 * self._most_locks}) and every run in training needs one for its lock"
            )
        return False

    def _send(self, todo: deque[list[int]]) -> None:
        began = time.monotonic()
        while todo and self.fatal is None and self._has_room():
            shard = todo.popleft()
            locks = ExitStack()
            mine, held = [], []
            for index in shard:
                if self.desk.read(index):
                    continue
                try:
                    self.desk.lock(index, locks)
                except Locked:
                    held.append(index)
                    continue
                if not self.desk.read(index):  # another process has finished it since
                    mine.append(index)
            if held:
                self._held.append(held)
            if mine:
                self._submit(_Flight(mine, locks))
            else:
                locks.close()
        now = time.monotonic()
        self._retry = max(self._retry, now + max(_LOOK_SECONDS, 5 * (now - began))) if self._held else 0.0

    def _submit(self, flight: _Flight) -> None:
        runs = [self.desk.runs[index] for index in flight.indices]
        try:
            task = Task.of(runs, self.desk.engine, self.desk.device, self.home, here=self.workers.here)
            flight.future = self.workers.submit(train, task)
        except ValueError as error:
            flight.locks.close()
            if isinstance(error.__cause__, BrokenExecutor):
                self._break(error.__cause__)
            else:
                self._unsendable = not isinstance(error, Unusable)  # of something of one's own
                self._stop(str(error))
            return
        flight.tries += 1
        flight.begun = False
        self._flights.append(flight)
        future = flight.future
        flight.polled = not self.workers.notify(future, lambda: self._landed.put((flight, future)))

    def _begin(self) -> None:
        """Tell of the tasks that workers are at: as many as there are workers, the first that were sent."""
        begin = getattr(self.desk.observer, "begin", None)
        for flight in self._flights if self._count is None else self._flights[: self._count]:
            if not flight.begun:
                flight.begun = True
                if begin is not None:
                    runs, keys = self.desk.runs, self.desk.keys
                    begin([runs[i] for i in flight.indices], [keys[i][0] for i in flight.indices], lambda: 0.0)

    def _await(self, more: bool) -> None:
        """Wait a little for tasks, if there are any or `more` are to be sent, and take in all that are done."""
        polled = [flight for flight in self._flights if flight.polled]
        if polled and time.monotonic() >= self._ask:
            for flight in polled:
                if self.workers.is_done(flight.future):
                    self._landed.put((flight, flight.future))
            # Each is asked by a look into a folder, perhaps of another machine: no more than a hundred a second.
            self._ask = time.monotonic() + max(_LOOK_SECONDS, len(polled) / 100)
        block = bool(self._flights or self._held or (more and self.fatal is None))
        while True:
            try:
                flight, future = self._landed.get(timeout=_LOOK_SECONDS) if block else self._landed.get_nowait()
            except Empty:
                break
            block = False
            if flight.future is future and flight in self._flights:
                self._flights.remove(flight)
                self._heard = self._told = time.monotonic()
                self._take_in(flight)
        self._say_what_is_waited_for()

    def _take_in(self, flight: _Flight) -> None:
        answer, error = self.workers.outcome(flight.future)
        flight.future = None
        flight.begun = True  # if it was too quick to be told of
        first = self.desk.runs[flight.indices[0]]
        if isinstance(error, BrokenExecutor):
            flight.locks.close()
            self._break(error, [flight, *self._flights])
            return
        problem = in_a_line(error) if error is not None else self._keep(flight, answer)
        if problem is None:
            flight.locks.close()
        elif isinstance(answer, dict) and "refused" in answer:
            flight.locks.close()
            self._stop(f"a worker of {self.workers.name} {answer['refused']}")
        elif self.fatal is not None:
            flight.locks.close()
        elif flight.tries < _TRIES and not (error is not None and is_final(error)):
            self.desk.observer.wait(f"{first} failed on {self.workers.name} and is sent again: {problem}")
            self._submit(flight)
        else:
            flight.locks.close()
            more = f" (with {len(flight.indices) - 1} more)" if len(flight.indices) > 1 else ""
            kills = error is not None and is_final(error)
            name = self.workers.name
            how = f"killed every worker of {name} that it was given to" if kills else f"failed twice on {name}"
            short = kills or problem.startswith("MemoryError")
            remedy = "; give every worker more memory, or have fewer on a machine" if short else ""
            self._stop(f"{first}{more} {how}: {problem}{remedy}")

    def _break(self, error: BaseException, flights: Sequence[_Flight] = ()) -> None:
        """Stop, because the executor is of no more use."""
        begun = [str(self.desk.runs[index]) for flight in flights if flight.begun for index in flight.indices]
        others = f" and {len(begun) - 3} more" if len(begun) > 3 else ""
        at = f" while its workers were at {', '.join(begun[:3])}{others}" if begun else ""
        self._broken = self._broken or self.fatal is None
        self._stop(
            f"{self.workers.name} is broken, because a worker died{at} ({in_a_line(error)}); it may have been short of memory"
        )

    def _keep(self, flight: _Flight, answer: Any) -> str | None:
        """Take in what a worker returned; return what is wrong with it, or None."""
        if isinstance(answer, dict) and ("failed" in answer or "refused" in answer):
            return str(answer.get("failed", answer.get("refused")))
        try:
            results = [RunResult(*one) for one in answer["results"]]
            worker = answer["facts"]
            for index, result in zip(flight.indices, results, strict=True):
                if result.statistics.keys() != STATISTICS.keys() or type(result.diverged) is not bool:
                    raise ValueError("its statistics are not those of this run")
                if any(array.dtype != np.float64 for array in result.statistics.values()) or not result.seconds >= 0:
                    raise ValueError("its arrays are of another type")
                self.desk.forms[self.desk.runs[index].level].check(result)
            if not any(alike(worker, kind) for kind in self.desk.kinds):
                self.desk.kinds.append(worker)  # it came while the others were at work
        except Exception as error:
            return f"what came back is no result of a run ({in_a_line(error, 100)})"
        for index, result in zip(flight.indices, results, strict=True):
            self.desk.keep(index, result, worker)
        return None

    def _stop(self, why: str) -> None:
        """Send nothing more, take back what no worker has begun, and wait for the rest."""
        if self.fatal is not None:
            return
        self.fatal = why
        for flight in list(self._flights):
            queued = not flight.begun or self.workers.is_queued(flight.future)
            if queued and self.workers.cancel(flight.future):
                self._flights.remove(flight)
                flight.locks.close()
        if self._flights:
            self.desk.observer.wait(f"{why}; waiting for {sum(len(one.indices) for one in self._flights)} runs that are begun")

    def _clear(self) -> None:
        """Take back everything, keep what is done, and let go of all locks: at the end, or after an interruption."""
        if self._flights:
            futures = [flight.future for flight in self._flights]
            # A cluster may be slow to answer, and whoever interrupts is not to wait for it.
            back = Thread(target=lambda: [self.workers.cancel(future) for future in futures], daemon=True)
            back.start()
            back.join(interrupt.PATIENCE_SECONDS)
            while True:
                try:
                    flight, future = self._landed.get_nowait()
                except Empty:
                    break
                if flight in self._flights and flight.future is future:
                    answer, error = self.workers.outcome(future)
                    if error is None:
                        self._keep(flight, answer)
        for flight in self._flights:
            flight.locks.close()
        self._flights.clear()

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self.desk.observer.wait(sentence)

    def _say_what_is_waited_for(self) -> None:
        """Say it if there is nothing to do but to wait for another process, or for workers to come."""
        now = time.monotonic()
        if now - self._told <= _SAY_SECONDS + (self._told - self._heard) / 2:
            return
        desk = self.desk
        if self._held and not self._flights:
            first = self._held[0][0]
            sentence = waiting(desk.runs[first], desk.keys[first][0], desk.cache, sum(map(len, self._held)), now - self._heard)
        elif self._count == 0:
            sentence = f"{self.workers.name} has no workers; {len(desk.runs) - len(desk.results)} runs wait for some to come"
        else:
            return
        self._told = now
        desk.observer.wait(sentence)
