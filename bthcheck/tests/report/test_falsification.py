"""What a report says of attacks."""

import pytest

from bthcheck.report import falsification, page

ENTRY = {
    "claim": "X1", "inequality": "λ ≤ σ₁‖g‖", "expected": "withstands", "ended": True, "examples": 1200, "discarded": 3,
    "informative": 900, "seeds": 4, "seconds": 37.5, "coverage": [["weights", "whole 60%, normal 40%"]], "counterexample": None,
    "closest": {"ratio": 1.0000001, "smaller": 2.0, "larger": 2.0000002, "case": {"kind": "network"}}, "all_examples": 5000,
}  # fmt: skip
FELL = {
    "smaller": 2.0,
    "larger": 1.0,
    "tolerance": 0.0,
    "case": {"kind": "path", "points": [[1.0]]},
    "file": "falsified/X1.json",
}
EXPLORED = {
    "claim": "T1", "experiments": 30, "fit": 12, "reversed_fit": 1, "reversed_unfit": 9, "seconds": 37.5,
    "strongest": {"low": 0.25, "high": 0.5, "width": 8, "depth": 2, "learning_rate": 0.01, "epochs": 200, "points": 20,
                  "seed": 3, "margin": 0.2, "phi": [0.6, 0.4]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({}, "withstood", "X1 withstood 1200 examples in 38 s: λ ≤ σ₁‖g‖"),
        ({"examples": 1}, "withstood", "X1 withstood 1 example in 38 s: λ ≤ σ₁‖g‖"),
        ({"ended": False}, "interrupted", "X1 was interrupted, not falsified so far: λ ≤ σ₁‖g‖, 1200 examples in 38 s"),
        ({"expected": "falls"}, "not found", "X1: no counterexample to λ ≤ σ₁‖g‖ was found this time, 1200 examples in 38 s"),
        ({"counterexample": FELL}, "falsified",
         "X1 falls, AND WAS TO WITHSTAND: λ ≤ σ₁‖g‖ is violated, 2 > 1, after 1200 examples in 38 s (falsified/X1.json)"),
        ({"counterexample": FELL, "expected": "falls", "ended": False}, "falsified",
         "X1 falls, as it is to: λ ≤ σ₁‖g‖ is violated, 2 > 1, after 1200 examples in 38 s (falsified/X1.json)"),
    ],
)  # fmt: skip
def test_every_outcome_has_its_sentence(change, status, sentence):
    entry = {**ENTRY, **change}
    assert falsification.status(entry) == status
    assert falsification.sentence(entry) == sentence
    assert falsification.is_failure(entry) == ("AND WAS TO WITHSTAND" in sentence)


def test_what_fell_and_was_to_withstand_stands_last_and_is_counted():
    found = {"planned": 5, "explored": [EXPLORED], "claims": [
        {**ENTRY, "counterexample": FELL}, ENTRY, {**ENTRY, "claim": "X9-counterexample", "expected": "falls"}
    ]}  # fmt: skip
    lines = falsification.lines(found)
    assert lines[0][0].startswith(
        "T1 explored, no verdict: in 30 generated experiments (38 s) the order is reversed in 1 of 12"
    )
    assert "9 of 18 that are not; strongest reversal among the fit: frequencies 0.25 and 0.5" in lines[0][0]
    assert [color for _, color in lines] == ["", "", "yellow", "red"]
    assert falsification.summary(found) == ("1 withstood; 1 FELL AND WAS TO WITHSTAND; 1 not found this time; 1 not attacked")
    assert falsification.summary({"planned": 0, "explored": [], "claims": []}) == "nothing was attacked"
    assert "closest to one" in falsification.explored({**EXPLORED, "strongest": {**EXPLORED["strongest"], "margin": -0.1}})
    assert falsification.explored({**EXPLORED, "strongest": None}).endswith("18 that are not")


def test_tightness_is_of_all_sessions():
    assert falsification.tightness([ENTRY, {**ENTRY, "closest": None}]) == [
        ["X1", "λ ≤ σ₁‖g‖", "1.0000001", "2", "2", "5000"], ["X1", "λ ≤ σ₁‖g‖", "none", "", "", "5000"]
    ]  # fmt: skip


def test_the_page_shows_attacks(tmp_path):
    found = {"planned": 3, "explored": [EXPLORED], "claims": [{**ENTRY, "counterexample": FELL}]}
    shared = {
        "experiments": [], "runs": {"trained": 0, "training_seconds": 0.0, "from_cache": 0}, "profile": "laptop",
        "placebo": False, "baseline": {}, "seconds": 1.0, "root": tmp_path, "command": ["pytest"],
    }  # fmt: skip
    text = page.write(tmp_path, [], **shared, falsification=found).read_text()
    for part in ("How tight each inequality is", "1.0000001", "whole 60%, normal 40%", "falsified/X1.json", "T1 explored",
                 "&#34;points&#34;: [[1.0]]"):  # fmt: skip
        assert part in text, part
    text = page.write(tmp_path, [], **shared).read_text()
    assert "Falsification" not in text
