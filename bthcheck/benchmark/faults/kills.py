"""Processes that are killed or interrupted at any moment, and what the next session finds."""

import random
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bthcheck.benchmark.faults.sessions import RUNS, Outcome, Place, place, session

KILL, INTERRUPT = int(signal.SIGKILL), int(signal.SIGINT)


@dataclass(frozen=True)
class Kind:
    """A way to end a session.

    fault : what is told to `striking`; `number` and `after` are drawn
    arguments : of pytest
    latest : the last run, entry or report that may be struck at
    script : whether it is a plain script instead
    report : whether a report has to be there afterwards that says so
    """

    name: str
    fault: dict[str, Any]
    arguments: tuple[str, ...] = ("-n", "0")
    latest: int = 4
    script: bool = False
    report: bool = False


_WORKER: dict[str, Any] = {"who": "gw0", "signal": KILL}
_TWO = ("-n", "2")
_IN_ORDER = (*_TWO, "--dist", "worksteal")  # the claim that trains nothing is reported while the others train
KINDS = (
    Kind("SIGKILL of a worker while it trains", _WORKER | {"where": "training"}, _TWO, 2),
    Kind("SIGKILL of a worker while it writes an entry", _WORKER | {"where": "half a file"}, _TWO, 2),
    Kind("SIGKILL of a worker before an entry has its name", _WORKER | {"where": "a file without its name"}, _TWO, 2),
    Kind("SIGKILL of a worker while it holds a lock", _WORKER | {"where": "holding a lock"}, _TWO, 2),
    Kind("SIGKILL of the only process while it trains", {"where": "training", "signal": KILL}, report=True),
    Kind(
        "SIGKILL of the only process once an entry has its name", {"where": "a file with its name", "signal": KILL}, report=True
    ),
    Kind("SIGKILL of the process that reports, with workers", {"where": "reported", "signal": KILL}, _IN_ORDER, 1, report=True),
    Kind("SIGKILL while the report is written", {"where": "half a report", "signal": KILL}, latest=1),
    Kind("Ctrl-C, -n 0", {"where": "training", "signal": INTERRUPT}, report=True),
    Kind("Ctrl-C in a terminal, -n 2", {"where": "reported", "signal": INTERRUPT, "group": True}, _IN_ORDER, 1, report=True),
    Kind("SIGINT of the process that reports, -n 2", {"where": "reported", "signal": INTERRUPT}, _IN_ORDER, 1, report=True),
    Kind("SIGKILL of a script that calls bthcheck.run", {"where": "training", "signal": KILL}, script=True),
    Kind("Ctrl-C in a script that calls bthcheck.run", {"where": "training", "signal": INTERRUPT}, script=True),
)


@dataclass(frozen=True)
class Trial:
    """What became of one fault.

    struck : whether it happened: a session may be over before
    lost : finished runs that the next session trained again
    wrong : runs and claims of which the next session says something else than an undisturbed one
    left : temporary files and folders after it
    unsaid : what ought to have been said and was not, or how a session ended that ought not have
    """

    struck: bool = True
    lost: int = 0
    wrong: int = 0
    left: int = 0
    unsaid: str = ""


def undisturbed() -> Place:
    """Return the place of a session to which nothing happens; in a folder that is the caller's to remove."""
    at = place(Path(tempfile.mkdtemp(prefix="faults-")) / "undisturbed")
    outcome = session(at, "-n", "0")
    if outcome.code not in (0, 1) or len(at.digests()) != RUNS:  # six runs decide little
        raise RuntimeError(f"the undisturbed session failed:\n{outcome.text}")
    return at


def trial(kind: Kind, seed: int, reference: Place) -> Trial:
    """End a session in this way at a moment drawn from a seed, run another, and compare with one to which nothing happened."""
    draw = random.Random(f"{kind.name} {seed}")
    after = round(draw.uniform(0.001, 0.12), 4) if kind.fault["where"] == "training" else 0
    if kind.fault["where"] == "reported":
        after = round(draw.uniform(0.01, 0.3), 4)  # what is left of the session takes half a second
    fault = kind.fault | {"number": draw.randint(1, kind.latest), "after": after}
    at = place(Path(tempfile.mkdtemp(dir=reference.folder.parent)) / "disturbed")
    ended = session(at, *kind.arguments, fault=fault, script=kind.script)
    struck = (at.folder / "struck").exists()
    finished, stored, state = at.finished, at.digests(), at.records.get("state")
    unsaid = _unsaid(kind, fault, ended, state) if struck else ""
    again = session(at, "-n", "0")
    expected = reference.digests()
    wrong = sum(at.digests().get(key) != value for key, value in expected.items())
    wrong += sum(at.rows.get(id) != row for id, row in reference.rows.items())
    whole = {key for key, value in stored.items() if value == expected.get(key)}
    read = int(at.records.get("runs", {}).get("from_cache", 0))
    lost = len(finished - whole) + len(whole) - read
    if again.code != 1 or "Traceback" in again.text or "damaged" in again.text:
        unsaid = unsaid or f"the next session: {again.text[-2000:]}"
    return Trial(struck, lost, wrong, len(at.left), unsaid)


def _unsaid(kind: Kind, fault: dict[str, Any], ended: Outcome, state: str | None) -> str:
    if "INTERNALERROR" in ended.text or "ended after" in ended.text:
        return f"the session: {ended.text[-2000:]}"
    if kind.report and state not in (("running",) if fault["signal"] == KILL else ("interrupted",)):
        return f"the report says {state}: {ended.text[-2000:]}"
    if kind.report and fault["signal"] == INTERRUPT and "interrupted: " not in ended.text:
        return f"no line says that it was interrupted: {ended.text[-2000:]}"
    return ""
