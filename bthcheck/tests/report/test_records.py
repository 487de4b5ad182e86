"""Which numbers stand for a claim."""

from bthcheck.report.records import headline


def test_headline_is_the_weakest_finding_of_the_claims_verdict():
    row = {
        "verdict": "inconclusive",
        "findings": [
            {"verdict": "supported", "p": 0.9},
            {"verdict": "inconclusive", "p": 0.1},
            {"verdict": "inconclusive", "p": 0.3},
        ],
    }
    assert headline(row)["p"] == 0.3
    assert headline({"verdict": None, "findings": []}) == {}


def test_headline_of_a_claim_whose_condition_is_not_met_is_what_was_measured():
    condition = {"verdict": "inconclusive", "test": "condition", "p": None}
    tests = [{"verdict": "supported", "test": "trend", "p": p} for p in (0.1, 0.3)]
    assert headline({"verdict": "inconclusive", "findings": [condition, *tests]})["p"] == 0.3
    assert headline({"verdict": "inconclusive", "findings": [condition]}) is condition
