"""A copy of the package with one thing broken on purpose, and tests run on it in a process of their own.

A fault counts as noticed where an assertion fails; a crash would say no more than that the mutant is no program. The processes
are forked from one that has imported what others wrote, PyTorch above all, and nothing of this package. Numba compiles nothing
in them: a kernel runs as the Python it is written in, so that no cache can hide a mutant, and few small steps take less time
than a compilation.
"""

import gc
import json
import multiprocessing
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bthcheck.benchmark.alterations import Edit, altered

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent
IS_CHECKOUT = (ROOT / "tox.ini").exists()
_PRELOADED = [
    "pytest",
    "torch",
    "numba",
    "xarray",
    "scipy.stats",
    "scipy.optimize",
    "hypothesis.extra.numpy",
    "matplotlib.figure",
]
_ENVIRONMENT = {
    "NUMBA_DISABLE_JIT": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
}
_DEADLINE_SECONDS, _TEST_SECONDS = 300, 30
"""How long a process may take for its tests, and for each of many: a busy machine is slow."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one place.

    fault, where : what is wrong, and in which estimator
    file : within the package
    old, new : a piece of its source that occurs once, and what is put in its place
    tests : node ids that have to notice, within this folder, or of the project's claims if they start with ``claims/``
    """

    fault: str
    where: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self):
        return f"{self.fault}: {self.where}"


@dataclass(frozen=True)
class Outcome:
    """What became of tests.

    code : pytest's exit code
    passed, noticed : node ids of those that passed, and of those that a failed assertion ended
    crashed : node id → exception of those that anything else ended
    output : what pytest printed
    """

    code: int | None
    passed: list[str]
    noticed: list[str]
    crashed: dict[str, str]
    output: str


def mutated(source, mutant):
    """Return the source with a mutant in it, or raise ``ValueError`` if it is none."""
    try:
        return altered(source, [Edit(mutant.file, mutant.old, mutant.new)])
    except ValueError as error:
        raise ValueError(f"{mutant}: {error}") from error


def runnable(tests):
    """Return those of the tests that are there: without a checkout there are no claims."""
    return [test for test in tests if IS_CHECKOUT or not test.startswith("claims/")]


def run(folder, tests, mutant=None):
    """Copy the package into an empty folder, with a mutant or as it is, and run tests there."""
    shutil.copytree(PACKAGE, folder / "bthcheck", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    if IS_CHECKOUT:
        shutil.copytree(ROOT / "claims", folder / "claims", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pytest.ini").write_text("[pytest]\n")
    if mutant is not None:
        path = folder / "bthcheck" / mutant.file
        path.write_text(mutated(path.read_text(encoding="utf-8"), mutant), encoding="utf-8")
    nodes = {test if test.startswith("claims/") else f"bthcheck/tests/{test}": test for test in tests}
    process = _context().Process(target=_pytest, args=(str(folder), list(nodes)))
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("PYTEST_")]:
            environment.delenv(name)
        for name, value in _ENVIRONMENT.items():
            environment.setenv(name, value)
        process.start()
    process.join(max(_DEADLINE_SECONDS, _TEST_SECONDS * len(tests)))
    if process.is_alive():
        process.kill()
        process.join()
    report = folder / "outcome.json"
    ended = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    ended = {nodes.get(node, node): how for node, how in ended.items()}
    return Outcome(
        code=process.exitcode,
        passed=[test for test, how in ended.items() if how == "passed"],
        noticed=[test for test, how in ended.items() if how == "noticed"],
        crashed={test: how for test, how in ended.items() if how not in ("passed", "noticed")},
        output=(folder / "output.txt").read_text(encoding="utf-8", errors="replace"),
    )


def _context():
    if sys.platform != "linux":  # elsewhere libraries do not survive a fork, or there is none
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _pytest(folder, nodes):
    """Run tests in this process, which then has only the copy of the package."""
    os.chdir(folder)
    with Path("output.txt").open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    for name in [name for name in sys.modules if name.partition(".")[0] == "bthcheck"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    gc.freeze()  # or pytest spends more time on looking for garbage, in what was imported before, than on a small test
    recorder = _Recorder()
    options = ["-p", "no:cacheprovider", "-p", "bthcheck.pytest_plugin", "--profile", "quick"]
    code = pytest.main([*options, *nodes], plugins=[recorder])
    Path("outcome.json").write_text(json.dumps(recorder.ended), encoding="utf-8")
    sys.exit(code)


class _Recorder:
    """A plugin that writes down how tests ended."""

    def __init__(self):
        self.ended = {}

    def pytest_runtest_makereport(self, item, call):
        if call.excinfo is not None:
            self.ended[item.nodeid] = "noticed" if _is_assertion(call.excinfo.value) else call.excinfo.exconly()
        elif call.when == "call":
            self.ended[item.nodeid] = "passed"


def _is_assertion(error):
    if isinstance(error, BaseExceptionGroup):  # of Hypothesis, which found several
        return all(map(_is_assertion, error.exceptions))
    return isinstance(error, (AssertionError, pytest.fail.Exception))
