"""How far `bthcheck.run` is, on standard error; the observer that it has unless it is given another."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from bthcheck.progress import display
from bthcheck.progress.estimate import estimate
from bthcheck.progress.reporter import Reporter
from bthcheck.progress.wording import line

REFRESH_SECONDS = 1.0


class Bar:
    """A line with the runs that are finished and the time left; see `bthcheck.progress.estimate.estimate`.

    Parameters
    ----------
    name : of the experiment
    kinds : its number of levels
    shown : where; standard error if None
    """

    def __init__(self, name: str = "", kinds: int = 1, shown: display.Display | None = None) -> None:
        self._names = {"": name}
        self._display = display.on(sys.stderr) if shown is None else shown
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="bthcheck-bar", daemon=True)
        self._reporter = Reporter(self._log, "", kinds)

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        self._reporter.start(total)
        self._thread.start()

    def meet(self, workers: Sequence[Any], count: int | None, name: str) -> None:
        """Workers of an executor train what is not at hand."""
        self._reporter.meet(workers, count, name)

    def begin(self, runs: Sequence[Any], keys: Sequence[str], share: Callable[[], float]) -> None:
        """These runs are trained from now on."""
        self._reporter.begin(runs, keys, share)

    def finish(self, run: Any, key: str, trained: bool, seconds: float) -> None:
        """A run is at hand."""
        self._reporter.finish(run, key, trained, seconds)

    def wait(self, sentence: str) -> None:
        """Another process is at it."""
        with contextlib.suppress(OSError, ValueError):
            self._display.say(sentence)

    def close(self) -> None:
        """Take the line away."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)
            self._reporter.end()
            self._show("")

    def _log(self, event: str, **details: Any) -> None:
        with self._lock:
            self._events.append({"event": event, "at": time.monotonic(), **details})

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH_SECONDS):
            with self._lock:
                events = list(self._events)
            found = estimate(events, time.monotonic())
            self._show(line(found, self._names, self._display.width, self._display.encoding))

    def _show(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
            self._display.show(text)
