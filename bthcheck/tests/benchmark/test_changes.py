"""The benchmark of what is noticed: its changes can be made, and its judgement is right, on records made up for that."""

import copy
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bthcheck.benchmark import alterations, changes
from bthcheck.benchmark.alterations import CHANGES, HONEST, PACKAGE, Edit, Trial, altered
from bthcheck.benchmark.changes import LEVEL, chaos, chosen, judged, moves, noticed, replaced, session, table
from bthcheck.report.experiments import identity
from bthcheck.tests.mutation import IS_CHECKOUT

LEVELS = ["0.25", "0.5", "1"]
PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "noticing.md"


def finding(quantity="φ", values=None, **fields):
    shown = None if values is None else {"columns": LEVELS, "rows": list(range(10)), "values": values.tolist()}
    blank = dict.fromkeys(("statistic", "effect", "cases", "spread"))
    return {"quantity": quantity, "test": "Page's trend test, exact", "verdict": "supported", **blank, "table": shown, **fields}


def claim(name, *findings, verdict="supported"):
    return {"claim": {"id": name}, "verdict": verdict, "findings": list(findings), "experiments": []}


def trained(records, **training):
    """Say of a session that its first claim is about an experiment that is trained like this."""
    configuration = {"seeds": [0, 1], "training": {"learning_rate": 0.001} | training}
    records["experiments"] = [{"name": "sinusoids", "configuration": configuration}]
    records["claims"][0]["experiments"] = [identity(configuration)]
    return records


@pytest.fixture
def recorded():
    numbers = np.random.default_rng(0).normal(5, 1, (10, 3))
    late = finding("late φ", numbers)
    rate = finding("deviations", test="exact binomial test", statistic=["violations", 3.0], cases=200)
    scores = finding("scores", test="χ² test of a standard deviation", effect=1.0, cases=200)
    loose = finding("λ ≤ σ₁ φ", test="exact inequality", effect=2.0, spread=[1.9, 2.1], cases=100)
    claims = [claim("T1", late), claim("X3", rate, scores), claim("X1", loose), claim("T9", finding())]
    return trained({"claims": claims})


def test_every_change_and_rerun_can_be_made():
    names = [trial.name for trial in (*CHANGES, *HONEST)]
    assert len(set(names)) == len(names)
    assert len(CHANGES) >= 12
    for trial in (*CHANGES, *HONEST):
        assert trial.edits or trial.options or trial.environment
        assert trial.claims
        for file in {edit.file for edit in trial.edits}:
            source = (PACKAGE / file).read_text(encoding="utf-8")
            assert altered(source, [edit for edit in trial.edits if edit.file == file]) != source


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x", "z", "'x' must occur once in x.py, found 2 times"),
        ("w", "z", "'w' must occur once in x.py, found 0 times"),
        ("x = 1", "x = 1  # once", "x.py would be the same program"),
        ("x = 1", "x =", "x.py would be no Python"),
    ],
)
def test_what_is_no_change_is_refused(old, new, message):
    with pytest.raises(ValueError, match=message):
        altered("x = 1\ny = x\n", [Edit("x.py", old, new)])


@pytest.mark.parametrize("small", [True, False])
def test_an_unchanged_session_has_the_claims_of_all_others(small):
    (unchanged, all_claims), *trials = chosen(small)
    assert unchanged.name == "unchanged"
    assert not unchanged.edits
    assert set(all_claims) == {claim for _, claims in trials for claim in claims} <= set(alterations.COSTS)
    assert {trial.name for trial, _ in trials} >= {trial.name for trial in CHANGES}
    assert any(trial in HONEST for trial, _ in trials)


def test_an_unchanged_session_is_noticed_by_no_ring(recorded):
    result = noticed(recorded, copy.deepcopy(recorded))
    assert (result.configuration, result.verdicts, result.numbers, result.bits) == ([], [], [], [])
    assert result.claims == ["T1", "X3", "X1", "T9"]
    assert (result.tests, result.smallest, result.sentence) == (3, pytest.approx(1), "")


