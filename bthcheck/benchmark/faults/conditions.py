"""The same experiment under conditions that must not matter: are its numbers the same, to the bit?

In a process of its own, ``python -m bthcheck.benchmark.faults.conditions FILE`` trains it with every engine and stores that.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import bthcheck
from bthcheck.benchmark.faults.sessions import EXPERIMENT, RUNS, Outcome, Place, place, session
from bthcheck.training.cache import RunCache, run_key
from bthcheck.training.runs import Run

ENGINES = ("fused", "reference", "stacked")
Numbers = dict[str, np.ndarray]
"""Name → array (level, seed, ...) of what an engine measured, with the trained parameters."""
_OF_LAMBDA = ("lipschitz_mean", "lipschitz_max")


@dataclass(frozen=True)
class Comparison:
    """How an engine's runs under a condition compare with those under none.

    equal : how many are the same to the bit
    largest : largest difference of a number, relative to the largest of its array
    """

    condition: str
    engine: str
    runs: int
    equal: int
    largest: float


def compare(condition: str, engine: str, found: Numbers, expected: Numbers) -> Comparison:
    """Compare run by run; of names that only one has nothing is said."""
    equal, largest = 0, 0.0
    for level in range(len(EXPERIMENT.levels)):
        for seed in range(len(EXPERIMENT.seeds)):
            pairs = [(found[name][level, seed], expected[name][level, seed]) for name in found.keys() & expected.keys()]
            same = all(one.dtype == other.dtype and one.tobytes() == other.tobytes() for one, other in pairs)
            equal += same
            for one, other in [] if same else pairs:
                scale = np.nanmax(np.abs(other), initial=0.0) or 1.0
                largest = max(largest, float(np.nanmax(np.abs(one - other), initial=0.0) / scale))
    return Comparison(condition, engine, RUNS, equal, largest)


def numbers(dataset: xr.Dataset) -> Numbers:
    """Return what was measured, in the order of the experiment's levels and seeds."""
    ordered = dataset.sel(frequency=list(EXPERIMENT.levels), seed=list(EXPERIMENT.seeds))
    return {str(name): array.values for name, array in ordered.data_vars.items() if "seed" in array.dims}


def plain(engine: str, **options: Any) -> Numbers:
    """Train the experiment with an engine, whatever the state of the process is."""
    return numbers(bthcheck.run(EXPERIMENT, engine=engine, progress=False, **options))


def _apart(engine: str) -> Numbers:
    """Every level with one seed and with the two others, put together from the cache."""
    with tempfile.TemporaryDirectory() as cache:
        for level in EXPERIMENT.levels:
            for seeds in ((2,), (0, 1)):
                part = EXPERIMENT.replace(levels=(level,), seeds=seeds)
                bthcheck.run(part, engine=engine, cache=cache, progress=False)
        return plain(engine, cache=cache)


def _backwards(engine: str) -> Numbers:
    turned = EXPERIMENT.replace(levels=EXPERIMENT.levels[::-1], seeds=EXPERIMENT.seeds[::-1])
    return numbers(bthcheck.run(turned, engine=engine, progress=False))


def _warm(engine: str) -> Numbers:
    with tempfile.TemporaryDirectory() as cache:
        plain(engine, cache=cache)
        return plain(engine, cache=cache)


def _probed(engine: str) -> Numbers:
    """λ is measured in every epoch, not in every tenth."""
    probed = numbers(bthcheck.run(EXPERIMENT.replace(lipschitz_every=1), engine=engine, progress=False))
    return {name: values for name, values in probed.items() if name not in _OF_LAMBDA}


def _within(state: Callable[[], AbstractContextManager[Any]]) -> Callable[[str], Numbers]:
    def run(engine: str) -> Numbers:
        with state():
            return plain(engine)

    return run


@contextmanager
def _set(read: Callable[[], Any], write: Callable[[Any], None], value: Any) -> Iterator[None]:
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def _double() -> AbstractContextManager[None]:
    return _set(torch.get_default_dtype, torch.set_default_dtype, torch.float64)


def _deterministic() -> AbstractContextManager[None]:
    return _set(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True)


