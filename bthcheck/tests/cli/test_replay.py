"""``bthcheck replay``: a report is trained again, and what is other than it says is found."""

import json
import os
import subprocess
import sys

import pytest

from bthcheck.tests.harness.changed import CLAIMS, SHIFTED
from bthcheck.tests.harness.samples import CONFTEST
from bthcheck.tests.report.snapshots import one, records

QUIET = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider")


def words(outcome):
    return " ".join(outcome.text.split())


@pytest.fixture
def project(tmp_path):
    """A function that writes a project of claims, and one that runs it; the report is in its folder reports."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def write(claims=CLAIMS, conftest=CONFTEST):
        (tmp_path / "test_claims.py").write_text(claims)
        (tmp_path / "conftest.py").write_text(conftest)

    def run(*arguments):
        write()
        subprocess.run(
            [sys.executable, "-m", "pytest", *QUIET, *arguments], cwd=tmp_path, capture_output=True, timeout=300, env=os.environ
        )
        return tmp_path / "reports" / "records.json"

    run.write, run.folder = write, tmp_path
    return run


def test_a_project_of_claims_is_replayed(project, bth):
    report = project("--seeds", "3,5,6,8", "--profile", "quick", "--engine", "fused")
    before = report.read_bytes()
    outcome = bth("replay", "reports/records.json", *QUIET)
    assert outcome.code == 0, outcome.text
    text = words(outcome)
    assert "Nothing differs in 3 claims (checked: numbers)." in text
    assert "12 trained" in text  # although the runs are in the project's cache
    assert "Bits: 12 of 12 runs that ought to have the same bits have them." in text
    assert report.read_bytes() == before
    again = json.loads((project.folder / "reports" / "replay" / "records.json").read_text())
    assert again["settings"] == json.loads(before)["settings"] | {"device": "cpu", "flags": ["no-cache"]}
    assert [entry["configuration"]["seeds"] for entry in again["experiments"]] == [[3, 5, 6, 8]]
    assert again["command"] == "bthcheck replay reports/records.json -q -p no:randomly -p no:cacheprovider"
    page = (project.folder / "reports" / "replay" / "index.html").read_text(encoding="utf-8")
    assert "The record is reports/records.json." in page  # and not what the project has on record


def test_what_has_changed_since_is_found(project, bth):
    project("--seeds", "8")
    rate = CLAIMS.replace("RATE = 0.001", "RATE = 0.0015").replace("def test_exact", "def test_more_exact")
    project.write(rate, SHIFTED)
    outcome = bth("replay", project.folder / "reports", *QUIET, "-n", "2", "--results-dir", "again", "--check", "bits")
    assert outcome.code == 1, outcome.text
    text = words(outcome)
    assert "not there any more, and not replayed: EXACT" in text
    assert "tiny: learning_rate 0.0015, on record 0.001" in text
    assert "2 of 2 claims differ, and 2 fail (checked: bits)." in text
    assert "Claims on record alone EXACT (supported)" in text
    row = json.loads((project.folder / "again" / "records.json").read_text())["claims"][0]
    assert row["fails"]


def test_a_claim_that_comes_to_no_verdict_any_more_counts(project, bth):
    project("--seeds", "2", "-k", "EXACT")
    project.write(CLAIMS.replace("evidence.at_most([1.0]", "1 / 0\n    evidence.at_most([1.0]"))
    outcome = bth("replay", "reports/records.json", *QUIET)
    assert outcome.code == 1
    assert "1 claim has no verdict in reports/replay/records.json, and cannot be compared: EXACT (error)." in words(outcome)


def test_a_claim_of_the_paper_is_replayed(bth):
    outcome = bth("verify", "X2-counterexample", "--profile", "quick", "-p", "no:randomly")
    assert outcome.code == 0, outcome.text
    outcome = bth("replay", "reports/records.json", "-p", "no:randomly")
    assert outcome.code == 0, outcome.text
    assert "Nothing differs in 1 claim (checked: numbers)." in words(outcome)
    again = json.loads((bth.folder / "reports" / "replay" / "records.json").read_text())
    assert (again["profile"], [row["claim"]["id"] for row in again["claims"]]) == ("quick", ["X2-counterexample"])


def put(folder, whole):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "records.json").write_text(json.dumps(whole), encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.json",), "nowhere.json cannot be read"),
        (("placebo",), "the report is of a placebo, which says nothing that could be replayed"),
        (("mine",), "the tests of T1 are not found: replay this in the folder of the project that they are of"),
        (("mine", "--results-dir", "mine"), "the tests of T1 are not found"),
        (("-n", "4", "mine"), "the report must stand before pytest's options, got '-n'"),
        (("base.json",), "base.json is a baseline, which does not say how it was trained"),
        (("mine", "--profile", "quick"), "--profile cannot be used here"),
        (("mine", "--check", "all"), "'all' is not one of"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_a_sentence(said, tmp_path, arguments, sentence):
    put(tmp_path / "mine", records(one()))
    put(tmp_path / "placebo", records(one(), placebo=True))
    (tmp_path / "base.json").write_text(json.dumps({"schema": 2, "profiles": {"laptop": one()}}))
    code, text = said("replay", *arguments)
    assert code == 2, text
    assert sentence in " ".join(text.split())
    assert not (tmp_path / "reports").exists()


def test_the_report_that_is_replayed_is_not_written_over(said, tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "test_t.py").write_text("def test_T1(): ...\n")
    put(tmp_path / "reports" / "replay", records(one()))
    code, text = said("replay", "reports/replay")
    assert code == 2
    assert "reports/replay has the report that is replayed: name another folder with --results-dir" in " ".join(text.split())


def test_a_session_that_does_not_run_to_its_end_is_compared_with_nothing(project, bth):
    project("--seeds", "2", "-k", "EXACT")
    outcome = bth("replay", "reports/records.json", *QUIET, "--no-such-option")
    assert outcome.code == 4
    assert "the replay did not run to its end, and nothing is compared" in words(outcome)
    assert "Nothing differs" not in words(outcome)
