"""How far training is, on a terminal; elsewhere nothing is printed but what is waited for."""

import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from bthcheck.characters import visible

if TYPE_CHECKING:
    from bthcheck.training.runs import Run

_REFRESH_SECONDS = 1.0


class Progress:
    """A bar with the time left, and a count of what is finished; the observer that `bthcheck.run` is given.

    Attributes
    ----------
    total, read, trained : runs in all, read from the cache, and trained just now
    seconds : time that those trained took, of one core
    """

    def __init__(self) -> None:
        self.total = self.read = self.trained = 0
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._bar: Any = None

    @property
    def finished(self) -> int:
        """Runs that are at hand."""
        return self.read + self.trained

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        self.total = total
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc="training", unit="run", leave=False, file=sys.stderr, smoothing=0)
            threading.Thread(target=self._tick, daemon=True).start()

    def finish(self, run: "Run", key: str, trained: bool, seconds: float) -> None:
        """A run is at hand."""
        with self._lock:
            if trained:
                self.trained += 1
                self.seconds += seconds
            else:
                self.read += 1
            if self._bar is not None:
                self._bar.initial += not trained  # what was read says nothing of how long the others take
                self._bar.update()

    def wait(self, sentence: str) -> None:
        """Another process is at it."""
        if self._bar is not None:
            self._bar.write(visible(sentence), file=sys.stderr)
        else:
            click.echo(visible(sentence), err=True)

    def close(self) -> None:
        """Take the bar away."""
        self._closed.set()
        if self._bar is not None:
            self._bar.close()

    def _tick(self) -> None:
        """Show that time passes also while no run ends."""
        while not self._closed.wait(_REFRESH_SECONDS):
            with self._lock:
                self._bar.refresh()