IN_ONE_PROCESS: dict[str, Callable[[str], Numbers]] = {
    "once more": _within(nullcontext),
    "one thread": lambda engine: plain(engine, threads=1),
    "four threads": lambda engine: plain(engine, threads=4),
    "shards of levels and seeds": _apart,
    "levels and seeds backwards": _backwards,
    "warm cache": _warm,
    "λ in every epoch": _probed,
    "default type float64": _within(_double),
    "deterministic algorithms": _within(_deterministic),
    "inference mode": _within(torch.inference_mode),
}
"""Condition → what an engine measures under it."""
PROCESSES: dict[str, dict[str, str]] = {
    "PYTHONHASHSEED=1": {"PYTHONHASHSEED": "1"},
    "OMP_NUM_THREADS=4": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4", "NUMBA_NUM_THREADS": "2"},
}
"""Condition → environment of another process."""
SESSIONS: dict[str, tuple[str, ...]] = {
    "pytest -n 0": ("-n", "0"),
    "pytest -n 1": ("-n", "1"),
    "pytest -n 4": ("-n", "4"),
    "pytest -n 4 --dist worksteal": ("-n", "4", "--dist", "worksteal"),
    "tests backwards": ("-n", "0", "-p", "backwards"),
    "tests shuffled, -n 2": ("-n", "2", "-p", "shuffled"),
}
"""Condition → arguments of a session in which claims train with every engine."""
_ORDERS = {
    "backwards.py": "def pytest_collection_modifyitems(items):\n    items.reverse()\n",
    "shuffled.py": "import random\n\ndef pytest_collection_modifyitems(items):\n    random.Random(5).shuffle(items)\n",
}
_CLAIMS = """
import pytest
from bthcheck import claim
from bthcheck.benchmark.faults.sessions import EXPERIMENT


@pytest.fixture(scope="session")
def trained(train, pytestconfig):
    def of(engine):
        pytestconfig.option.bth_engine = engine
        return train(EXPERIMENT)

    return of
"""
_CLAIM = """

@claim("{id}", statement="The {what} grows with the frequency", source="nowhere")
def test_{name}(trained, evidence):
    evidence.increases(trained("{engine}").{what}.mean("epoch"), "frequency")
"""


def in_processes() -> Iterator[tuple[str, dict[str, Numbers]]]:
    """Yield condition and engine → what it measures, each in a process of its own."""
    for condition, environment in PROCESSES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "numbers.npz")
            command = [sys.executable, "-m", "bthcheck.benchmark.faults.conditions", str(file)]
            subprocess.run(command, env=os.environ | environment, check=True)
            stored = np.load(file)
            found: dict[str, Numbers] = {engine: {} for engine in ENGINES}
            for key in stored.files:
                engine, _, name = key.partition("/")
                found[engine][name] = stored[key]
        yield condition, found


def in_session(condition: str, folder: Path) -> tuple[dict[str, Numbers], Place, Outcome]:
    """Run a session and return engine → what its claims have trained, the place that has its report, and what it printed."""
    at = place(folder)
    source = _CLAIMS
    for engine in ENGINES:
        for what in ("train_loss", "trajectory_length"):
            name = f"{engine}_{what}"
            source += _CLAIM.format(id=name.upper(), what=what, name=name, engine=engine)
    (folder / "test_claims.py").write_text(source, encoding="utf-8")
    for name, text in _ORDERS.items():
        (folder / name).write_text(text, encoding="utf-8")
    outcome = session(at, *SESSIONS[condition])
    cache = RunCache(at.cache)
    found: dict[str, Numbers] = {}
    for engine in ENGINES:
        grid = [
            [cache.read(run_key(Run(EXPERIMENT, level, seed), engine, "cpu")) for seed in EXPERIMENT.seeds]
            for level in EXPERIMENT.levels
        ]
        results = [[result for result in row if result is not None] for row in grid]
        if [len(row) for row in results] != [len(EXPERIMENT.seeds)] * len(EXPERIMENT.levels):
            raise RuntimeError(f"runs of engine {engine} are missing after {condition}:\n{outcome.text}")
        names = results[0][0].statistics
        found[engine] = {name: np.array([[result.statistics[name] for result in row] for row in results]) for name in names}
        found[engine]["parameters"] = np.array([[result.parameters for result in row] for row in results])
    return found, at, outcome


def measure(say: Callable[[str], None] = lambda line: None) -> list[Comparison]:
    """Return all comparisons; `say` is told of every condition when it is done."""
    expected = {engine: plain(engine) for engine in ENGINES}
    found: list[Comparison] = []

    def take(condition: str, by_engine: dict[str, Numbers]) -> None:
        found.extend(compare(condition, engine, by_engine[engine], expected[engine]) for engine in ENGINES)
        say(f"{condition}: {', '.join(f'{one.engine} {one.equal} of {one.runs}' for one in found[-len(ENGINES) :])}")

    for condition, under in IN_ONE_PROCESS.items():
        take(condition, {engine: under(engine) for engine in ENGINES})
    for condition, by_engine in in_processes():
        take(condition, by_engine)
    for condition in SESSIONS:
        with tempfile.TemporaryDirectory() as folder:
            take(condition, in_session(condition, Path(folder, "session"))[0])
    return found


if __name__ == "__main__":
    np.savez(
        sys.argv[1],
        **{f"{engine}/{name}": array for engine in ENGINES for name, array in plain(engine).items()},  # type: ignore[arg-type]
    )
