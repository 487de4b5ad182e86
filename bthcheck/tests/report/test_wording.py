"""What the report says of a claim in words: as its verdict, and no more."""

import numpy as np
import pytest
import xarray as xr

from bthcheck.evidence import trends
from bthcheck.harness.claims import Claim, Evidence
from bthcheck.report import wording
from bthcheck.report.wording import CALM, GOOD, OPEN, WORSE, how_tested, in_seeds, orders, sentence, tone, verdict_words
from bthcheck.tests.report.rows import row


def finding(values, direction=1, along="level", **options):
    array = xr.DataArray(np.asarray(values, dtype=float), dims=("seed", along)).assign_coords(
        {"seed": range(len(values)), along: range(len(values[0]))}
    )
    return trends.trend(array, along, direction=direction, quantity="height", **options).to_dict()


def judged(*findings, id="T1", status=None, **changes):
    evidence = Evidence(Claim(id, "It grows", "Theorem 1"), None)
    from bthcheck.evidence.findings import Finding, Verdict

    evidence.findings = [Finding(**{**one, "verdict": Verdict(one["verdict"])}) for one in findings]
    made = evidence.to_dict()
    return {**made, "status": status or made["verdict"], "nodeid": "t.py::t", "seconds": 0.0, **changes}


@pytest.mark.parametrize(
    ("status", "before", "changes", "expected"),
    [
        ("supported", None, None, GOOD), ("supported", "supported", None, GOOD), ("supported", "refuted", None, OPEN),
        ("refuted", "refuted", None, CALM), ("refuted", "supported", None, WORSE), ("refuted", None, None, OPEN),
        ("inconclusive", "refuted", None, OPEN), ("inconclusive", "vacuous", None, WORSE),
        ("supported", "supported", ["less"], OPEN),
        ("refuted", "refuted", ["more"], OPEN), ("error", None, None, WORSE), ("crashed", "refuted", None, WORSE),
        ("skipped", None, None, CALM), ("skipped", "supported", None, OPEN), ("no verdict", "supported", None, CALM),
    ],
)  # fmt: skip
def test_only_what_became_worse_alarms(status, before, changes, expected):
    assert tone(row("A", status, on_record=before, changes=changes)) == expected


def test_on_a_placebo_support_alarms():
    assert tone(row("A", "supported", on_record="supported"), placebo=True) == WORSE
    assert tone(row("A", "inconclusive", on_record="supported"), placebo=True) == CALM


def test_a_verdict_says_how_it_stands_to_the_record():
    assert verdict_words(row("A", "supported")) == "supported"
    assert verdict_words(row("A", "refuted", on_record="refuted")) == "refuted, as on record"
    assert verdict_words(row("A", "refuted")) == "refuted, not on record"
    assert verdict_words(row("A", "supported", on_record="refuted")) == "supported, on record: refuted"
    assert verdict_words(row("A", "crashed")) == "crashed"


TABLES = {
    "in every one of 4 seeds": [[1, 2, 3], [0, 1, 5], [2, 3, 9], [1, 4, 5]],
    "for 83 % of pairs of levels, all of them in 2 of 4 seeds": [[1, 2, 3], [0, 1, 5], [2, 1, 9], [1, 5, 4]],
    "for 92 % of pairs of levels, all of them in 3 of 4 seeds": [
        [1, 2, 3],
        [0, 1, 1],
        [2, 3, 9],
        [1, 4, 5],
    ],  # a tie is no order
    "in 3 of 4 seeds": [[1, 2], [0, 1], [2, 1], [1, 5]],
    "in none of 2 seeds": [[2, 1], [3, 1]],
}


@pytest.mark.parametrize("said", TABLES)
def test_seeds_in_the_stated_order_are_counted(said):
    table = TABLES[said]
    assert in_seeds(finding(table)) == said
    assert in_seeds(finding(-np.asarray(table), direction=-1)) == said
    if not any(len(set(values)) < len(values) for values in table):
        pairs = [pair for seed in orders(finding(table)) for pair in seed]  # without ties the share of pairs is (1 + τ) / 2
        assert np.mean(pairs) == pytest.approx((1 + finding(table)["effect"]) / 2)


def test_the_order_of_two_quantities_is_counted_within_seeds():
    first = xr.DataArray(
        [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]], dims=("seed", "level"), coords={"seed": [0, 1], "level": [0, 1, 2]}
    )
    second = xr.DataArray([[30.0, 10.0, 20.0], [1.0, 3.0, 2.0]], dims=("seed", "level"), coords=first.coords)
    found = trends.correlation(first, second, "level").to_dict()
    assert orders(found) == [[True, True, True], [True, True, False]]
    opposite = trends.correlation(first, -second, "level", direction=-1).to_dict()
    assert orders(opposite) == [[True, True, True], [True, True, False]]


