"""A pseudo terminal: a process that believes somebody looks at it, and what that somebody sees."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte


class Seen:
    """What a terminal of a size has shown.

    shots : the lines of the screen, without blank ones, whenever they had changed
    lines : all lines in the end, also those that have scrolled away
    raw : every byte
    """

    def __init__(self, columns, rows):
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1.0)
        self.stream = pyte.ByteStream(self.screen)
        self.shots, self.raw, self.code = [], b"", None

    def feed(self, data):
        self.raw += data
        self.stream.feed(data)
        shot = [line.rstrip() for line in self.screen.display]
        if not self.shots or shot != self.shots[-1]:
            self.shots.append(shot)

    @property
    def lines(self):
        past = ["".join(line[i].data for i in range(self.screen.columns)).rstrip() for line in self.screen.history.top]
        return past + [line.rstrip() for line in self.screen.display]


def look_at(command, *, columns=80, rows=24, cwd=None, environment=None, timeout=120):
    """Run a command on a terminal and return what it showed."""
    seen = Seen(columns, rows)
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "CI")}
    process = subprocess.Popen(
        command, cwd=cwd, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        env={**variables, "TERM": "xterm", **(environment or {})},
    )  # fmt: skip
    os.close(terminal)
    until = time.monotonic() + timeout
    try:
        while time.monotonic() < until:
            if select.select([controller], [], [], 0.2)[0]:
                try:
                    data = os.read(controller, 65536)
                except OSError:
                    break
                if not data:
                    break
                seen.feed(data)
            elif process.poll() is not None:
                break
        seen.code = process.wait(timeout=10)
    finally:
        if process.poll() is None:
            process.kill()
        os.close(controller)
    return seen
