"""What the processes of one pytest session tell each other: a folder of events, read by the process that reports."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bthcheck.training.runs import Run


class Channel:
    """Events of all processes, one file each, so that nothing is lost with a worker that crashes.

    Parameters
    ----------
    folder : a folder that all processes of the session share
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def log(self, event: str, **details: Any) -> None:
        """Append an event; safe from any thread or process."""
        line = json.dumps({"event": event, **details}) + "\n"
        with self._lock, (self.folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return all events so far, or those of one kind."""
        found = []
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:  # cut off: its process died, or is still writing
                    continue
                if kind in (None, event["event"]):
                    found.append(event)
        return found


@dataclass(frozen=True)
class RunLog:
    """Tells a channel of every run of one experiment; the observer that `bthcheck.run` is given."""

    channel: Channel
    experiment: str

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        self.channel.log("start", experiment=self.experiment, total=total)

    def finish(self, run: "Run", key: str, trained: bool, seconds: float) -> None:
        """A run is at hand."""
        self.channel.log("run", experiment=self.experiment, key=key, trained=trained, seconds=seconds)


@dataclass(frozen=True)
class Usage:
    """How often the cache served a session: distinct runs read, distinct runs trained, and the time that training took."""

    hits: int
    misses: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report."""
        return {"from_cache": self.hits, "trained": self.misses, "training_seconds": round(self.seconds, 1)}

    def __str__(self) -> str:
        return f"{self.hits} runs from the cache, {self.misses} trained in {self.seconds:.1f} s of one core"


def usage(channel: Channel) -> Usage:
    """Count the runs of a session. A run that one worker trained and three others read is one miss and no hit."""
    trained: dict[str, float] = {}
    read = set()
    for event in channel.events("run"):
        if event["trained"]:
            trained[event["key"]] = event["seconds"]
        else:
            read.add(event["key"])
    return Usage(len(read - trained.keys()), len(trained), sum(trained.values()))


class ProgressMonitor:
    """Prints how far training is while it takes place, in whichever processes it does.

    Parameters
    ----------
    write : prints one line
    interval : seconds between lines
    """

    def __init__(self, channel: Channel, write: Callable[[str], None], interval: float = 2.0) -> None:
        self._channel = channel
        self._write = write
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._shown: dict[str, int] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()
        if self._thread.ident is not None:  # pytest starts no session for a plugin that it finds while it collects
            self._thread.join(timeout=5)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            for line in self.lines():
                self._write(line)

    def lines(self) -> list[str]:
        """Return a line for every experiment that trained something since the last call."""
        totals = {event["experiment"]: event["total"] for event in self._channel.events("start")}
        done: dict[str, set[str]] = {name: set() for name in totals}
        trained: dict[str, set[str]] = {name: set() for name in totals}
        for event in self._channel.events("run"):
            done[event["experiment"]].add(event["key"])
            if event["trained"]:
                trained[event["experiment"]].add(event["key"])
        lines = []
        for name, total in totals.items():
            if len(trained[name]) > self._shown.get(name, 0):
                self._shown[name] = len(trained[name])
                lines.append(f"training {name}: {len(done[name])} of {total} runs")
        return lines
