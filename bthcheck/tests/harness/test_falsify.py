"""Sessions of attacks: what they run, find, write and leave alone."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from bthcheck.harness import falsify
from bthcheck.harness.options import OPTIONS
from bthcheck.tests.harness.conftest import python_path
from bthcheck.tests.harness.samples import CONFTEST

CLAIMS = """
import pytest
from bthcheck import claim


@pytest.fixture
def trained():
    raise RuntimeError("no fixture is needed for an attack")


@claim("X2-counterexample", statement="It falls", source="nowhere", kind="exact")
def test_falls(trained, evidence):
    raise RuntimeError("the test itself is not run")


@claim("X8", statement="It withstands", source="nowhere", kind="exact")
def test_withstands(trained, evidence):
    raise RuntimeError("the test itself is not run")


@claim("OTHER", statement="Nobody attacks it", source="nowhere", kind="exact")
def test_other(evidence):
    raise RuntimeError("not attacked, not run")


def test_of_something_else():
    raise RuntimeError("no claim")
"""
BREAKS = (
    CONFTEST
    + """
from dataclasses import replace
import numpy as np
from bthcheck.evidence import measures
from bthcheck.evidence.attacks import table


def halved(one):
    value, bound, tolerance = measures.above_product(one.example)
    return type(measures.above_product(one.example))(value, bound / 2, tolerance)


table.ATTACKS["X8"] = replace(table.ATTACKS["X8"], measure=halved)
"""
)


def config_of(**options):
    """A pytest configuration of some options, as far as the harness asks for it."""
    given = {f"bth_{name.replace('-', '_')}": kind.get("default", False) for name, kind in OPTIONS.items()}
    given |= {f"bth_{name}": value for name, value in options.items()}
    return SimpleNamespace(getoption=given.__getitem__)


@pytest.mark.parametrize(("given", "minutes"), [("10", 10.0), ("0.05", 0.05), ("1e-2", 0.01), (None, None)])
def test_minutes_are_a_number(given, minutes):
    assert falsify.minutes_of(config_of(falsify=given)) == minutes


@pytest.mark.parametrize("given", ["0", "-1", "ten", "", "nan", "inf", "1,5"])
def test_what_is_no_number_of_minutes_is_refused(given):
    with pytest.raises(ValueError, match=r"--falsify must be a number of minutes above 0, such as 10 or 0\.5, got"):
        falsify.minutes_of(config_of(falsify=given))


@pytest.mark.parametrize("other", [{"placebo": True}, {"update_baseline": True}, {"dask": "local:2"}])
def test_what_makes_no_sense_beside_it_is_refused(other):
    (name,) = other
    with pytest.raises(ValueError, match=f"does not go with --{name.replace('_', '-')}; say one of them"):
        falsify.minutes_of(config_of(falsify="1", **other))
    assert falsify.minutes_of(config_of(**other)) is None


def test_a_wrong_option_is_a_sentence_before_anything_runs(claims):
    outcome = claims(CLAIMS, "--falsify", "soon")
    assert outcome.code == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --falsify must be a number of minutes above 0, such as 10 or 0.5, got 'soon'" in outcome.text
    assert "Traceback" not in outcome.text
    assert not (outcome.folder / "reports").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_session_of_attacks(claims, workers):
    began = time.monotonic()
    outcome = claims(CLAIMS, "--bth-falsify", "0.5", "-n", workers, "--cache-dir", "kept")
    assert outcome.code == 0, outcome.text
    assert "attacks on exact claims" in outcome.text
    assert "X2-counterexample falls, as it is to: σ_min‖g‖ ≤ λ where n_1 > n is violated, 1 > 0, after" in outcome.text
    assert "X8 withstood " in outcome.text
    assert "attacks: 1 withstood; 1 fell as expected" in outcome.text
    assert "OTHER" not in outcome.text
    assert time.monotonic() - began > 3  # X8 has half of 6 s
    records = outcome.records
    assert records["state"] == "finished"
    assert {row["claim"]["id"]: row["status"] for row in records["claims"]} == {
        "X2-counterexample": "supported",
        "X8": "supported",
    }
    entries = {entry["claim"]: entry for entry in records["falsification"]["claims"]}
    assert entries["X8"]["seconds"] >= 3
    assert entries["X8"]["examples"] > 5
    assert entries["X8"]["closest"]["ratio"] < 100
    assert dict(entries["X8"]["coverage"]).keys() >= {"hidden layers", "first layer", "weights", "neurons", "output"}
    found = json.loads((outcome.folder / "reports" / "falsified" / "X2-counterexample.json").read_text())
    assert found["claim"] == "X2-counterexample"
    assert found["case"] == entries["X2-counterexample"]["counterexample"]["case"]
    page = (outcome.folder / "reports" / "index.html").read_text()
    assert '<h2 id="falsification">Falsification</h2>' in page
    assert "How tight each inequality is" in page
    assert "Against the record" not in page
    assert (outcome.folder / "kept" / "falsify" / "X8" / "kept.json").exists()
    assert (outcome.folder / "kept" / "falsify" / "X2-counterexample" / "examples").is_dir()
    assert not (outcome.folder / "reports" / "baseline.json").exists()
    if workers == "0":
        again = claims(CLAIMS, "--falsify", "0.2", "--cache-dir", "kept", "-k", "X2-counterexample")
        assert again.code == 0, again.text
        assert "after 1 example in " in again.text  # what was found is tried first
        assert {entry["claim"] for entry in again.records["falsification"]["claims"]} == {"X2-counterexample"}
        assert again.records["falsification"]["claims"][0]["all_examples"] > 1


def test_a_true_claim_that_falls_fails_the_session(claims):
    outcome = claims(CLAIMS, "--falsify", "0.4", "--no-cache", "-k", "X8", conftest=BREAKS)
    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.text
    assert "X8 falls, AND WAS TO WITHSTAND: λ ≤ Π‖W_l‖ is violated" in outcome.text
    assert "attacks: 1 FELL AND WAS TO WITHSTAND" in outcome.text
    assert outcome.statuses == {"X8": "refuted"}
    assert (outcome.folder / "reports" / "falsified" / "X8.json").exists()


def test_the_record_is_neither_compared_nor_changed(claims):
    record = claims.folder / "reports" / "baseline.json"
    record.parent.mkdir()
    first = {"schema": 3, "profiles": {}}
    record.write_text(json.dumps(first))
    before = record.read_bytes()
    outcome = claims(CLAIMS, "--falsify", "0.02", "--no-cache")
    assert outcome.code == 0, outcome.text
    assert record.read_bytes() == before
    assert "on record" not in outcome.text


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupt_keeps_and_prints_what_was_found(tmp_path, workers):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_claims.py").write_text(CLAIMS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--falsify", "30", "-n", workers]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "200", "TMPDIR": str(tmp_path), "PYTHONPATH": python_path(tmp_path)},
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        found = tmp_path / ".bthcheck_cache" / "falsify" / "X2-counterexample" / "kept.json"
        for _ in range(900):
            if found.exists():
                break
            time.sleep(0.1)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert "X8 was interrupted, not falsified so far" in text
    assert "X2-counterexample falls, as it is to" in text
    records = json.loads((tmp_path / "reports" / "records.json").read_text())
    assert records["state"] == "interrupted"
    entries = {entry["claim"]: entry for entry in records["falsification"]["claims"]}
    assert not entries["X8"]["ended"]
    assert entries["X8"]["examples"] > 0
    assert json.loads((tmp_path / ".bthcheck_cache" / "falsify" / "X8" / "kept.json").read_text())["examples"] > 0
