"""How training is asked to stop: between two steps, on every engine."""

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

PATIENCE_SECONDS = 1.5
"""How long threads that were asked to stop are waited for. One that compiles or draws data does not hear it at once."""
_LEFT_SECONDS = 60.0


class Interrupted(Exception):
    """Training was asked to stop before it was done."""


class Stop:
    """A request to stop, which machine code sees as well: `flag` is an array of one number, 1 from the request on."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, np.uint8)

    def request(self) -> None:
        """Ask whoever obeys this to stop."""
        self.flag[0] = 1

    def check(self) -> None:
        """Raise `Interrupted` if a stop was requested."""
        if self.flag[0]:
            raise Interrupted


_NEVER = Stop()
_thread = threading.local()


def current() -> Stop:
    """Return what training in this thread has to obey."""
    found: Stop = getattr(_thread, "stop", _NEVER)
    return found


@contextmanager
def obeying(stop: Stop) -> Iterator[None]:
    """Have training in this thread obey `stop` in the block."""
    before = current()
    _thread.stop = stop
    try:
        yield
    finally:
        _thread.stop = before


def each_done(work: Callable[[Item], Outcome], items: Sequence[Item], threads: int) -> Generator[Outcome, None, None]:
    """Do `work` on every item, in threads, and yield what comes of it as it comes.

    Whoever is interrupted while it waits, or leaves early, stops the threads: nothing more is started, and what is trained
    stops at its next step. The main thread only waits, so that it hears Ctrl-C at once whatever the others are in.
    """
    stop = Stop()
    todo, done = deque(items), SimpleQueue[tuple[Any, BaseException | None]]()

    def labour() -> None:
        _thread.stop = stop
        while not stop.flag[0]:
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                done.put((work(item), None))
            except BaseException as error:
                done.put((None, error))

    workers = [threading.Thread(target=labour, name="bthcheck", daemon=True) for _ in range(min(threads, len(items)))]
    try:
        for worker in workers:
            worker.start()
        for _ in items:
            outcome, error = done.get()
            if error is not None:
                raise error
            yield outcome
    finally:
        stop.request()
        todo.clear()
        until = time.monotonic() + PATIENCE_SECONDS
        for worker in workers:
            if worker.ident is not None:
                worker.join(max(0.0, until - time.monotonic()))
        left = [worker for worker in workers if worker.is_alive()]
        if left:
            atexit.register(_let_end, left)


def _let_end(left: Sequence[threading.Thread]) -> None:
    """Wait until threads have done what they do not stop in: a thread in machine code that Python ends aborts the process."""
    until = time.monotonic() + _LEFT_SECONDS
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))


def in_thread(work: Callable[[], Outcome]) -> Outcome:
    """Do one thing in a thread of its own, so that Ctrl-C is heard meanwhile, and return what comes of it."""
    (outcome,) = each_done(lambda _: work(), [None], 1)
    return outcome
