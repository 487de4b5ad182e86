"""The terminal that pytest prints to, and a line below what it prints.

While a test runs in this process pytest has put a file in the place of standard output, so that the line goes to a copy of the
descriptor that was made before. On a terminal it stands below what pytest has printed and the cursor goes back to where pytest
left it; whatever pytest writes takes it away first. So nothing of pytest's moves, and a process that dies leaves nothing odd.
Elsewhere it is a line of its own every 15 seconds: also where tests print what they like, with ``-s``.
"""

import contextlib
import os
import threading
from typing import Any

import pytest

from bthcheck.progress.display import Plain, terminal_columns
from bthcheck.text import shown

CLEAR_BELOW = "\x1b[J"
CLEAR_LINE = "\x1b[2K"
UP = "\x1b[A"


def screen_of(config: pytest.Config) -> "Screen | None":
    """Return where a session shows how far it is; None if it prints nothing at all, or to nothing that has a descriptor."""
    terminal: Any = config.pluginmanager.getplugin("terminalreporter")
    try:
        descriptor = os.dup(terminal._tw._file.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    own_output = config.getoption("capture", "fd") in ("no", "tee-sys") and not config.pluginmanager.hasplugin("dsession")
    can_move = os.name == "posix" and os.environ.get("TERM", "dumb") != "dumb"
    return Screen(terminal, descriptor, live=os.isatty(descriptor) and can_move and not own_output)


class Screen:
    """Where a session shows how far it is, below what pytest's terminal reporter prints.

    Parameters
    ----------
    terminal : the reporter
    descriptor : of the terminal or file that it writes to; closed by `close`
    live : whether the line is rewritten in place
    """

    def __init__(self, terminal: Any, descriptor: int, *, live: bool) -> None:
        self._terminal = terminal
        self._descriptor = descriptor
        self._live = live
        self._lock = threading.RLock()
        self._line = ""
        self._paused = False
        self._plain = Plain(self.say)
        self._file = terminal._tw._file
        if live:
            terminal._tw._file = _Clearing(self._file, self)

    @property
    def encoding(self) -> str | None:
        """The terminal's."""
        return getattr(self._file, "encoding", None)

    @property
    def width(self) -> int | None:
        """Columns that the line may have; None where it may have any length."""
        return max(1, terminal_columns(self._descriptor) - 1) if self._live else None

    def show(self, line: str) -> None:
        """Show a line in the place of the one before, or print it if it is time to."""
        with self._lock:
            if self._paused:
                return
            if not self._live:
                self._plain.show(line)
            elif not line:
                self.clear()
            elif line != self._line:
                self._draw(line)

    def say(self, line: str) -> None:
        """Print a line that stays, on a line of its own."""
        with self._lock:
            if self._paused:
                return
            self.clear()
            self._write(("\n" if self._terminal._tw.width_of_current_line else "") + shown(line, self.encoding) + "\n")
            self._terminal._tw._current_line = ""
            self._terminal.currentfspath = None  # pytest prints the name of the file again

    def clear(self) -> None:
        """Take the line away."""
        with self._lock:
            if self._line:
                self._write(CLEAR_BELOW)
                self._line = ""

    def pause(self, paused: bool) -> None:
        """Leave the terminal to somebody else, or take it back."""
        with self._lock:
            self.clear()
            self._paused = paused

    def close(self) -> None:
        """Leave the terminal for good."""
        with self._lock:
            with contextlib.suppress(OSError):
                self.clear()
            self._paused = True
            if self._live:
                self._terminal._tw._file = self._file
                self._live = False
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def write_for(self, file: Any, text: str) -> Any:
        """Write what pytest prints, after the line is taken away."""
        with self._lock:
            with contextlib.suppress(OSError):
                self.clear()
            written = file.write(text)
            file.flush()  # what is still in the file's memory has moved no cursor
            return written

    def _draw(self, line: str) -> None:
        column = self._terminal._tw.width_of_current_line
        inside = column % terminal_columns(self._descriptor)
        if column and not inside:
            return  # it is not known whether the cursor has left the line that is just full
        self._write(f"\n{CLEAR_LINE}{line}{UP}\x1b[{inside + 1}G" if column else f"{CLEAR_LINE}{line}\r")
        self._line = line

    def _write(self, text: str) -> None:
        content = text.encode(self.encoding or "utf-8", "backslashreplace")
        while content:
            content = content[os.write(self._descriptor, content) :]


class _Clearing:
    """The file that pytest writes to, with a line below it."""

    def __init__(self, file: Any, screen: Screen) -> None:
        self._file = file
        self._screen = screen

    def write(self, text: str) -> Any:
        return self._screen.write_for(self._file, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
