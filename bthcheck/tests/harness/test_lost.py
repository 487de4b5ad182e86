"""Whatever happens to the report, the verdicts are printed, and what could not be written is said."""

import json
import os
import sys

import pytest

from bthcheck.report.baseline import verdicts
from bthcheck.tests.harness.samples import CONFTEST, ONE

VERDICT = "ONE    supported"
REFUTED = ONE.replace("[1.0]", "[3.0]")


def assert_verdict(outcome, code):
    assert VERDICT in outcome.text, outcome.text
    assert outcome.code == code, outcome.text
    assert "Traceback" not in outcome.text
    assert "INTERNALERROR" not in outcome.text


def fill(folder):
    """Leave no space on a tiny disk."""
    with (folder / "rest").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096) == 4096:
                pass
        except OSError:
            return


# ------------------------------------------------------------------------------------------------ the disk is full


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_full_disk_hides_no_verdict(claims, tiny_disk, workers):
    """The claim fills the disk after the results folder was found writable."""
    old = {"records.json": "old records", "index.html": "old page"}
    for name, text in old.items():
        (tiny_disk / name).write_text(text)
    filling = ONE + f"    from pathlib import Path\n    from {__name__} import fill\n    fill(Path({str(tiny_disk)!r}))\n"
    outcome = claims(filling, "--results-dir", str(tiny_disk), "-n", workers)
    assert_verdict(outcome, 3)
    assert f"there is no new report: {tiny_disk / 'records.json'} cannot be written: No space left on device" in outcome.text
    assert "report: " not in outcome.text.replace("no new report: ", "")
    assert {name: (tiny_disk / name).read_text() for name in old} == old
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["index.html", "records.json", "rest"]


def test_what_failed_is_said_before_what_was_not_written(claims, tiny_disk):
    filling = REFUTED + f"    from pathlib import Path\n    from {__name__} import fill\n    fill(Path({str(tiny_disk)!r}))\n"
    outcome = claims(filling, "--results-dir", str(tiny_disk))
    assert outcome.code == 1
    assert "there is no new report" in outcome.text


FULL_FOR_THE_BASELINE = """
import errno
from bthcheck.report import baseline


def full(path, content):
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


baseline.write_whole = full
"""


def test_a_baseline_that_cannot_be_written_leaves_the_report(claims):
    outcome = claims(ONE, "--update-baseline", conftest=CONFTEST + FULL_FOR_THE_BASELINE)
    assert_verdict(outcome, 3)
    assert "what was found is not on record: " in outcome.text
    assert "baseline.json cannot be written: No space left on device" in outcome.text
    assert "report: reports/index.html" in outcome.text
    assert outcome.statuses == {"ONE": "supported"}


def test_a_figure_that_cannot_be_written_is_a_note(claims):
    drawn = ONE + '    from matplotlib.figure import Figure\n    evidence.figure(Figure(), "A line.")\n'
    full = """
import errno
from bthcheck.figures import style


def write(content, path):
    raise OSError(errno.ENOSPC, "No space left on device")


style.write = write
"""
    outcome = claims(drawn, conftest=CONFTEST + full)
    assert_verdict(outcome, 0)
    (row,) = outcome.records["claims"]
    assert row["figures"] == []
    assert row["notes"][0].startswith("A figure is missing because ")
    assert row["notes"][0].endswith("ONE-1.svg cannot be written: No space left on device. It was: A line.")


# ---------------------------------------------------------------------------------------- characters and arguments


def test_half_a_character_in_a_statement_is_shown_as_its_escape(claims):
    source = ONE.replace("One is at most two", r"One is at most two \ud800 φ")
    outcome = claims(source, "-v", environment={"PYTHONIOENCODING": "utf-8"})
    assert outcome.code == 0
    assert r"    One is at most two \ud800 φ" in outcome.text
    assert outcome.records["claims"][0]["claim"]["statement"] == "One is at most two \ud800 φ"
    assert r"\ud800 φ" in (outcome.folder / "reports" / "index.html").read_text(encoding="utf-8")


def test_a_terminal_without_greek_letters_shows_their_escapes(claims):
    source = ONE.replace("One is at most two", "φ is at most two")
    outcome = claims(source, "-v", environment={"PYTHONIOENCODING": "ascii"})
    assert outcome.code == 0
    assert r"    \u03c6 is at most two" in outcome.text
    assert "φ is at most two" in (outcome.folder / "reports" / "index.html").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="arguments are bytes on Linux")
def test_a_byte_of_an_argument_that_is_no_character_is_kept(claims):
    outcome = claims(ONE, "--results-dir", os.fsdecode(b"out\xff"))
    assert_verdict(outcome, 0)
    folder = outcome.folder / os.fsdecode(b"out\xff")
    assert "out\udcff" in json.loads((folder / "records.json").read_text(encoding="utf-8"))["command"]
    assert "--results-dir &#39;out\\udcff&#39;" in (folder / "index.html").read_text(encoding="utf-8")


# -------------------------------------------------------------------------------------------------- missing folders


def test_a_baseline_needs_no_folder_of_reports(claims):
    outcome = claims(ONE, "--results-dir", "out", "--update-baseline")
    assert_verdict(outcome, 0)
    assert verdicts(outcome.folder / "reports" / "baseline.json", "laptop") == {"ONE": "supported"}
    assert (outcome.folder / "out" / "index.html").exists()


DELETED = """
    import shutil
    from bthcheck.harness.stash import SETTINGS
    shutil.rmtree(request.config.stash[SETTINGS].channel.folder, ignore_errors=True)
    request.config.stash[SETTINGS].channel.log("run", experiment="lost", key="a", trained=True, seconds=2.0)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_temporary_folder_that_is_deleted_takes_nothing_along(claims, workers):
    source = ONE.replace("(evidence)", "(request, evidence)") + DELETED
    outcome = claims(source, "-n", workers)
    assert_verdict(outcome, 0)
    assert outcome.statuses == {"ONE": "supported"}
    assert "runs: 0 runs from the cache, 1 trained in 2.0 s" in outcome.text
    assert outcome.text.count("RuntimeWarning: progress cannot be followed") == 1
    errors = claims(source, "-n", workers, "-W", "error")
    assert_verdict(errors, 0)


def test_a_working_directory_that_is_deleted_is_no_reason_to_be_silent(tmp_path, monkeypatch):
    from bthcheck.harness.controller import _relative

    assert _relative(tmp_path / "a") == os.path.relpath(tmp_path / "a")
    for error in (FileNotFoundError, ValueError("path is on mount 'D:', start on mount 'C:'")):
        monkeypatch.setattr(os.path, "relpath", raiser(error))
        assert _relative(tmp_path / "a") == str(tmp_path / "a")


def raiser(error):
    def fail(*_):
        raise error

    return fail
