"""Reports that are damaged somewhere are compared, replayed or refused in a sentence; there is no traceback."""

import contextlib
import copy
import json
import random

import pytest

from bthcheck.cli.command import main
from bthcheck.cli.replay import _planned
from bthcheck.evidence.beginning import STATISTICS
from bthcheck.report.sides import read_side
from bthcheck.tests.report.snapshots import claim, exact, experiment, kept, records, trend

RATE = {"quantity": "rate", "test": "exact binomial test", "verdict": "supported", "statistic": ["violations", 3], "cases": 50,
        "effect": 0.06, "interval": [0.0, 0.1]}  # fmt: skip
SPREAD = {"quantity": "spread", "test": "χ² test of a standard deviation", "verdict": "supported", "effect": 1.0, "cases": 50}
JUNK = (None, 1, -1.5, "x", "", [], {}, True, [None], {"a": 1}, 1e300, "\ud800", [[]], float("inf"))
TRAINED = experiment() | {"beginning": {"after": 3, "levels": ["0.25", "0.5", "1.0"], "seeds": [0, 1],
                                        **{name: [[1.0] * 3, [2.0] * 3] for name in STATISTICS}}}  # fmt: skip
SOUND = records(kept({"A": claim(trend(), exact(), trained=[TRAINED]), "B": claim(RATE, SPREAD)}, TRAINED))


def places(value, path=()):
    """Yield where there is something in plain values."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


def damaged(number):
    """Return a report in which one thing, or two, are gone or something else."""
    chance, whole = random.Random(number), copy.deepcopy(SOUND)
    for _ in range(chance.choice([1, 1, 2])):
        *path, last = chance.choice(list(places(whole)))
        inner = whole
        for key in path:
            inner = inner[key]
        if chance.random() < 0.3:
            del inner[last]
        else:
            inner[last] = chance.choice(JUNK)
    return whole


@pytest.mark.parametrize("number", range(60))
def test_a_damaged_report_is_no_traceback(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sound.json").write_text(json.dumps(SOUND), encoding="utf-8")
    (tmp_path / "damaged.json").write_text(json.dumps(damaged(number)), encoding="utf-8")
    outcomes = [
        main(["compare", "sound.json", "damaged.json", "--html", "page.html", "--markdown", "page.md"]),
        main(["compare", "damaged.json", "sound.json", "--check", "bits"]),
    ]
    assert set(outcomes) <= {0, 1, 2}
    assert outcomes.count(2) in (0, 2)
    sentences = capsys.readouterr().err.count("Error: ")
    assert sentences == outcomes.count(2)
    if not sentences:
        with contextlib.suppress(ValueError):  # in a sentence
            assert _planned(read_side(tmp_path / "damaged.json"), ()).tests


@pytest.mark.parametrize(("place", "value"), [("id", 1.5), ("id", None), ("nodeid", 3), ("status", [])])
def test_names_that_are_no_text_are_refused(place, value, tmp_path):
    whole = copy.deepcopy(SOUND)
    row = whole["claims"][0]
    (row["claim"] if place == "id" else row)[place] = value
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(ValueError, match="a claim's id, test and status must be text"):
        read_side(path)
