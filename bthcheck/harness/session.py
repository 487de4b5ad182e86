"""What the processes of one pytest session tell each other: a folder of events, read by the process that reports."""

import contextlib
import json
import os
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bthcheck.progress.reporter import Reporter
from bthcheck.report.experiments import identity


class Channel:
    """Events of all processes, one file each, so that nothing is lost with a worker that crashes.

    Each process also remembers its own, and hands them over when it is done, so that nothing is lost with the folder either.

    Parameters
    ----------
    folder : a folder that all processes of the session share
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._lines: dict[str, list[str]] = {}  # of every process that this one has heard, itself included
        self._warned = False

    def log(self, event: str, **details: Any) -> None:
        """Append an event with the time, from any thread. If the folder cannot be written, a warning says so, once."""
        line = json.dumps({"event": event, "at": time.monotonic(), **details})
        trouble = None
        with self._lock:
            self._lines.setdefault(str(os.getpid()), []).append(line)
            try:
                with (self.folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                trouble, self._warned = error if not self._warned else None, True
        if trouble is not None:
            with contextlib.suppress(Warning):  # not even where warnings are errors may this end what was computed
                warnings.warn(
                    f"progress cannot be followed because {self.folder} cannot be written: {trouble.strerror};"
                    " results are not affected",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def own(self) -> list[str]:
        """Return this process's events, as lines that another process's `hear` understands."""
        with self._lock:
            return list(self._lines.get(str(os.getpid()), []))

    def hear(self, process: str, lines: list[str]) -> None:
        """Take in all events of another process, named by its number."""
        with self._lock:
            self._lines[process] = list(lines)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return all events so far, or those of one kind."""
        with self._lock:
            lines = {process: list(heard) for process, heard in self._lines.items()}
        for path in self.folder.glob("*.jsonl"):
            if path.stem not in lines:
                with contextlib.suppress(OSError):  # the folder was deleted meanwhile
                    lines[path.stem] = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found = []
        for process in sorted(lines):
            for line in lines[process]:
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:  # cut off: its process died, or is still writing
                    continue
                if kind in (None, event["event"]):
                    found.append(event)
        return found


class RunLog(Reporter):
    """Tells a channel of every run of one experiment; the observer that `bthcheck.run` is given.

    Parameters
    ----------
    experiment : its name
    configuration : its fields, which tell it from others of that name
    """

    def __init__(self, channel: Channel, experiment: str, configuration: dict[str, Any]) -> None:
        super().__init__(channel.log, identity(configuration), max(1, len(configuration.get("levels", ()))))
        self.name = experiment
        self.configuration = configuration
        self.trainers: list[Mapping[str, Any] | None] = []
        """One worker of each kind that trained a run of it; None for this process, or one like it."""

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        about = {"name": self.name, "configuration": self.configuration}
        self.log("start", experiment=self.experiment, total=total, kinds=self.kinds, **about)

    def credit(self, worker: Mapping[str, Any] | None) -> None:
        """The run that is told of next was trained by this worker of an executor; None for one like this process."""
        known = [one and (one["libraries"], one["machine"]) for one in self.trainers]
        if (worker and (worker["libraries"], worker["machine"])) not in known:
            self.trainers.append(worker)


class ResultLog:
    """Tells a channel of every result that is kept; the listener that `bthcheck.training.kept.Keeper` is given."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def finish(self, function: str, key: str, computed: bool, seconds: float) -> None:
        """A result is at hand."""
        self._channel.log("result", function=function, key=key, computed=computed, seconds=seconds)

    def wait(self, sentence: str) -> None:
        """Another process is at it."""
        self._channel.log("wait", sentence=sentence)


@dataclass(frozen=True)
class Usage:
    """How often the cache served a session: distinct runs read, distinct runs trained, and the time that training took.

    results_read, results_computed : the same of results that are kept, such as searches and traces
    """

    hits: int
    misses: int
    seconds: float
    results_read: int = 0
    results_computed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report."""
        return {
            "from_cache": self.hits,
            "trained": self.misses,
            "training_seconds": round(self.seconds, 1),
            "results_from_cache": self.results_read,
            "results_computed": self.results_computed,
        }

    def __str__(self) -> str:
        runs = f"{self.hits} runs from the cache, {self.misses} trained in {self.seconds:.1f} s of one core"
        if not self.results_read + self.results_computed:
            return runs
        return f"{runs}; of other results {self.results_read} from the cache, {self.results_computed} computed"


def usage(channel: Channel) -> Usage:
    """Count the runs of a session. A run that one worker trained and three others read is one miss and no hit."""
    trained: dict[str, float] = {}
    read = set()
    for event in channel.events("run"):
        if event["trained"]:
            trained[event["key"]] = event["seconds"]
        else:
            read.add(event["key"])
    computed, found = set[str](), set[str]()
    for number, event in enumerate(channel.events("result")):
        key = event["key"] or f"{number}"  # of what is not kept there is none, and each is another
        (computed if event["computed"] else found).add(key)
    return Usage(len(read - trained.keys()), len(trained), sum(trained.values()), len(found - computed), len(computed))
