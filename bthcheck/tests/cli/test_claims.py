"""``bthcheck list``, ``show`` and ``data``."""

import importlib
import json
import sys

import pytest

from bthcheck.cli import verdicts
from bthcheck.cli.show import TESTED
from bthcheck.cli.statements import statements
from bthcheck.harness import paper
from bthcheck.harness.claims import KINDS

CLAIMS = paper.claims_folder()


def test_claims_are_read_as_they_are_registered(monkeypatch):
    monkeypatch.delitem(sys.modules, "claims", raising=False)
    paper.call_by_name()
    found = statements(CLAIMS)
    registered = {}
    for path in CLAIMS.rglob("test_*.py"):
        module = importlib.import_module(".".join(("claims", *path.relative_to(CLAIMS).with_suffix("").parts)))
        for name, function in vars(module).items():
            if function.__class__.__name__ == "function" and function.__module__ == module.__name__:
                marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "claim"]
                registered |= {mark.args[0].id: (mark.args[0], path, name) for mark in marks}
    assert len(found) == len(registered) > 30
    for id, statement in found.items():
        claim, path, name = registered[id]
        assert (statement.id, statement.statement, statement.source, statement.kind, statement.scope,
                statement.family) == (
            claim.id, claim.statement, claim.source, claim.kind, claim.scope, claim.family
        )  # fmt: skip
        assert (statement.file, statement.function) == (path, name)
        assert path.read_text(encoding="utf-8").splitlines()[statement.line - 1].startswith(f"def {name}(")
        assert statement.needs or statement.presents


def test_what_is_computed_in_a_claim_is_shown_as_it_is_written(tmp_path):
    (tmp_path / "test_own.py").write_text(
        'N = 3\n\n\n@bthcheck.claim("A", statement=f"{N} of {M + 1}", source="x" * 2)\ndef test_a(evidence): ...\n'
    )
    (found,) = statements(tmp_path).values()
    assert (found.statement, found.source, found.kind, found.needs, found.presents) == (
        "3 of M + 1",
        "'x' * 2",
        "trend",
        (),
        (),
    )


def test_every_kind_is_explained():
    assert set(TESTED) == set(KINDS)


def test_all_claims_are_listed(said):
    code, text = said("list")
    assert code == 0
    lines = text.splitlines()
    assert lines[0].split() == ["claim", "on", "record", "last", "statement"]
    assert [line.split()[0] for line in lines[1:]] == list(statements(CLAIMS))
    assert {line.split()[1] for line in lines[1:]} <= {"supported", "refuted", "inconclusive", "vacuous", "none"}
    assert {line.split()[2] for line in lines[1:]} == {"–"}


def records(folder, **changes):
    folder.mkdir(parents=True)
    row = {"claim": {"id": "T2"}, "status": "refuted", "reason": "it shrank"}
    session = {"profile": "quick", "placebo": False, "finished": "2026-01-02T03:04:05", "claims": [row], **changes}
    (folder / "records.json").write_text(json.dumps(session))


def test_a_claim_is_shown_with_its_verdicts(said, tmp_path):
    assert "last       no verdict in reports: bthcheck verify T2" in said("show", "T2")[1]
    records(tmp_path / "reports", placebo=True)
    (tmp_path / "reports" / "baseline.json").write_text('{"laptop": {"T2": "vacuous"}}')
    code, text = said("show", "t2")
    assert code == 0
    assert text.startswith("T2: The local Lipschitz constant at the training points grows with the frequency\nsource ")
    words = " ".join(text.split())
    assert "scope mean over the training points after the last epoch tested as a trend" in words
    assert "needs sinusoids presents evidence.increases(final, FREQUENCY" in words
    assert "on record laptop vacuous (reports/baseline.json)" in words
    assert "last refuted on a placebo (profile quick, finished 2026-01-02T03:04:05) it shrank" in words
    assert next(line for line in said("list")[1].splitlines() if line.startswith("T2 ")).split()[1:3] == ["vacuous", "refuted"]


def test_a_claim_that_there_is_not_is_refused(said):
    code, text = said("show", "T99")
    assert code == 2
    assert "the claim must be one of AS-PUBLISHED, E1, E1-images, E1-images-within, E10, " in text
    assert "got 'T99'" in text
    assert said("show")[0] == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"claims": [1]}'])
def test_records_that_are_none_are_refused(said, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records.json").write_text(content)
    for arguments in (("list",), ("show", "T2")):
        code, text = said(*arguments, "--results-dir", "out")
        assert (code, text) == (
            1,
            "Error: out/records.json is no record of a session of claims; name another folder with --results-dir\n",
        )


def test_a_record_that_is_none_is_refused(said, tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "baseline.json").write_text("[]")
    code, text = said("list")
    assert code == 1
    assert "baseline.json must be a JSON object of profiles" in text


def test_claims_that_are_not_there_are_missed(said, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "PACKAGE", tmp_path / "bthcheck")
    code, text = said("list")
    assert code == 1
    assert "the paper's claims are neither in" in text
    assert "install bthcheck anew" in text


def test_the_record_of_a_folder_comes_before_the_one_that_came_along(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert verdicts.recorded("laptop")[1]["T1"] == "supported"
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "baseline.json").write_text("{}")
    assert verdicts.recorded("laptop") == (tmp_path / "reports" / "baseline.json", {})


def test_data_are_fetched_as_by_the_module(said, monkeypatch):
    from bthcheck.datasets import full

    monkeypatch.setattr(full, "download", lambda dataset, root: f"{root}/{dataset}")
    assert said("data", "download", "mnist", "--data-root", "x") == (0, "mnist is in x/mnist\n")

    def failing(dataset, root):
        raise ValueError("mnist could not be downloaded")

    monkeypatch.setattr(full, "download", failing)
    assert said("data", "download", "mnist") == (1, "Error: mnist could not be downloaded\n")
    code, text = said("data", "download", "svhn")
    assert code == 2
    assert "'svhn' is not one of 'cifar10', 'mnist'" in text