def test_every_ring_notices_its_own(recorded):
    new = trained(copy.deepcopy(recorded))
    values = np.array(new["claims"][0]["findings"][0]["table"]["values"])
    new["claims"][0]["findings"][0]["table"]["values"] = (values * (1 + 1e-7)).tolist()
    new["claims"][3]["verdict"] = "refuted"
    result = noticed(recorded, new)
    assert (result.configuration, result.verdicts, result.numbers, result.bits) == ([], ["T9"], [], ["T1"])

    trained(new, learning_rate=0.002)
    new["claims"][0]["findings"][0]["table"]["values"] = (values * 1.1).tolist()
    result = noticed(recorded, new)
    assert (result.configuration, result.numbers) == (["T1"], ["T1"])
    assert result.sentence.startswith("late φ at ")
    assert result.smallest <= LEVEL

    assert (result.beginnings, result.findings) == ([], ["T1"])
    begun = trained(copy.deepcopy(recorded))
    kept = {"after": 3, "levels": LEVELS, "seeds": [0, 1, 2, 3]}
    for records, value in ((recorded, 1.0), (begun, 1.1)):
        numbers = dict.fromkeys(("train_loss", "test_loss", "trajectory_length"), [[value] * 3] * 4)
        records["experiments"][0]["beginning"] = kept | numbers
    result = noticed(recorded, begun)
    assert (result.numbers, result.beginnings, result.findings, result.bits) == (["T1"], ["T1"], [], [])
    assert result.sentence.startswith("sinusoids: 12 of 12 runs differ by more than rounding")

    x3, x1 = new["claims"][1]["findings"], new["claims"][2]["findings"]
    for place, name, value, claims in (
        (x3[0], "statistic", ["violations", 60.0], ["T1", "X3"]),
        (x3[1], "effect", 0.5, ["T1", "X3"]),
        (x1[0], "effect", 2.2, ["T1", "X1"]),
    ):
        before, place[name] = place[name], value
        assert noticed(recorded, new).numbers == claims
        place[name] = before


def test_how_far_runs_move_is_in_units_of_the_spread_between_seeds(recorded):
    new = copy.deepcopy(recorded)
    values = np.array(new["claims"][0]["findings"][0]["table"]["values"])
    spread = values.std(axis=0, ddof=1)
    moved = values + np.array([0.1, 0.2, -0.4]) * spread
    new["claims"][0]["findings"][0]["table"]["values"] = moved.tolist()
    median, largest = moves(recorded, new)["T1", "late φ"]
    assert (median, largest) == (pytest.approx(0.2), pytest.approx(0.4))
    new["claims"][0]["findings"][0]["table"]["rows"] = list(range(20, 30))
    assert moves(recorded, new) == {}
    assert chaos({"generic": {("T1", "late φ"): (0.2, 0.4)}, "other": {}}).splitlines()[-1] == "| T1, late φ | 0.2, 0.4 |  |"


def test_judgement(recorded):
    same = noticed(recorded, recorded)
    new = copy.deepcopy(recorded)
    new["claims"][0]["findings"][0]["table"]["values"][0][0] += 1e-7
    bits = noticed(recorded, new)
    new["claims"][0]["findings"][0]["table"]["values"] = np.full((10, 3), 9.0).tolist()
    numbers = noticed(recorded, new)
    assert judged([(CHANGES[0], numbers), (HONEST[0], bits), (HONEST[1], same)]) == []
    missed, nothing, alarm = judged([(CHANGES[0], bits), (CHANGES[1], same), (HONEST[0], numbers)])
    assert missed == f"“{CHANGES[0].name}” is missed by numbers, the smallest p is 1"
    assert nothing == f"“{CHANGES[1].name}” changes no number: nothing was tried"
    assert alarm.startswith(f"false alarm on “{HONEST[0].name}” by T1: late φ at 1 was ")
    rows = table([(CHANGES[0], numbers), (HONEST[0], bits)]).splitlines()
    assert rows[2].startswith(f"| {CHANGES[0].name} | – | – | – | T1 | 1 of 4 | late φ at 1 was ")
    assert rows[3] == f"| {HONEST[0].name} | – | – | – | – | 1 of 4 | 3 tests, the smallest p is 1 |"


def test_a_part_of_a_page_is_written_anew():
    part = "<!-- a: written by python -m bthcheck.benchmark.changes -->\n{}<!-- end of a -->"
    assert replaced(f"x\n{part.format('old')}\ny", "a", r"new \1") == "x\n" + part.format(r"new \1") + "\ny"
    with pytest.raises(ValueError, match="must have the part “b” once"):
        replaced(part.format("old"), "b", "new")


