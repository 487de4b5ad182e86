"""The claims can fail: each estimator is broken on purpose, and tests that pass without the fault have to notice it."""

import json
import os
from dataclasses import asdict, replace

import pytest
from filelock import FileLock

from bthcheck.tests import mutation
from bthcheck.tests.mutants import MUTANTS

STATUS = next(mutant for mutant in MUTANTS if mutant.old == "if result.status != 0:")


def by_file():
    """Return file → its tests that have to notice any mutant."""
    files = {}
    for test in dict.fromkeys(test for mutant in MUTANTS for test in mutation.runnable(mutant.tests)):
        files.setdefault(test.partition("::")[0], []).append(test)
    return files


@pytest.fixture(scope="session")
def unmutated(tmp_path_factory):
    """A function that tells what becomes of the tests of a file on a copy without a mutant.

    They are run once, by whichever worker comes first, while the others run those of other files.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def outcome(file):
        report = folder / f"unmutated-{file.replace('/', '-')}.json"
        with FileLock(report.with_suffix(".lock")):
            if not report.exists():
                result = mutation.run(tmp_path_factory.mktemp("unmutated"), by_file()[file])
                report.write_text(json.dumps(asdict(result)), encoding="utf-8")
        return mutation.Outcome(**json.loads(report.read_text(encoding="utf-8")))

    return outcome


@pytest.mark.parametrize("file", by_file())
def test_without_a_mutant_there_is_nothing_to_notice(file, unmutated):
    outcome = unmutated(file)
    assert outcome.code == pytest.ExitCode.OK, outcome.output


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_broken_estimator_is_noticed(mutant, unmutated, tmp_path, record_property):
    tests = mutation.runnable(mutant.tests)
    for file in {test.partition("::")[0] for test in tests}:
        assert {test for test in tests if test.startswith(f"{file}::")} <= set(unmutated(file).passed)
    outcome = mutation.run(tmp_path, tests, mutant)
    record_property("mutant", str(mutant))
    record_property("noticed by", outcome.noticed)
    assert not outcome.crashed, outcome.output
    assert outcome.noticed == tests, outcome.output
    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.output


def test_every_mutant_is_named_and_has_a_test_of_the_library():
    assert len({str(mutant) for mutant in MUTANTS}) == len(MUTANTS)
    assert all(any(not test.startswith("claims/") for test in mutant.tests) for mutant in MUTANTS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x = 1", "x = 1", "x.py would be the same program"),
        ("x = 1", "x = 1  # once", "x.py would be the same program"),
        ("x", "z", "'x' must occur once in x.py, found 2 times"),
        ("w", "z", "'w' must occur once in x.py, found 0 times"),
        ("x = 1", "x =", "x.py would be no Python, invalid syntax"),
    ],
)
def test_what_is_no_mutant_is_refused(old, new, message):
    mutant = mutation.Mutant("nothing", "nowhere", "x.py", old, new, ())
    with pytest.raises(ValueError, match=f"nothing: nowhere: {message}"):
        mutation.mutated("x = 1\ny = x\n", mutant)


def test_a_mutant_that_changes_nothing_is_not_noticed(tmp_path):
    outcome = mutation.run(tmp_path, STATUS.tests, replace(STATUS, new="if 0 != result.status:"))
    assert outcome.code == pytest.ExitCode.OK
    assert outcome.passed == list(STATUS.tests)
    assert not outcome.noticed
    assert not outcome.crashed


def test_a_mutant_that_crashes_is_not_noticed(tmp_path):
    outcome = mutation.run(tmp_path, STATUS.tests[:1], replace(STATUS, new="if results.status != 0:"))
    assert outcome.code == pytest.ExitCode.TESTS_FAILED
    assert outcome.crashed == {STATUS.tests[0]: "NameError: name 'results' is not defined"}
    assert not outcome.noticed


def test_a_mutant_that_cannot_be_imported_is_not_noticed(tmp_path):
    outcome = mutation.run(tmp_path, STATUS.tests[:1], replace(STATUS, old="import scipy\n", new="import scipyx\n"))
    assert outcome.code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert not outcome.noticed
