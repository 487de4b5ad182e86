"""A pytest plugin, for sessions that are to fail: it strikes once, in the process and at the place that a variable names.

``{"where": "training", "who": "gw0", "number": 2, "signal": 9, "after": 0.05}`` sends SIGKILL to the worker gw0, 0.05 seconds
after it began to train its second run; with ``"delete": FOLDER`` in the place of a signal, that is removed.
"""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bthcheck.benchmark.faults.sessions import FAULT

HERE = "controller"
PLACES = (
    "training",
    "half a file",
    "a file without its name",
    "a file with its name",
    "holding a lock",
    "reported",
    "half a report",
)
"""Where one can strike: while a run is trained, an entry or a report is written, a lock is held; when a claim has reported."""


def pytest_configure() -> None:
    prepare()


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "teardown" and _who() == HERE:
        _reached("reported")


def prepare() -> None:
    """Have this process strike where it is told to, and note the runs that it has stored."""
    from bthcheck.report import page
    from bthcheck.training import cache, reference

    train, write, lock, page_write = reference.train, cache.RunCache.write, cache.RunCache.lock, page.write_whole

    def training(*arguments: Any) -> Any:
        _reached("training")
        return train(*arguments)

    def storing(self: cache.RunCache, key: str, *arguments: Any) -> None:
        write(self, key, *arguments)
        with Path(_fault()["folder"], "finished").open("a", encoding="utf-8") as file:
            file.write(key + "\n")

    @contextlib.contextmanager
    def locking(self: cache.RunCache, key: str) -> Iterator[None]:
        with lock(self, key):
            _reached("holding a lock")
            yield

    reference.train, cache.RunCache.write, cache.RunCache.lock = training, storing, locking  # type: ignore[assignment]
    vars(cache)["write_whole"] = _writing(cache.write_whole, "half a file")
    vars(page)["write_whole"] = _writing(page_write, "half a report")


def _writing(write: Callable[[Any, Any], None], half: str) -> Callable[[Any, Any], None]:
    from bthcheck import files

    def writing(path: Any, content: Any) -> None:
        where = _fault().get("where", "")
        if where == half and _is_due(half):
            data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
            files.temporary(Path(path).parent).write_bytes(data[: len(data) // 2])
            _strike()
        if where == "a file without its name" and _is_due(where):
            os.fsync = lambda _: _strike()  # type: ignore[assignment]
        write(path, content)
        _reached("a file with its name")

    return writing


_counts: dict[str, int] = {}


def _fault() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(os.environ.get(FAULT, "{}"))
    return found


def _who() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", HERE)


def _is_due(where: str) -> bool:
    fault = _fault()
    if fault.get("where") != where or fault.get("who", HERE) != _who():
        return False
    _counts[where] = _counts.get(where, 0) + 1
    return bool(_counts[where] == fault.get("number", 1))


def _reached(where: str) -> None:
    if _is_due(where):
        after = float(_fault().get("after", 0))
        if after:
            threading.Timer(after, _strike).start()
        else:
            _strike()


def _strike() -> None:
    fault = _fault()
    Path(fault["folder"], "struck").touch()
    if "delete" in fault:
        shutil.rmtree(fault["delete"], ignore_errors=True)
        return
    if fault.get("group"):
        os.killpg(os.getpgid(0), fault["signal"])
    else:
        os.kill(os.getpid(), fault["signal"])
    if fault["signal"] == signal.SIGKILL:
        time.sleep(60)  # which does not come to pass