@pytest.mark.skipif(not IS_CHECKOUT, reason="the page is in a checkout")
def test_the_page_has_every_change():
    page = PAGE.read_text(encoding="utf-8")
    for part in ("changes", "honest reruns", "chaos", "machine"):
        assert replaced(page, part, "")
    assert not [trial.name for trial in CHANGES if f"| {trial.name} |" not in page]
    assert sum(f"| {trial.name} |" in page for trial in HONEST) >= 4


@pytest.mark.skipif(not IS_CHECKOUT, reason="the claims are in a checkout")
def test_a_session_runs_on_a_changed_copy(tmp_path):
    test = "claims/test_first_layer.py::test_lower_bound_fails_for_wide_first_layers"
    edit = Edit("evidence/inequalities.py", '"no counterexample was found"', '"none was found"')
    also = Edit("evidence/inequalities.py", "Verdict.SUPPORTED if found else", "Verdict.REFUTED if found else")
    trial = Trial("words", (edit, also), options=("--profile", "quick"))
    records = session(tmp_path / "copy", trial, (test,), tmp_path / "runs")
    assert [row["verdict"] for row in records["claims"]] == ["refuted"]  # of the copy, not of this package


@pytest.mark.skipif(not IS_CHECKOUT, reason="the claims are in a checkout")
@pytest.mark.parametrize("written", ["", '{"claims": []}', '{"claims": [{"claim": {"id": "T1"}, "verdict": null}]}'])
def test_a_session_without_verdicts_says_so(tmp_path, monkeypatch, written):
    def ends(command, *, cwd, **_):
        if written:
            (cwd / "results").mkdir()
            (cwd / "results" / "records.json").write_text(written)
        return subprocess.CompletedProcess(command, 1, "what pytest printed", "")

    monkeypatch.setattr(changes.subprocess, "run", ends)
    with pytest.raises(RuntimeError, match="the session “x” gave no verdict:\nwhat pytest printed"):
        session(tmp_path / "copy", Trial("x"), ("claims/test_trajectory.py",), tmp_path / "runs")


def test_a_run_prints_what_it_does_and_writes_the_page(tmp_path, monkeypatch, capsys, recorded):
    page, kept = tmp_path / "page.md", tmp_path / "records"
    kept.mkdir()
    parts = ("changes", "honest reruns", "chaos", "machine")
    blank = [changes._REPLACED.format(name=part, by="python -m bthcheck.benchmark.changes", text="") for part in parts]
    page.write_text("".join(blank), encoding="utf-8")
    moved = copy.deepcopy(recorded)
    moved["claims"][0]["findings"][0]["table"]["values"] = np.full((10, 3), 9.0).tolist()
    made = []

    def made_up(folder, trial, claims, cache):
        made.append(trial.name)
        return moved if trial in CHANGES else recorded

    monkeypatch.setattr(changes, "session", made_up)
    assert changes.report(True, page, kept) == []
    out = capsys.readouterr().out
    assert f"2 of {len(made)}, {CHANGES[0].name}: 0 s; verdicts 0, numbers 1, bits 1 of 4 claims; about 0 min left" in out
    assert f"| {CHANGES[0].name} | – | – | – | T1 | 1 of 4 | " in page.read_text(encoding="utf-8")
    count = len(made)
    assert changes.report(True, None, kept) == []
    assert len(made) == count  # the records are read again


def test_the_command_ends_with_1_where_something_is_wrong(monkeypatch):
    monkeypatch.setattr(changes, "report", lambda *_: ["“x” is missed"])
    result = CliRunner().invoke(changes.main, ["--ci"])
    assert (result.exit_code, result.output) == (1, "“x” is missed\n")
    monkeypatch.setattr(changes, "report", lambda *_: [])
    assert CliRunner().invoke(changes.main, []).exit_code == 0
    monkeypatch.setattr(changes, "PACKAGE", Path("/nowhere/bthcheck"))
    result = CliRunner().invoke(changes.main, [])
    assert (result.exit_code, "this needs a checkout" in result.output) == (1, True)
