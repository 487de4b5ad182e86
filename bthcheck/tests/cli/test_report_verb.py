"""``bthcheck report``: files beside the records, and a sentence where there are none."""

import json

import pytest

from bthcheck.cli.command import main
from bthcheck.tests.report.test_mlrc import records


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "records.json").write_text(json.dumps(records()), encoding="utf-8")
    return folder


def test_a_summary_is_written_beside_the_records(report, capsys):
    assert main(["report", str(report), "--format", "mlrc"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"written: {report / name}" for name in ("mlrc.md", "mlrc.tex")]
    assert (report / "mlrc.md").read_text(encoding="utf-8").startswith("# Reproducibility summary")
    assert (report / "mlrc.tex").read_text(encoding="utf-8").startswith(r"\documentclass")


def test_it_may_go_elsewhere(report, tmp_path):
    assert main(["report", str(report / "records.json"), "--format", "mlrc", "--output", str(tmp_path / "a" / "b")]) == 0
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["mlrc.md", "mlrc.tex"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"), ("no", "is no JSON"), ("[]", "is no record of a session of claims"),
        ('{"claims": 3}', "is no record of a session of claims"), ('{"claims": []}', "is damaged"),
        (json.dumps(records(placebo=True)), "a placebo, of which nothing follows"),
        (json.dumps(records(falsification={"claims": []})), "attacks, which test no claim"),
        (json.dumps(records([{"claim": 3}])), "is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_session_is_refused_in_a_sentence(tmp_path, content, said, capsys):
    if content is not None:
        (tmp_path / "records.json").write_text(content)
    assert main(["report", str(tmp_path), "--format", "mlrc"]) == 2
    err = capsys.readouterr().err
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "mlrc.md").exists()


def test_the_forms_that_there_are_are_named(report, capsys):
    assert main(["report", str(report), "--format", "pdf"]) == 2
    assert "'pdf' is not 'mlrc'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said(report, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", str(report), "--format", "mlrc", "--output", str(tmp_path / "file")]) == 1
    assert "the summary is not written" in capsys.readouterr().err
