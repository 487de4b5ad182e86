"""What a worker of an executor does: it says what it is, and trains runs that it is sent.

Whoever calls and the worker have the same code of the engine, or nothing is trained. What comes back is plain: arrays, numbers
and text, also where training failed, so that no exception of somebody's own has to travel.
"""

import importlib
import os
import pickle
import platform
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import scipy

import bthcheck
from bthcheck.ambient import neutral
from bthcheck.choices import available_threads, cuda_count
from bthcheck.protocols import is_own
from bthcheck.training import code, fused, interrupt, machine, reference, stacked
from bthcheck.training.entries import library_versions
from bthcheck.training.fingerprints import own_code
from bthcheck.training.memory import halving, room
from bthcheck.training.runs import Run, RunResult

Train = Callable[[Sequence[Run]], list[RunResult]]
Facts = dict[str, Any]

ENGINES: dict[str, ModuleType] = {module.NAME: module for module in (fused, stacked, reference)}
"""Name → engine."""
ASK = "__import__('bthcheck.training.remote', fromlist=['facts']).facts({engine!r}, {device!r})"
"""An expression for `facts`: text can be sent to a worker that has no bthcheck, which then says so."""

_at_home: dict[str, tuple[int, interrupt.Stop]] = {}


@dataclass(frozen=True)
class Task:
    """Runs that a worker trains side by side.

    runs : pickled, or as they are where the worker is a thread of the same process
    code : digest of the engine's code here, which the worker's must be
    own : of every run a digest of the code of what is one's own in it; None where there is nothing or it is not known
    files : of every run the digest of the file of images that it is trained on; None where there is none
    home : names whoever waits, so that a worker in the same process stops when that one is interrupted
    """

    runs: bytes | tuple[Run, ...]
    engine: str
    device: str
    code: str | None
    own: tuple[str | None, ...]
    files: tuple[str | None, ...]
    home: str

    @classmethod
    def of(cls, runs: Sequence[Run], engine: str, device: str, home: str, here: bool = False) -> "Task":
        """Return the task of training `runs`.

        Parameters
        ----------
        here : whether the worker is a thread of this process, to which nothing has to be sent

        Raises
        ------
        ValueError
            If an architecture or a task of one's own cannot be pickled.
        """
        own = tuple(own_code(run).digest if _has_own(run) else None for run in runs)
        files = tuple(map(_file, runs))
        return cls(tuple(runs) if here else _packed(runs), engine, device, code_of(engine), own, files, home)


def code_of(engine: str) -> str | None:
    """Return the digest of an engine's code; None if that has changed since this process imported it."""
    return code.digest(ENGINES[engine].__name__)


def facts(engine: str, device: str) -> Facts:
    """Return what this process is, as plain values.

    `bthcheck` and `code`, its version and the digest of the engine's code (None if that has changed since it was imported);
    `libraries` and `machine`, on which the bits of a run depend; `beside`, the versions of Python and SciPy; `host`; `cores`
    that it may use; `memory`, free bytes, None if not known; `gpus`, their names; `room`, bytes that a stack of runs may take.
    """
    gpus = _gpus()
    there = not device.startswith("cuda") or int(device.partition(":")[2] or 0) < len(gpus)
    return {
        "bthcheck": bthcheck.__version__,
        "code": code_of(engine),
        "libraries": library_versions(),
        "machine": machine.describe(device) if there else {},
        "beside": {"scipy": scipy.__version__, "Python": platform.python_version()},
        "host": socket.gethostname(),
        "cores": available_threads(),
        "memory": _free_bytes(),
        "gpus": gpus,
        "room": room(device) if there else 0,
    }


@neutral()
def train(task: Task) -> dict[str, Any]:
    """Train the runs of a task on one thread and return what came of it, whatever that is.

    ``{"facts": …, "results": [(statistics, parameters, diverged, seconds), …]}`` in the order of the runs, or in the place of
    `results` a sentence: `refused`, if the code here is not the caller's, there is no such device, or the runs cannot be
    unpickled; `failed`, if training raised something, in one line.
    """
    found = facts(task.engine, task.device)
    refusal = difference(task.code, found, task.device)
    if refusal is None:
        try:
            runs = task.runs if isinstance(task.runs, tuple) else pickle.loads(task.runs)
        except Exception as error:
            refusal = f"cannot unpickle the runs: {in_a_line(error)}"
        else:
            refusal = _other_code(runs, task.own) or _other_files(runs, task.files)
    if refusal is not None:
        return {"facts": found, "refused": refusal}
    try:
        results = _stoppable(task.home, lambda: trainer(ENGINES[task.engine], task.device)(runs))
    except Exception as error:
        return {"facts": found, "failed": in_a_line(error), "memory": isinstance(error, MemoryError)}
    return {"facts": found, "results": [(one.statistics, one.parameters, one.diverged, one.seconds) for one in results]}


