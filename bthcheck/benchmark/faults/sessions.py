"""Small sessions of claims in processes of their own, and what they leave behind."""

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid

EXPERIMENT = SINUSOIDS.replace(
    name="tiny", task=Sinusoid(train=8, test=4), network=MLP((10, 10, 6, 1)), levels=(0.25, 1.0), seeds=range(3), epochs=25
)
"""Six runs of a tenth of a second each with the reference engine, which compiles nothing."""
RUNS = len(EXPERIMENT.levels) * len(EXPERIMENT.seeds)
_CONFTEST = 'pytest_plugins = ["bthcheck.pytest_plugin", "bthcheck.benchmark.faults.striking"]\n'
_CLAIMS = """
import pytest
from bthcheck import claim
from bthcheck.benchmark.faults.sessions import EXPERIMENT


@pytest.fixture(scope="session")
def tiny(train):
    return train(EXPERIMENT)


@claim("FIRST", statement="One is at most two", source="nowhere", kind="exact")
def test_first(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")


@claim("LOSS", statement="The loss grows with the frequency", source="nowhere")
def test_loss(tiny, evidence):
    evidence.increases(tiny.train_loss.isel(epoch=-1), "frequency")


@claim("LENGTH", statement="The trajectory's length grows with the frequency", source="nowhere")
def test_length(tiny, evidence):
    evidence.increases(tiny.trajectory_length.sum("epoch"), "frequency")
"""
_SCRIPT = """
import sys
import bthcheck
from bthcheck.benchmark.faults import striking
from bthcheck.benchmark.faults.sessions import EXPERIMENT

striking.prepare()
bthcheck.run(EXPERIMENT, engine="reference", cache=sys.argv[1], progress=False)
"""
FAULT = "BTHCHECK_FAULT"
"""The environment variable that tells `striking` where to strike, as JSON."""


@dataclass(frozen=True)
class Outcome:
    """What a process ended with, and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Place:
    """A folder that sessions share: claims, cache, results, and temporary files of their own."""

    folder: Path
    cache: Path
    results: Path

    @property
    def temporary(self) -> Path:
        """What sessions take for the system's temporary folder."""
        return self.folder / "tmp"

    @property
    def records(self) -> dict[str, Any]:
        """What the last session's report says; empty if there is none."""
        path = self.results / "records.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def rows(self) -> dict[str, Any]:
        """Claim id → everything that the last report says of it but the time it took."""
        rows = {row["claim"]["id"]: row for row in self.records.get("claims", [])}
        return {id: {name: value for name, value in row.items() if name != "seconds"} for id, row in sorted(rows.items())}

    @property
    def left(self) -> list[str]:
        """Temporary files and folders of sessions that are there."""
        found = [path for root in (self.cache, self.results) for path in root.rglob(".bthcheck-*")]
        return sorted(path.name for path in [*found, *self.temporary.glob("bthcheck-*")])

    @property
    def finished(self) -> set[str]:
        """The keys of the runs that sessions with a fault had stored."""
        path = self.folder / "finished"
        return set(path.read_text(encoding="utf-8").split()) if path.exists() else set()

    def digests(self) -> dict[str, str]:
        """Return key → digest of what an entry of the cache says: all arrays and whether the run diverged."""
        return {path.stem: digest(path) for path in sorted(self.cache.glob("*.safetensors"))}


def place(folder: Path, cache: Path | None = None, results: Path | None = None) -> Place:
    """Make a folder for sessions; cache and results may be on file systems of their own."""
    made = Place(folder, cache or folder / "cache", results or folder / "reports")
    made.temporary.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (folder / "test_claims.py").write_text(_CLAIMS, encoding="utf-8")
    (folder / "script.py").write_text(_SCRIPT, encoding="utf-8")
    return made


def digest(path: Path) -> str:
    """Return a digest of an entry's arrays and of whether its run diverged; of a file that is none, a word that says so."""
    content = path.read_bytes()
    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        total = hashlib.sha256(str(json.loads(header["__metadata__"]["facts"])["diverged"]).encode())
    except (SafetensorError, ValueError, KeyError, TypeError):
        return "damaged"
    for name in sorted(arrays):
        total.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def begin(at: Place, *arguments: str, fault: dict[str, Any] | None = None, script: bool = False) -> "subprocess.Popen[str]":
    """Start a session, or a plain script that trains the same, in a process group of its own."""
    command = [sys.executable, "script.py", str(at.cache)]
    if not script:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--engine", "reference"]
        command += ["--cache-dir", str(at.cache), "--results-dir", str(at.results), *arguments]
    path = os.pathsep.join(part for part in (str(at.folder), os.environ.get("PYTHONPATH")) if part)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # not those of a worker's
    environment = own | {"COLUMNS": "200", "PYTHONPATH": path, "TMPDIR": str(at.temporary)}
    environment[FAULT] = json.dumps((fault or {}) | {"folder": str(at.folder)})
    return subprocess.Popen(
        command, cwd=at.folder, env=environment, text=True, errors="replace", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip


def end(process: "subprocess.Popen[str]", seconds: float = 300) -> Outcome:
    """Wait for a session, at most for so long, and return what became of it."""
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text = process.communicate()[0] + f"\nended after {seconds:g} s"
    finally:  # also of who is interrupted while it waits
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return Outcome(process.returncode, text)


def session(at: Place, *arguments: str, fault: dict[str, Any] | None = None, script: bool = False) -> Outcome:
    """Run a session, or the script, to its end."""
    return end(begin(at, *arguments, fault=fault, script=script))
