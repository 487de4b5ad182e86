"""Executors, whoever's they are: how many workers they have, what these are, and how a task is given, watched and taken back.

Anything will do that has a method `submit` like that of `concurrent.futures.Executor`: threads, processes, loky,
`mpi4py.futures`, submitit, whose jobs have to be asked whether they are done, and Dask, by its client or ``get_executor()``.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from typing import Any

import bthcheck
from bthcheck.training.remote import ASK, Facts, in_a_line

GUARD = "a script that starts processes has to begin with: if __name__ == '__main__'"
WORKERS_SECONDS = 5.0
"""How long a Dask scheduler without workers is given for one to come."""
_LOOK_SECONDS = 0.1
_ABSENT = re.compile(r"No module named ['\"]([\w.]+)")

Say = Callable[[float], None]
"""Is told how many seconds nothing has come back."""


class Unusable(ValueError):
    """An executor cannot be used, in a sentence."""


class Workers:
    """An executor of the standard library's kind.

    Raises
    ------
    ValueError
        If it has no method `submit`.
    """

    def __init__(self, executor: Any) -> None:
        if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
            raise Unusable(
                "executor must be a concurrent.futures.Executor, or have its method submit as those of loky, mpi4py.futures,"
                f" submitit and Dask do, got {executor!r}"
            )
        self.executor = executor

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return type(self.executor).__name__

    @property
    def here(self) -> bool:
        """Whether the workers are threads of this process, to which nothing has to be sent."""
        return isinstance(self.executor, ThreadPoolExecutor)

    def count(self) -> int | None:
        """Return how many tasks it works on at once; None if it does not say."""
        for attribute in ("num_workers", "_max_workers"):  # of mpi4py; of all others
            with contextlib.suppress(Exception):
                found = getattr(self.executor, attribute)
                if type(found) is int and found > 0:
                    return found
        return None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Give it a task and return its future.

        Raises
        ------
        ValueError
            If it takes none.
        """
        try:
            return self.executor.submit(function, *arguments)
        except Exception as error:
            raise Unusable(f"{self.name} takes no tasks: {in_a_line(error)}; hand over one that is open") from error

    def ask(self, engine: str, device: str, say: Say) -> list[Facts]:
        """Return what its workers are, at least one of them; see `bthcheck.training.remote.facts`.

        It is waited for as long as it takes, in a cluster's queue too.

        Raises
        ------
        ValueError
            If they have no bthcheck, or one that does not know the question, or no worker lives to answer.
        """
        future = self.submit(eval, ASK.format(engine=engine, device=device))
        began = time.monotonic()
        try:
            while not self.is_done(future):
                time.sleep(_LOOK_SECONDS)
                say(time.monotonic() - began)
        except BaseException:
            self.cancel(future)
            raise
        value, error = self.outcome(future)
        return [self._answer(value if error is None else error)]

    def _answer(self, answer: Any) -> Facts:
        """Return what a worker says of itself, or raise `Unusable` with a sentence on why it does not."""
        if isinstance(answer, dict) and {"bthcheck", "code", "libraries", "machine", "host"} <= answer.keys():
            return answer
        if isinstance(answer, BrokenExecutor):
            raise Unusable(f"the workers of {self.name} died before they trained anything: {in_a_line(answer)}; {GUARD}")
        if not isinstance(answer, BaseException):
            raise Unusable(f"{self.name} is no executor: it was asked for the facts of a worker, and returned {answer!r:.100}")
        absent = _ABSENT.search(str(answer))
        name = absent[1] if absent else ""
        if name == "bthcheck":
            why = f"cannot import bthcheck: install there what is here, version {bthcheck.__version__}"
        elif name.startswith("bthcheck."):
            why = f"have another bthcheck, without {name}, than the {bthcheck.__version__} here; install the same on both"
        elif name:
            why = f"have bthcheck, but not {name}, which it needs; install there what is here"
        else:
            why = f"cannot say what they are: {in_a_line(answer)}"
        raise Unusable(f"the workers of {self.name} {why}")

    def notify(self, future: Any, done: Callable[[], None]) -> bool:
        """Have `done` called, from any thread, when a task is done; return False if it has to be asked by `is_done`."""
        if not callable(getattr(future, "add_done_callback", None)):
            return False
        future.add_done_callback(lambda _: done())
        return True

    def is_done(self, future: Any) -> bool:
        """Whether a task is done."""
        try:
            return bool(future.done())
        except Exception:  # of a job that is done by asking, as submitit's for debugging: `outcome` tells
            return True

    def is_queued(self, future: Any) -> bool:
        """Whether it is known that no worker has begun a task."""
        with contextlib.suppress(Exception):
            return str(getattr(future, "state", "")).upper() in ("PENDING", "QUEUED")  # of a submitit job
        return False

    def outcome(self, future: Any) -> tuple[Any, BaseException | None]:
        """Return what a task that is done returned, and what it raised."""
        try:
            error = future.exception() if callable(getattr(future, "exception", None)) else None
            return (future.result(), None) if error is None else (None, error)
        except (CancelledError, Exception) as error:
            return None, error

    def cancel(self, future: Any) -> bool:
        """Take a task back; return whether that is certain to have succeeded."""
        with contextlib.suppress(Exception):
            if callable(getattr(future, "add_done_callback", None)):
                return bool(future.cancel())
            future.cancel(check=False)  # of a submitit job: do not wait for Slurm's answer
            return True
        return False