def difference(expected: str | None, found: Facts, device: str) -> str | None:
    """Return why a worker may not train what is asked for, as the rest of a sentence about it; None if it may."""
    if found["code"] is None:
        return f"has code of bthcheck ({found['host']}) that changed since it was imported; start it again"
    if found["code"] != expected:
        there = f"{found['bthcheck']} with code {found['code'][:8]} on {found['host']}"
        here = f"{bthcheck.__version__} with code {str(expected)[:8]}"
        return f"has another bthcheck, {there}, than the {here} here; install the same on both"
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= len(found["gpus"]):
        have = f"{len(found['gpus'])} CUDA device(s)" if found["gpus"] else "no CUDA device"
        return f"sees {have} on {found['host']}, so that device {device!r} is not available there; use 'cpu' or 'auto'"
    return None


def trainer(module: ModuleType, device: str) -> Train:
    """Return a function that trains runs side by side with an engine."""
    if module is stacked:
        return lambda runs: stacked.train(runs, device)
    return lambda runs: [
        result for run in runs for result in halving(lambda one: [module.train(one[0], device)], [run], device)
    ]


@contextmanager
def at_home() -> Iterator[str]:
    """Yield a name for whoever waits in the block; what is trained for it in this process stops when the block is left."""
    name, stop = uuid.uuid4().hex, interrupt.Stop()
    _at_home[name] = (os.getpid(), stop)
    try:
        yield name
    finally:
        stop.request()
        del _at_home[name]


def in_a_line(error: BaseException, most: int = 300) -> str:
    """Return an exception as one line: its type and what it says, cut if it is long."""
    text = " ".join(str(error).split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _stoppable(home: str, work: Callable[[], list[RunResult]]) -> list[RunResult]:
    """Train so that an interruption is heard: of whoever waits in this process, or of this process itself."""
    process, stop = _at_home.get(home, (0, None))
    if stop is None or process != os.getpid():  # a process that was forked has a copy of what was at home
        return interrupt.in_thread(work)
    with interrupt.obeying(stop):
        return work()


def _other_code(runs: Sequence[Run], expected: Sequence[str | None]) -> str | None:
    """Return what is one's own and has other code here; where code travels with its class there is none to compare."""
    for run, digest in zip(runs, expected, strict=True):
        found = own_code(run).digest if digest is not None else None
        if found is not None and found != digest:
            names = " and ".join(type(part).__name__ for part in run.setting[:2] if is_own(part))
            return f"has other code of {names} on {socket.gethostname()} than there is here; have it read the same files"
    return None


def _file(run: Run) -> str | None:
    return getattr(run.setting.task, "content", None) if not is_own(run.setting.task) else None


def _other_files(runs: Sequence[Run], expected: Sequence[str | None]) -> str | None:
    """Return which file of images is not what it is for the caller: a path says nothing of what is there on another machine."""
    for run, digest in zip(runs, expected, strict=True):
        if digest is None:
            continue
        where = f"on {socket.gethostname()}; every worker needs the file, at the same path"
        try:
            found = _file(run)
        except ValueError as error:
            return f"cannot read what is learned: {error} {where}"
        if found != digest:
            return f"has another file {getattr(run.setting.task, 'source', '')} {where}"
    return None


def _has_own(run: Run) -> bool:
    return any(is_own(part) for part in run.setting[:2])


def _packed(runs: Sequence[Run]) -> bytes:
    """Pickle runs; with cloudpickle, where it is at hand, also what is defined in a script or a notebook."""
    pickler: Any = pickle
    if any(map(_has_own, runs)):
        with suppress(ImportError):
            pickler = importlib.import_module("cloudpickle")
    try:
        packed: bytes = pickler.dumps(tuple(runs))
        return packed
    except Exception as error:
        names = " and ".join(type(part).__name__ for part in runs[0].setting[:2] if is_own(part))
        raise ValueError(
            f"{names} cannot be sent to a worker: {in_a_line(error)}; define it in a module that the workers can import"
        ) from error


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(number) for number in range(cuda_count())]


def _free_bytes() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