def test_nothing_is_counted_of_what_has_no_order():
    assert orders({"quantity": "q", "verdict": "supported"}) is None
    assert orders({**finding([[1, 2], [1, 2]]), "table": None}) is None
    assert orders({**finding([[1, 2], [1, 2]]), "expectation": "is between 0 and 1"}) is None
    assert orders({**finding([[1, 2], [1, 2]]), "table": {"columns": ["a", "b"], "rows": [0], "values": [[1.0, None]]}}) is None


UP = np.arange(40.0).reshape(10, 4)


def test_a_supported_claim_is_said_with_effect_and_interval():
    assert sentence(judged(finding(UP))) == (
        "Height increases with level in every one of 10 seeds (mean Kendall τ 1.00, 95 % interval 1.00 to 1.00)."
    )
    assert sentence(judged(finding(UP), finding(UP))).startswith("Both tests are supported; the weakest says: height increases")


def test_no_sentence_is_stronger_than_its_verdict():
    rng = np.random.default_rng(0)
    noise = finding(rng.normal(size=(10, 4)))
    text = sentence(judged(noise))
    assert noise["verdict"] == "inconclusive"
    assert "which is not significant" in text
    assert f"p = {noise['p']:.2g} at level" in text
    small = judged(finding(UP, minimum_effect=1.5))
    assert "by less than the stated minimum effect" in sentence(small)
    against = sentence(judged(finding(-UP)))
    assert against.startswith("It is significantly not so that height increases with level")
    for said in (text, sentence(small), against):
        assert "supported" not in said


def test_one_of_several_tests_does_not_refute_a_claim():
    """Each is made at the level of one; the claim is refuted at a share of it."""
    against = {**finding(-UP), "p_opposite": finding(-UP)["level"] * 0.9}
    made = judged(against, finding(UP))
    assert made["verdict"] == "inconclusive"
    assert "It is significantly not so" not in sentence(made)
    assert "in one test alone" in sentence(made)


def test_an_unmet_condition_comes_first():
    evidence = Evidence(Claim("T1", "It grows", "Theorem 1"), None)
    loss = xr.DataArray(
        np.ones((10, 4, 1)), dims=("seed", "level", "epoch"), coords={"seed": range(10), "level": range(4), "epoch": [1]}
    )
    evidence.fitted(loss, 0.5)
    evidence.increases(loss.isel(epoch=0) * 0 + UP, "level", quantity="height")
    made = {**evidence.to_dict(), "status": "inconclusive"}
    text = sentence(made)
    assert text.startswith("0 of 40 runs have a training loss below 0.5")
    assert "without that condition nothing is concluded" in text
    assert dict(how_tested(made))["condition"] == "training loss after the last epoch below 0.5 after the last epoch"


def test_what_has_no_verdict_says_why():
    assert sentence(row("A", "crashed", reason="worker 'gw0' crashed")) == "worker 'gw0' crashed."
    assert sentence(row("A", "skipped")) == "there is no verdict: skipped."


def test_a_counterexample_is_not_called_a_violation_only():
    evidence = Evidence(Claim("X2", "It fails", "Lemma 1 as printed", kind="exact"), None)
    from bthcheck.evidence import inequalities

    evidence.findings = [inequalities.counterexample(True, quantity="a ≤ b", example="a = 2, b = 1")]
    made = {**evidence.to_dict(), "status": "supported"}
    assert sentence(made) == "a ≤ b: the counterexample was found: violated by a = 2, b = 1."


def test_how_it_was_tested_is_a_short_list():
    facts = dict(how_tested(judged(finding(UP))))
    assert facts["direction"] == "increases with level"
    assert facts["minimum effect"] == "0.3"
    assert facts["data"] == "10 seeds"
    assert facts["statistic"].startswith("Page's trend test, exact; effect: mean within-seed Kendall τ")


def test_no_sentence_is_said_twice():
    evidence = Evidence(Claim("X1", "It holds", "Lemma 1", kind="exact"), None)
    for quantity in ("a ≤ b", "c ≤ d"):
        evidence.at_most([1.0, 2.0], [2.0, 2.0], 1e-9, quantity=quantity)
    made = {**evidence.to_dict(), "status": "supported"}
    said = [sentence(made), *wording.further(made)]
    assert sum("a ≤ b" in text for text in said) <= 2
    assert len(said) == len(set(said))


def test_seeds_are_those_of_the_experiments():
    from bthcheck.report.experiments import identity

    experiments = [{"configuration": {"seeds": list(range(n))}} for n in (3, 10)]
    rows = [{"experiments": [identity(e["configuration"])], "findings": [{"blocks": 99}]} for e in experiments]
    assert wording.seeds(rows[:1], experiments) == "3 seeds"
    assert wording.seeds(rows, experiments) == "3 to 10 seeds"
    assert wording.seeds(rows) == "99 seeds"
    assert wording.seeds([{"findings": []}]) == ""
    assert wording.usual_seeds([*rows, rows[1]], experiments) == "10 in most claims, 3 to 10 in all"
