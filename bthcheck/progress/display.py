"""A line that changes: rewritten in place where somebody looks, elsewhere a line of its own from time to time."""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from bthcheck.text import shown

PLAIN_SECONDS = 15.0
"""Between two lines where they are not rewritten."""
DEFAULT_COLUMNS = 80


class Display(Protocol):
    """Where a line is shown."""

    @property
    def encoding(self) -> str | None:
        """Of the terminal or file; None if it is not known."""

    @property
    def width(self) -> int | None:
        """Columns that a line may have; None for any number."""

    def show(self, line: str) -> None:
        """Show a line in the place of the one before; an empty one takes it away."""

    def say(self, line: str) -> None:
        """Print a line that stays."""


class Plain:
    """Prints the line now and then, the first time when it has been there for as long.

    write : prints one line
    """

    width = None

    def __init__(self, write: Callable[[str], None], encoding: str | None = None, every: float = PLAIN_SECONDS) -> None:
        self.encoding = encoding
        self._write = write
        self._every = every
        self._since: float | None = None

    def show(self, line: str) -> None:
        """Print a line if it is time to."""
        now = time.monotonic()
        if not line:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= self._every:
            self._since = now
            self._write(line)

    def say(self, line: str) -> None:
        """Print a line."""
        self._write(line)


class Rewritten:
    """Rewrites the last line of a stream that nobody else writes to meanwhile, with no more than a carriage return."""

    def __init__(self, stream: Any, width: Callable[[], int]) -> None:
        self._stream = stream
        self._columns = width
        self._shown = 0
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str | None:
        """The stream's."""
        return getattr(self._stream, "encoding", None)

    @property
    def width(self) -> int:
        """Columns that a line may have: the last one is left free, in which some terminals break it."""
        return max(1, self._columns() - 1)

    def show(self, line: str) -> None:
        """Show a line in the place of the one before."""
        with self._lock:
            if line or self._shown:
                self._put(line, "\r" if line else f"\r{' ' * self._shown}\r")

    def say(self, line: str) -> None:
        """Print a line that stays above the one that changes."""
        with self._lock:
            self._put(shown(line, self.encoding), "\n")
            self._shown = 0

    def _put(self, line: str, end: str) -> None:
        self._stream.write(f"\r{line}{' ' * (self._shown - len(line))}{end}")
        self._stream.flush()
        self._shown = len(line)


def on(stream: Any) -> Plain | Rewritten:
    """Return how a line is shown on a stream of text, such as standard error: rewritten on a terminal and in a notebook."""
    if is_terminal(stream) or "ipykernel" in sys.modules:
        return Rewritten(stream, lambda: terminal_columns(stream))

    def write(line: str) -> None:
        stream.write(shown(line, getattr(stream, "encoding", None)) + "\n")
        stream.flush()

    return Plain(write, getattr(stream, "encoding", None))


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at a stream."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no file, or a closed one
        return False


def terminal_columns(stream: Any) -> int:
    """Return how many columns the terminal of a stream or file descriptor has."""
    try:
        number = stream if isinstance(stream, int) else stream.fileno()
        return os.get_terminal_size(number).columns or DEFAULT_COLUMNS
    except (AttributeError, OSError, ValueError):
        return DEFAULT_COLUMNS
