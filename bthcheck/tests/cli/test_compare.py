"""``bthcheck compare`` on made-up reports and records."""

import json
from pathlib import Path

import pytest

from bthcheck.cli.command import main
from bthcheck.harness import paper
from bthcheck.tests.report.snapshots import claim, kept, one, records, trend


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """A function that runs the command in this process, in a folder of its own, and returns status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def put(name, whole):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole), encoding="utf-8")
    return name


def baseline(**profiles):
    return {"schema": 2, "profiles": profiles}


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        ({}, (0, 0, 0)),
        ({"verdict": "refuted"}, (1, 1, 1)),
        ({"shift": 3.0}, (0, 1, 1)),
        ({"rate": 0.0012}, (0, 1, 1)),
        ({"bits": "b"}, (0, 0, 1)),
        ({"code": "c2"}, (0, 0, 0)),
    ],
)
def test_the_exit_status_says_whether_something_differs_that_counts(said, change, statuses):
    put("a/records.json", records(one()))
    put("b/records.json", records(one(**change)))
    assert tuple(said("compare", "a", "b", "--check", ring)[0] for ring in ("verdicts", "numbers", "bits")) == statuses
    assert said("compare", "a", "b")[0] == statuses[1]


def test_two_reports_are_compared_in_the_order_in_which_they_are_named(said):
    put("a/records.json", records(one()))
    put("b.json", records(one(verdict="refuted")))
    text = said("compare", "a", "b.json")[1]
    assert "on record: a/records.json, profile laptop, finished 2026" in words(text)
    assert "T1: refuted, on record supported" in text
    assert "T1: supported, on record refuted" in said("compare", "b.json", "a")[1]


def test_a_baseline_is_what_is_on_record_wherever_it_stands(said):
    put("reports/records.json", records(one(verdict="refuted"), profile="quick"))
    put("base.json", baseline(quick=one(), laptop=one(verdict="vacuous")))
    for arguments in (("reports", "base.json"), ("base.json", "reports")):
        code, text = said("compare", *arguments)
        assert code == 1
        assert "on record: base.json, profile quick" in words(text)
        assert "T1: refuted, on record supported" in text
    code, text = said("compare", "base.json", "base.json", "--profile", "laptop")
    assert code == 0
    assert "Nothing differs in 1 claim" in text


def test_without_another_the_record_is_that_of_list(said):
    put("out/records.json", records(one()))
    put("reports/baseline.json", baseline(laptop=one(verdict="refuted")))
    code, text = said("compare", "out")
    assert code == 0  # a better verdict is said
    assert "on record: reports/baseline.json" in text
    assert "T1: supported, on record refuted" in text
    Path("reports/baseline.json").unlink()
    text = said("compare", "out")[1]
    assert str(paper.on_record(paper.PACKAGE)) in "".join(text.split())


def test_it_is_written_as_a_page_and_as_markdown(said, tmp_path):
    put("a/records.json", records(one()))
    put("b/records.json", records(one(shift=3.0, statement="<i>It</i> grows")))
    code, _ = said("compare", "a", "b", "--html", "page.html", "--markdown", "page.md")
    assert code == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Effects that differ" in page
    assert "a/records.json, profile laptop" in page
    assert "#### Effects that differ" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_more_is_said_where_it_is_asked_for(said):
    put("a/records.json", records(one()))
    assert "the same numbers for 10 seeds" not in words(said("compare", "a", "a")[1])
    assert "the same numbers for 10 seeds" in words(said("compare", "a", "a", "-v")[1])


def test_an_older_report_is_compared_as_far_as_it_goes(said):
    old = records(one(verdict="refuted", rate=0.0012))
    for name in ("environments", "settings"):
        del old[name]
    for entry in old["experiments"]:
        del entry["runs"], entry["environment"]
    for row in old["claims"]:
        for name in ("code", "constants", "experiments", "environment", "changes", "fails"):
            del row[name]
    put("old/records.json", old)
    put("new/records.json", records(one()))
    code, text = said("compare", "old", "new")
    assert code == 1
    text = words(text)
    assert "T1: supported, on record refuted" in text
    assert "tiny: learning_rate 0.001, on record 0.0012" in text
    for sentence in ("does not say what code", "has no digests of runs", "a difference of any of them counts"):
        assert sentence in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere",), "nowhere cannot be read: No such file or directory"),
        (("empty",), "the folder empty holds no records.json"),
        (("a", "damaged.json"), "damaged.json must be a records.json or a baseline, but it is no JSON"),
        (("a", "foreign.json"), "foreign.json must be a JSON object of profiles"),
        (("a", "quick.json"), "quick.json has nothing on record for profile laptop, only for quick"),
        (("a", "placebo.json"), "placebo.json is a placebo"),
        (("quick.json",), "quick.json is a baseline, and so is the record"),
        (("a", "a", "--profile", "paper"), "is of profile laptop, and --profile is paper"),
        (("a", "a", "--check", "words"), "'words' is not one of"),
        (("a", "odd.json"), "cannot be compared, one of them is damaged"),
        (("a", "a", "--html", "no/where.html"), "no/where.html cannot be written: No such file or directory"),
        (("a", "a", "--markdown", "empty"), "empty cannot be written: it is there and is no file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(said, tmp_path, arguments, sentence):
    put("a/records.json", records(one()))
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.json").write_text("{")
    put("foreign.json", {"a": 1})
    put("quick.json", baseline(quick=one()))
    put("placebo.json", records(one(), placebo=True))
    odd = kept({"T1": claim(trend(level="high"))})
    odd["claims"]["T1"]["findings"][0] |= {"table": {"columns": ["a"], "rows": [[0]], "values": [[1.0]]}, "level": 0.1}
    put("odd.json", records(odd))
    code, text = said("compare", *arguments)
    assert code == 2, text
    assert sentence in words(text)
    assert "Traceback" not in text


def test_a_claim_without_a_verdict_is_said(said):
    whole = records(kept({"A": claim(), "B": claim()}))
    whole["claims"][1] |= {"status": "crashed", "verdict": None}
    put("a/records.json", whole)
    put("b/records.json", records(kept({"A": claim(), "B": claim()})))
    code, text = said("compare", "a", "b")
    assert code == 0
    assert "1 claim has no verdict in a/records.json, and cannot be compared: B (crashed)." in words(text)
    assert "Claims not on record B (supported)" in words(text)
