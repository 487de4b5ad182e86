"""What differs between two snapshots, each kind of change by itself, and what is shown of it."""

import html

import pytest

from bthcheck.evidence.beginning import STATISTICS
from bthcheck.report.comparison import FALSE_ALARM, compare
from bthcheck.report.comparison_markdown import markdown
from bthcheck.report.comparison_page import page
from bthcheck.report.comparison_text import lines
from bthcheck.report.differences import ALONE, DIFFERS, UNCOMPARED, differences_of
from bthcheck.report.snapshot import RINGS, restricted
from bthcheck.tests.report.snapshots import MACHINE, claim, exact, experiment, kept, one, trend, words

OTHER_MACHINE = MACHINE | {"digest": "m2", "features": "avx512"}
CHANGES = {
    "nothing": (one(), one(), [], None),
    "verdict": (one(), one(verdict="refuted"), ["verdict"], "verdicts"),
    "better": (one(verdict="inconclusive"), one(), ["verdict"], None),
    "numbers": (one(), one(shift=3.0), ["numbers"], "numbers"),
    "configuration": (one(), one(rate=0.0012), ["configuration"], "numbers"),
    "bits": (one(), one(bits="b"), ["bits"], "bits"),
    "bits of another machine": (one(), one(bits="b", machine=OTHER_MACHINE), [], None),
    "bits to rounding": (one(engine="stacked"), one(engine="stacked", bits="b"), [], None),
    "code": (one(), one(code="c2"), ["test"], None),
    "constants": (one(constants={"WINDOW": "100"}), one(constants={"WINDOW": "10"}, code="c2"), ["test"], None),
    "words": (words(), one(), [], None),
    "words of another verdict": (words(), one(verdict="vacuous"), ["verdict"], "verdicts"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_kind_of_change_fails_from_its_ring_on(name):
    before, after, kinds, alarm = CHANGES[name]
    comparison = compare(before, after)
    for ring in RINGS:
        found = differences_of(comparison, ring)
        assert [change.kind for change in found.of_claims["T1"]] == kinds
        fails = alarm is not None and RINGS.index(ring) >= RINGS.index(alarm)
        assert found.fails is fails
        assert found.counts("T1") is fails
        assert found.standing("T1") == (f"changed: {', '.join(kinds)}" if kinds else "as on record")
        assert found.changed == (("T1",) if kinds else ())


def test_it_is_said_in_a_sentence_whether_something_differs():
    same, other = differences_of(compare(one(), one()), "numbers"), differences_of(compare(one(), one(shift=3.0)), "verdicts")
    assert same.headline() == "Nothing differs in 1 claim (checked: numbers)"
    assert other.headline() == "1 of 1 claim differs, and none of them fails (checked: verdicts)"
    assert (
        differences_of(compare(one(), one(shift=3)), "bits").headline() == "1 of 1 claim differs, and 1 fails (checked: bits)"
    )
    assert differences_of(compare(one(), kept({"T2": claim()})), "bits").headline() == "There is no claim that both have"


def test_an_effect_stands_with_both_intervals_and_the_difference():
    (row,) = differences_of(compare(one(), one(shift=3.0, effect=0.5)), "numbers").effects
    assert (row.id, row.quantity, row.measure) == ("T1", "loss", "mean within-seed Kendall τ")
    assert (row.before, row.after, row.difference) == ("0.90 [0.85, 0.95]", "0.50 [0.45, 0.55]", "-0.4")
    assert row.state == DIFFERS
    assert float(row.p) < FALSE_ALARM
    assert "loss" in row.sentence


def test_the_difference_is_none_where_one_side_has_no_effect():
    before, after = one(), one()
    del after["claims"]["T1"]["findings"][0]["effect"]
    (row,) = differences_of(compare(before, after), "numbers").effects
    assert (row.before, row.after, row.difference) == ("0.90 [0.85, 0.95]", "", "")


def test_numbers_that_are_kept_to_nine_digits_do_not_differ():
    before, after = one(), one()
    after["claims"]["T1"]["findings"][0]["effect"] *= 1 + 1e-10
    (row,) = differences_of(compare(before, after), "numbers").effects
    assert row.difference == "0"


def test_findings_that_differ_come_first_and_those_of_one_side_next():
    before = kept({"A": claim(trend("same"), trend("gone")), "B": claim(trend("other"), exact("loose"))})
    after = kept({"A": claim(trend("same"), trend("new")), "B": claim(trend("other", shift=5.0), exact("loose", median=9.0))})
    found = differences_of(compare(before, after), "numbers")
    assert [(row.quantity, row.state) for row in found.effects[:4]] == [
        ("other", DIFFERS), ("loose", DIFFERS), ("new", ALONE), ("gone", ALONE)
    ]  # fmt: skip
    assert [row.quantity for row in found.different] == ["other", "loose", "new", "gone"]
    assert [row.quantity for row in found.alike] == ["same"]
    assert (found.effects[1].before, found.effects[1].after) == ("1.5 (1.2 to 2)", "9 (1.2 to 2)")


def test_another_test_of_a_quantity_is_said_and_not_compared():
    before, after = one(), one()
    after["claims"]["T1"]["findings"][0] |= {"test": "Wilcoxon's signed-rank test, exact"}
    found = differences_of(compare(before, after), "bits")
    assert [row.state for row in found.effects] == [UNCOMPARED]
    assert "Wilcoxon's signed-rank test, exact, on record Page's trend test, exact" in found.effects[0].sentence
    assert "the test Wilcoxon's signed-rank test, on record Page's trend test" in found.tests[0][1]


def test_tests_share_the_false_alarm():
    snapshot = kept({"A": claim(trend("x"), trend("y")), "B": claim(trend("z"), exact())})
    found = differences_of(compare(snapshot, snapshot), "numbers")
    assert found.count == found.shared == 3
    assert found.level == pytest.approx(FALSE_ALARM / 3)
    given = differences_of(compare(snapshot, snapshot, level=FALSE_ALARM / 120), "numbers")
    assert (given.count, given.shared) == (3, 120)


def test_a_change_of_the_configuration_is_named_and_its_bits_need_not_be_equal():
    found = differences_of(compare(one(), one(rate=0.0012, bits="b")), "bits")
    (row,) = found.experiments
    assert (row.label, row.parts) == ("tiny", ("learning_rate 0.0012, on record 0.001",))
    assert row.bits == "need not be equal: another configuration"
    assert found.equal == (0, 0)


def test_bits_are_counted_where_they_ought_to_be_equal():
    before, after = one(), one()
    assert differences_of(compare(before, after), "bits").equal == (6, 6)
    name = next(iter(after["experiments"]))
    after["experiments"][name]["runs"]["0.5"][1] = "other"
    found = differences_of(compare(before, after), "bits")
    assert found.equal == (5, 6)
    assert (found.experiments[0].bits, found.experiments[0].other) == ("5 of 6 runs have the same bits", 1)
    assert "1 of 6 runs have other bits, the first at frequency 0.5, seed 1" in found.of_claims["T1"][0].sentence
    for other, word in (
        (one(machine=OTHER_MACHINE), "another machine or other libraries"), (one(engine="reference"), "another engine"),
    ):  # fmt: skip
        found = differences_of(compare(before, other), "bits")
        assert (found.experiments[0].bits, found.equal) == (f"need not be equal: {word}", (0, 0))


def test_levels_and_seeds_that_both_have_are_compared_in_bits():
    some, more = experiment(levels=(0.25, 0.5)), experiment(levels=(0.25, 0.5, 1.0), seeds=3)
    found = differences_of(compare(kept({"A": claim(trained=[some])}, some), kept({"A": claim(trained=[more])}, more)), "bits")
    assert found.equal == (4, 4)
    assert found.experiments[0].parts == ("levels [0.25, 0.5, 1.0], on record [0.25, 0.5]",)


def test_what_only_one_has_is_listed_and_is_no_failure():
    first, second = experiment(name="first"), experiment(name="second")
    before = kept({"A": claim(), "OLD": claim(trained=[first])}, first)
    after = kept({"A": claim(), "NEW": claim(trained=[second], verdict="refuted")}, second)
    found = differences_of(compare(before, after), "bits")
    assert not found.fails
    assert found.alone == (("NEW", "refuted", True), ("OLD", "supported", False))
    assert found.standing("NEW") == "not on record"
    assert found.experiments == ()  # those of a claim that one alone has are no difference


def test_an_experiment_that_a_claim_is_about_no_more_is_a_difference():
    first, second = experiment(name="first"), experiment(name="second")
    before, after = kept({"A": claim(trained=[first])}, first), kept({"A": claim(trained=[second])}, second)
    found = differences_of(compare(before, after), "numbers")
    assert {(row.label, row.parts[0]) for row in found.experiments} == {
        ("second", "it is trained as well, which is not on record"), ("first", "it is on record, and not trained any more")
    }  # fmt: skip
    assert found.fails


def test_machines_stand_side_by_side_those_facts_first_that_differ():
    found = differences_of(compare(one(), one(machine=OTHER_MACHINE | {"GPU": "none"})), "numbers")
    facts = {fact.name: fact for fact in found.facts}
    assert found.facts[0].name == "vector units"
    assert (facts["vector units"].before, facts["vector units"].after) == ("avx2", "avx512")
    assert [fact.name for fact in found.facts if fact.differs] == ["vector units"]
    assert (facts["GPU"].before, facts["GPU"].after) == ("", "none")
    assert facts["engine"].after == "fused"
    assert facts["torch"].before == "2.6"


def test_what_could_not_be_compared_is_said():
    assert differences_of(compare(one(), one()), "bits").notes == ()
    (note,) = differences_of(compare(words(), one()), "bits").notes
    assert note == "Only the words of T1 were compared: one side has no numbers of them"
    assert differences_of(compare(one(), words()), "bits").effects == ()  # not as if all of it were gone
    old = one()
    for entry in old["experiments"].values():
        del entry["runs"]
    del old["claims"]["T1"]["code"]
    del old["claims"]["T1"]["experiments"]
    notes = " ".join(differences_of(compare(old, one()), "bits").notes)
    for word in ("what is on record does not say what code", "no digests of runs", "a difference of any of them counts"):
        assert word in notes


def test_configurations_of_a_report_that_does_not_say_whose_they_are_count():
    old = one()
    del old["claims"]["T1"]["experiments"]
    found = differences_of(compare(old, one(rate=0.0012)), "numbers")
    assert found.fails
    assert found.headline() == "Nothing differs in 1 claim, but experiments differ (checked: numbers)"
    assert not differences_of(compare(old, one(rate=0.0012)), "verdicts").fails
    assert not differences_of(compare(old, one()), "numbers").fails


def test_a_part_of_a_snapshot_has_what_its_claims_are_about():
    first, second = experiment(name="first"), experiment(name="second")
    snapshot = kept({"A": claim(trained=[first]), "B": claim(trained=[second])}, first, second)
    part = restricted(snapshot, ["B", "C"])
    assert list(part["claims"]) == ["B"]
    assert [entry["name"] for entry in part["experiments"].values()] == ["second"]
    assert part["environments"] == snapshot["environments"]


def begun(shift=1.0, rate=0.001):
    """Return a snapshot of a claim on an experiment of which the first epochs are on record."""
    numbers = {name: [[shift] * 3, [2.0 * shift] * 3] for name in STATISTICS}
    trained = experiment(rate=rate) | {"beginning": {"after": 3, "levels": ["0.25", "0.5", "1.0"], "seeds": [0, 1], **numbers}}
    return kept({"A": claim(trained=[trained]), "B": claim(trained=[trained])}, trained)


def test_first_epochs_that_differ_are_said_although_no_finding_does():
    found = differences_of(compare(begun(), begun(1.5)), "numbers")
    (sentence,) = found.beginnings  # once, although it is of two claims
    assert sentence.startswith("tiny: 6 of 6 runs differ by more than rounding")
    assert (found.fails, found.different, found.standing("A")) == (True, (), "changed: numbers")
    names = ("before", "after")
    for text in (
        " ".join(line for line, _ in lines(found, *names, 500)), page(found, *names), html.unescape(markdown(found, *names))
    ):  # fmt: skip
        assert "tiny: 6 of 6 runs differ by more than rounding" in text
    assert found.count == found.shared == 3
    assert differences_of(compare(begun(), begun()), "numbers").beginnings == ()
    other = differences_of(compare(begun(), begun(1.5, rate=0.002)), "numbers")
    assert (other.beginnings, other.count) == ((), 2)  # another configuration explains it
