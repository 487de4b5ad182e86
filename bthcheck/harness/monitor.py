"""Tells the terminal of a session how far training is, in whichever processes it takes place."""

import contextlib
import threading
import time
from collections.abc import Callable

from bthcheck.harness.session import Channel
from bthcheck.progress import attacks
from bthcheck.progress.display import Display
from bthcheck.progress.estimate import estimate
from bthcheck.progress.wording import line
from bthcheck.report.experiments import told_apart

_LEAST_REST = 50
"""How many times as long as a look took the next one is waited for: of a session of thousands of runs there is much to read."""


class ProgressMonitor:
    """Shows a line while something is trained; see `bthcheck.progress.estimate.estimate` for what the time left is.

    Parameters
    ----------
    channel : what the processes of the session say
    interval : seconds between two looks at it
    clock : of the events
    """

    def __init__(self, channel: Channel, interval: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = channel
        self._interval = interval
        self._clock = clock
        self._stop = threading.Event()
        self._display: Display | None = None
        self._thread = threading.Thread(target=self._watch, name="bthcheck-monitor", daemon=True)
        self._waits: set[str] = set()

    def start(self, display: Display | None) -> None:
        """Begin to watch, if there is somewhere to show it."""
        self._display = display
        if display is not None:
            self._thread.start()

    def stop(self) -> None:
        """Watch no longer, and take the line away."""
        self._stop.set()
        if self._thread.ident is not None:  # pytest starts no session for a plugin that it finds while it collects
            self._thread.join(timeout=5)
            with contextlib.suppress(OSError, ValueError):
                if self._display is not None:
                    self._display.show("")

    def _watch(self) -> None:
        pause = self._interval
        while not self._stop.wait(pause):
            began = time.thread_time()
            with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
                self.look()
            pause = max(self._interval, _LEAST_REST * (time.thread_time() - began))

    def look(self) -> None:
        """Show how far training is now, and say what is waited for and was not said before."""
        display = self._display
        if display is None:
            return
        events = self._channel.events()
        # They come process by process, so that a new one may stand before those that were shown.
        waits = dict.fromkeys(event["sentence"] for event in events if event["event"] == "wait")
        for sentence in [sentence for sentence in waits if sentence not in self._waits]:
            self._waits.add(sentence)
            display.say(sentence)
        starts = {event["experiment"]: event for event in events if event["event"] == "start"}
        names = dict(zip(starts, told_apart(list(starts.values())), strict=True))
        now, shape = self._clock(), (display.width, display.encoding)
        display.show(attacks.line(events, now, *shape) or line(estimate(events, now), names, *shape))