class DaskWorkers(Workers):
    """A Dask cluster, by its client or the client's executor.

    Raises
    ------
    ValueError
        If the client is asynchronous or closed.
    """

    def __init__(self, executor: Any) -> None:
        is_client = hasattr(executor, "get_executor")
        if is_client and executor.asynchronous:
            raise Unusable("executor must be a Dask client that is not asynchronous, or its get_executor()")
        super().__init__(executor.get_executor(pure=False) if is_client else executor)
        self.client = executor if is_client else self.executor._client
        if self.client.status != "running":
            raise Unusable(f"the Dask client is {self.client.status}; hand over one that is connected")

    @property
    def name(self) -> str:
        """Dask and the address of the scheduler."""
        return f"Dask at {self.address}"

    @property
    def address(self) -> str:
        """The scheduler's."""
        return str(self.client.scheduler.address)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Give it a task and return its future."""
        if self.client.status != "running":  # it would keep the task, and try to connect again
            raise Unusable(f"the scheduler of {self.name} is gone ({self.client.status})")
        try:  # not pure: the same call is another attempt, and no copy of the first
            return self.executor.submit(function, *arguments, pure=False)
        except Exception as error:
            raise Unusable(f"{self.name} takes no tasks: {in_a_line(error)}") from error

    def count(self) -> int:
        """Return how many threads the workers have in all; 0 if there is none, or if the scheduler is gone."""
        with contextlib.suppress(Exception):
            if self.client.status == "running":
                return sum(self._threads().values())
        return 0

    def ask(self, engine: str, device: str, say: Say) -> list[Facts]:
        """Return what every worker is, whether it is at work or not.

        Raises
        ------
        ValueError
            If there is none, or one has no bthcheck, or one that does not know the question.
        """
        began = time.monotonic()
        while not self.count():  # a cluster that adapts may be at it
            if time.monotonic() - began > WORKERS_SECONDS:
                raise Unusable(f"{self.name} has no workers; start some with: dask worker {self.address} --nthreads 1")
            time.sleep(_LOOK_SECONDS)
        # Not as tasks: those would wait until a worker has time. The text is evaluated beside what it trains.
        question = ASK.format(engine=engine, device=device)
        try:
            answers = self.client.run(eval, question, workers=list(self._threads()), on_error="return")
        except Exception as error:
            raise Unusable(f"{self.name} does not answer: {in_a_line(error)}") from error
        there = [answer for answer in answers.values() if not isinstance(answer, OSError)]  # not those that died meanwhile
        return [self._answer(answer) for answer in there or answers.values()]

    def _threads(self) -> dict[str, int]:
        """Return address → threads of the workers that may be given a task."""
        chosen = self.executor._kwargs.get("workers")
        there: dict[str, int] = self.client.nthreads()
        if not chosen:
            return there
        wanted = {chosen} if isinstance(chosen, str) else set(chosen)
        return {worker: threads for worker, threads in there.items() if worker in wanted} or there  # they may be aliases


def adapt(executor: Any) -> Workers:
    """Return an executor as `bthcheck.training.dispatch` uses it.

    Raises
    ------
    ValueError
        If it is none, or not open.
    """
    if isinstance(executor, Workers):
        return executor
    is_dask = any(kind.__module__.partition(".")[0] == "distributed" for kind in type(executor).__mro__)
    return DaskWorkers(executor) if is_dask else Workers(executor)


def is_final(error: BaseException) -> bool:
    """Whether an error says that a task has already been given to several workers, all of which died of it."""
    return type(error).__name__ == "KilledWorker"


def kinds(workers: Iterable[Facts]) -> list[Facts]:
    """Return one worker of each kind that gives runs of its own bits: alike are those of the same libraries and processor."""
    found: list[Facts] = []
    for facts in workers:
        if not any(alike(facts, other) for other in found):
            found.append(facts)
    return found


def alike(one: Facts, other: Facts) -> bool:
    """Whether runs of two workers are the same to the bit, if they are with the same code."""
    return all(one[name] == other[name] for name in ("libraries", "machine"))


def differences(here: Facts, there: Sequence[Facts]) -> list[str]:
    """Return a sentence on each kind of worker that has other libraries or another processor than this process."""
    said = []
    for facts in there:
        if alike(here, facts):
            continue
        parts = [
            f"{name} {facts['libraries'].get(name)} instead of {version}"
            for name, version in here["libraries"].items()
            if facts["libraries"].get(name) != version
        ]
        if facts["machine"] != here["machine"]:
            ours, theirs = here["machine"].get("processor"), facts["machine"].get("processor")
            parts.append(f"the processor {theirs}" if ours != theirs else "other vector units, GPU or settings of libraries")
        said.append(
            f"workers on {facts['host']} have {', '.join(parts)}: their runs may differ in the last digits from those trained"
            " here, and are kept as theirs"
        )
    return said
