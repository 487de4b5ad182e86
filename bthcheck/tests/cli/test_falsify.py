"""``bthcheck falsify``: a counterexample replayed from its file, and the ratios that are kept."""

import json
from pathlib import Path

import pytest

from bthcheck.cli.command import main
from bthcheck.evidence.attacks import store

FILES = sorted((Path(__file__).parents[1] / "evidence" / "counterexamples").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_counterexample_that_still_violates_ends_with_1(path, capsys):
    assert main(["falsify", "replay", str(path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path.stem}: the case still violates ")
    assert " > " in line


def test_one_that_does_not_any_more_ends_with_0(tmp_path, capsys):
    content = json.loads((FILES[0].parent / "X2-counterexample.json").read_text())
    content["claim"] = "X8"  # which it does not violate, whatever the file says of both sides
    path = tmp_path / "X8.json"
    path.write_text(json.dumps(content))
    assert main(["falsify", "replay", str(path)]) == 0
    assert capsys.readouterr().out.startswith("X8: the case does not violate λ ≤ Π‖W_l‖: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must have schema 1, got None"),
        ("not JSON", "must be JSON"),
        ('{"schema": 1, "claim": "T1"}', "the claim must be one of X1"),
        ('{"schema": 1, "claim": "X1", "smaller": NaN}', "smaller must be a finite number, got nan"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(text, message, tmp_path, capsys):
    (tmp_path / "file.json").write_text(text)
    assert main(["falsify", "replay", str(tmp_path / "file.json")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_file_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["falsify", "replay", str(tmp_path / "none.json")]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_a_case_that_says_nothing_is_refused(tmp_path, capsys):
    content = json.loads((FILES[0].parent / "X9-counterexample.json").read_text())
    content["case"]["points"] = [[0.0, 2.0]]
    (tmp_path / "flat.json").write_text(json.dumps(content))
    assert main(["falsify", "replay", str(tmp_path / "flat.json")]) == 2
    assert "its sides cannot be compared" in capsys.readouterr().err


def test_tightness_shows_what_is_kept(tmp_path, said):
    code, text = said("falsify", "tightness", "--cache-dir", "nothing")
    assert code == 0
    assert text.startswith("nothing has nothing of attacks")
    case = json.loads((FILES[0].parent / "X2-counterexample.json").read_text())["case"]
    store.keep(tmp_path, "X8", 1, 1234, {"ratio": 1.25, "smaller": 2.0, "larger": 2.5, "case": case}, None)
    store.keep(tmp_path, "X1", 1, 10, None, None)
    code, text = said("falsify", "tightness", "--cache-dir", tmp_path)
    assert code == 0
    first, none, row, last = text.splitlines()
    assert first.split()[:2] == ["claim", "inequality"]
    assert none.split()[0] == "X1"
    assert none.split()[-2:] == ["none", "10"]
    assert row.split()[0] == "X8"
    assert row.split()[-4:] == ["1.25", "2", "2.5", "1234"]
    assert "kept.json" in last


def test_a_report_of_attacks_is_not_compared(tmp_path, capsys):
    (tmp_path / "records.json").write_text(json.dumps({"claims": [], "profile": "quick", "falsification": {"claims": []}}))
    for verb in (["compare", str(tmp_path)], ["replay", str(tmp_path / "records.json")]):
        assert main(verb) == 2
        assert "is of attacks on claims, which have no numbers to compare" in capsys.readouterr().err
