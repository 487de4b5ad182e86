"""A finding that is changed on purpose shows: on the terminal, in the report, and in what compare makes of it."""

import json
import os
import re
import subprocess
import sys

import pytest

from bthcheck.cli.command import main
from bthcheck.harness.against import against_record
from bthcheck.tests.harness.changed import CLAIMS, NEW, SHIFTED
from bthcheck.tests.harness.samples import CONFTEST
from bthcheck.tests.report.snapshots import claim, kept, one, records, trend


class Session:
    """What a session printed, and its report."""

    def __init__(self, folder, process):
        self.folder, self.code, self.text = folder, process.returncode, " ".join((process.stdout + process.stderr).split())
        self.page = (folder / "index.html").read_text(encoding="utf-8")
        self.records = json.loads((folder / "records.json").read_text(encoding="utf-8"))
        self.shown = " ".join(re.sub(r"<[^>]+>", " ", self.page.partition("</style>")[2]).split())


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Sessions by name: the one on record, one of another learning rate, one of other numbers, and one of a new claim."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pytest.ini").write_text("[pytest]\n")

    def run(name, *arguments, claims=CLAIMS, conftest=CONFTEST):
        (folder / "test_claims.py").write_text(claims)
        (folder / "conftest.py").write_text(conftest)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "--engine",
            "fused",
            *arguments,
        ]
        process = subprocess.run(
            [*command, "--results-dir", name], cwd=folder, capture_output=True, text=True, timeout=300,
            env={**os.environ, "COLUMNS": "120"},
        )  # fmt: skip
        return Session(folder / name, process)

    return {
        "record": run("record", "--update-baseline"),
        "rate": run("rate", claims=CLAIMS.replace("RATE = 0.001", "RATE = 0.0015")),
        "numbers": run("numbers", conftest=SHIFTED),
        "new": run("new", "-k", "EXACT or FASTER or NEW", claims=CLAIMS + NEW),
    }


def compared(capsys, monkeypatch, sessions, name):
    """Return the status of comparing a session with the one on record, and what is shown of it everywhere."""
    folder = sessions["record"].folder.parent
    monkeypatch.chdir(folder)
    code = main(["compare", "record", name, "--html", f"{name}.html", "--markdown", f"{name}.md"])
    page = re.sub(r"<[^>]+>", " ", (folder / f"{name}.html").read_text(encoding="utf-8").partition("</style>")[2])
    shown = capsys.readouterr().out, page, (folder / f"{name}.md").read_text(encoding="utf-8")
    return code, [" ".join(text.split()).replace("&#95;", "_") for text in shown]


def test_another_learning_rate_is_named_everywhere(sessions, capsys, monkeypatch):
    session, sentence = sessions["rate"], "learning_rate 0.0015, on record 0.001"
    assert session.code == 1
    assert "claim SLOWER is supported, as on record, but not all else is: tiny: " + sentence in session.text
    assert "changed: configuration, test, numbers" in session.shown
    assert session.shown.count(sentence) >= 3  # the experiment, and at the top of two claims
    assert "RATE 0.0015, on record 0.001" in session.shown
    code, shown = compared(capsys, monkeypatch, sessions, "rate")
    assert code == 1
    for text in shown:
        assert sentence in text
        assert "RATE 0.0015, on record 0.001" in text


def test_numbers_of_which_no_configuration_knows_are_noticed_everywhere(sessions, capsys, monkeypatch):
    session, sentence = sessions["numbers"], "(50 % more, "
    assert session.code == 1
    assert sentence in session.text
    assert "changed: numbers, bits" in session.shown
    section = session.shown.partition("Against the record The record is")[2].partition(" Evidence ")[0]
    assert "2 of 3 claims differ, and 2 fail (checked: numbers)" in section
    assert "Effects that differ" in section
    assert sentence in section
    assert "0 of 30 runs that ought to have the same bits have them" in section
    assert "Experiments whose configuration differs" not in section
    code, shown = compared(capsys, monkeypatch, sessions, "numbers")
    assert code == 1
    for text in shown:
        assert sentence in text
        assert "0 of 30 runs that ought to have the same bits" in text


def test_the_report_tells_as_on_record_from_new(sessions):
    session = sessions["new"]
    assert session.code == 0
    assert "Against the record : Nothing differs in 2 claims (checked: numbers)." in session.shown
    assert "FASTER refuted, as on record" in session.shown
    assert "changed:" not in session.shown
    assert re.search(r"NEW supported .{0,400}not on record", session.shown)
    assert "Claims not on record: NEW (supported)" in session.shown
    assert "1 claim on record came to no verdict in this session, or did not run" in session.shown
    assert "30 of 30 runs that ought to have the same bits have them" in session.shown


def test_the_session_on_record_had_nothing_to_be_compared_with(sessions):
    assert "Against the record" not in sessions["record"].shown
    assert sessions["record"].code == 0


def test_a_report_says_what_was_asked_for(sessions):
    assert sessions["new"].records["settings"] == {
        "profile": "laptop", "seeds": None, "engine": "fused", "device": "auto", "family": None, "check": "numbers",
        "data_file": None,
        "flags": [],
    }  # fmt: skip
    assert sessions["record"].records["settings"]["flags"] == ["update-baseline"]


def test_claims_are_compared_at_the_level_at_which_they_were_judged():
    baseline = kept({f"C{i}": claim(trend("a"), trend("b")) for i in range(5)})
    session = records(kept({"C1": claim(trend("a"), trend("b"))}))
    found = against_record(session, baseline, "numbers")
    assert (found.count, found.shared) == (2, 10)
    assert found.notes == ("4 claims on record came to no verdict in this session, or did not run",)
    missed = against_record(session, baseline, "numbers", ["C2"])
    assert missed.notes == (
        "C2 is on record, and did not run", "3 claims on record came to no verdict in this session, or did not run"
    )  # fmt: skip


def test_without_a_record_nothing_is_compared():
    assert against_record(records(one()), kept({}), "numbers") is None
