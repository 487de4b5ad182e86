"""How far training is, and a count of what is finished."""

from typing import TYPE_CHECKING

from bthcheck.progress.bar import Bar

if TYPE_CHECKING:
    from bthcheck.training.runs import Run


class Progress(Bar):
    """A line with the time left that also counts; the observer that `bthcheck.run` is given.

    Attributes
    ----------
    total, read, trained : runs in all, read from the cache, and trained just now
    seconds : time that those trained took, of one core
    """

    def __init__(self, name: str = "", kinds: int = 1) -> None:
        super().__init__(name, kinds)
        self.total = self.read = self.trained = 0
        self.seconds = 0.0

    @property
    def finished(self) -> int:
        """Runs that are at hand."""
        return self.read + self.trained

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        self.total = total
        super().start(total)

    def finish(self, run: "Run", key: str, trained: bool, seconds: float) -> None:
        """A run is at hand."""
        with self._lock:
            if trained:
                self.trained += 1
                self.seconds += seconds
            else:
                self.read += 1
        super().finish(run, key, trained, seconds)
