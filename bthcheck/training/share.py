"""How much of what a thread trains is done: an engine says where to look, and whoever asked looks whenever it likes.

Looking costs the training nothing: it reads a counter, or which rows of a table are filled.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

_thread = threading.local()


class Share:
    """The share of a training that is done, 0 to 1; call it from any thread."""

    def __init__(self) -> None:
        self._look: Callable[[], float] = lambda: 0.0

    def __call__(self) -> float:
        """Return the share."""
        return min(1.0, max(0.0, self._look()))

    def follow(self, look: Callable[[], float]) -> None:
        """Take the share from `look` from now on."""
        self._look = look


@contextmanager
def followed() -> Iterator[Share]:
    """Yield the share of what this thread trains in the block."""
    share = Share()
    before = getattr(_thread, "share", None)
    _thread.share = share
    try:
        yield share
    finally:
        _thread.share = before


def follow(look: Callable[[], float]) -> None:
    """Say where to look how much of what this thread trains is done; whether anybody does is not the caller's concern."""
    share: Share | None = getattr(_thread, "share", None)
    if share is not None:
        share.follow(look)


def follow_rows(column: np.ndarray) -> None:
    """Say that so much is done as there are numbers in a column of NaN, which fills from the top.

    Parameters
    ----------
    column : (rows,) float64, of a statistic that every row has
    """
    follow(lambda: 1.0 - float(np.isnan(column).mean()))
