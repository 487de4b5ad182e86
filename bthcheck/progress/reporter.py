"""Turns what `bthcheck.run` tells its observer into the events that `bthcheck.progress.estimate` reads."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LOOK_SECONDS = 1.0
"""How often a process looks how far the runs are that it trains."""
SAY_SECONDS = 2.0
"""How often it says so in the beginning; later whenever a run has become a twentieth older."""

Log = Callable[..., None]
"""Takes the name of an event and its details, and adds when it was."""


@dataclass
class _Training:
    began: float
    share: Callable[[], float]
    said: float


@dataclass
class Reporter:
    """Observer of one experiment, from any number of threads.

    log : takes the events
    experiment : a key that tells it from others
    kinds : its number of levels
    """

    log: Log
    experiment: str
    kinds: int = 1
    _training: dict[str, _Training] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looking: bool = False

    def start(self, total: int) -> None:
        """`total` runs are about to be read or trained."""
        self.log("start", experiment=self.experiment, total=total, kinds=self.kinds)

    def meet(self, workers: Sequence[Mapping[str, Any]], count: int | None, name: str) -> None:
        """Workers of an executor train what is not at hand: `count` side by side, as far as that is known."""
        self.log("workers", experiment=self.experiment, count=count, name=name, workers=grouped(workers))

    def begin(self, runs: Sequence[Any], keys: Sequence[str], share: Callable[[], float]) -> None:
        """These runs are trained side by side from now on; `share` says, whenever it is asked, how much of it is done."""
        self.log("train", experiment=self.experiment, keys=list(keys), kinds=[kind_of(run) for run in runs])
        now = time.monotonic()
        with self._lock:
            self._training[keys[0]] = _Training(now, share, now)
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look, name="bthcheck-progress", daemon=True).start()

    def finish(self, run: Any, key: str, trained: bool, seconds: float) -> None:
        """A run is at hand."""
        with self._lock:
            self._training.pop(key, None)
        self.log("run", experiment=self.experiment, key=key, kind=kind_of(run), trained=trained, seconds=seconds)

    def wait(self, sentence: str) -> None:
        """Another process is at it."""
        self.log("wait", sentence=sentence)

    def end(self) -> None:
        """All runs are at hand, or none of the others will be."""
        with self._lock:
            self._training.clear()
        self.log("end", experiment=self.experiment)

    def _look(self) -> None:
        """Say from time to time how much is done, as long as anything is being trained."""
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            with self._lock:
                if not self._training:
                    self._looking = False
                    return
                due = {
                    key: one.share
                    for key, one in self._training.items()
                    if now - one.said >= max(SAY_SECONDS, (now - one.began) / 20)
                }
                for key in due:
                    self._training[key].said = now
            for key, share in due.items():
                self.log("share", key=key, share=share())


def grouped(workers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry for workers that are alike, as plain values: how many there are, on which host, and what they have."""
    found: list[dict[str, Any]] = []
    for worker in workers:
        machine = worker["machine"]
        about = {
            "host": worker["host"],
            "processor": machine.get("processor"),
            **({"GPU": machine["GPU"]} if "GPU" in machine else {}),
            "libraries": {**worker["libraries"], "bthcheck": worker["bthcheck"]},
        }
        same = next((entry for entry in found if {**entry, "count": 1} == {**about, "count": 1}), None)
        if same is None:
            found.append({**about, "count": 1})
        else:
            same["count"] += 1
    return found


def kind_of(run: Any) -> str:
    """Return which level of its experiment a run is of: its number."""
    if run is None:
        return ""
    levels = list(run.experiment.levels)
    return str(levels.index(run.level)) if run.level in levels else ""
