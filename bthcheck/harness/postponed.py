"""An interrupt while the report is written: the first waits until it is, a second one ends that too."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def postponed() -> Iterator[list[int]]:
    """Note the first Ctrl-C of the block instead of raising ``KeyboardInterrupt``; a second one raises it.

    Yields a list that holds something once there was one. Where this is not the main thread, interrupts are as ever.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
