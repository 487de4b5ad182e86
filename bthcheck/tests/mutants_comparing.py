"""What could be wrong with comparing two sessions and with training one again, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

_DIFFERENCES = "report/test_differences.py::"
_REPLAY = "harness/test_replay.py::"

MUTANTS_OF_COMPARING = [
    Mutant(
        "level not shared", "tests of numbers", "report/comparison.py",
        "return FALSE_ALARM / max(1, tests + ",
        "return FALSE_ALARM / max(1, 0 * tests + ",
        (f"{_DIFFERENCES}test_tests_share_the_false_alarm", "harness/test_against.py::"
         "test_claims_are_compared_at_the_level_at_which_they_were_judged"),
    ),
    Mutant(
        "ring", "what fails", "report/comparison.py",
        "RINGS.index(self.alarm) <= RINGS.index(ring)",
        "RINGS.index(self.alarm) < RINGS.index(ring)",
        (f"{_DIFFERENCES}test_each_kind_of_change_fails_from_its_ring_on[numbers]",
         f"{_DIFFERENCES}test_each_kind_of_change_fails_from_its_ring_on[bits]"),
    ),
    Mutant(
        "a better verdict", "what fails", "report/comparison.py",
        'better = new["verdict"] == "supported"',
        'better = old["verdict"] == "supported"',
        (f"{_DIFFERENCES}test_each_kind_of_change_fails_from_its_ring_on[better]",
         f"{_DIFFERENCES}test_each_kind_of_change_fails_from_its_ring_on[verdict]"),
    ),
    Mutant(
        "another configuration", "bits that ought to be equal", "report/comparison.py",
        "same = settings[0] == settings[1] and all(",
        "same = all(",
        (f"{_DIFFERENCES}test_a_change_of_the_configuration_is_named_and_its_bits_need_not_be_equal",),
    ),
    Mutant(
        "engines that depend on neighbours", "bits that ought to be equal", "report/comparison.py",
        'and new.get("engine") not in _BY_ROUNDING',
        "",
        (f"{_DIFFERENCES}test_each_kind_of_change_fails_from_its_ring_on[bits to rounding]",),
    ),
    Mutant(
        "words alone", "findings of one side", "report/comparison.py",
        'if not left or not new.get("findings"):',
        "if not left:",
        (f"{_DIFFERENCES}test_what_could_not_be_compared_is_said",),
    ),
    Mutant(
        "sign", "difference of effects", "report/differences.py",
        "moved = after - before",
        "moved = before - after",
        (f"{_DIFFERENCES}test_an_effect_stands_with_both_intervals_and_the_difference",),
    ),
    Mutant(
        "nine digits", "difference of effects", "report/differences.py",
        "abs(moved) <= 1e-9 *",
        "abs(moved) <= 1e-19 *",
        (f"{_DIFFERENCES}test_numbers_that_are_kept_to_nine_digits_do_not_differ",),
    ),
    Mutant(
        "experiments that are nobody's", "what fails", "report/differences.py",
        "fails=comparison.fails(ring) or loose",
        "fails=comparison.fails(ring)",
        (f"{_DIFFERENCES}test_configurations_of_a_report_that_does_not_say_whose_they_are_count",),
    ),
    Mutant(
        "level of the record", "a session against the record", "harness/against.py",
        "level=level_of(baseline)",
        "level=None",
        ("harness/test_against.py::test_claims_are_compared_at_the_level_at_which_they_were_judged",),
    ),
    Mutant(
        "chosen seeds", "replay", "harness/replay.py",
        "regular = chosen == list(range(len(chosen)))",
        "regular = len(chosen) > 0",
        (f"{_REPLAY}test_it_is_trained_with_the_options_of_the_report[settings2-options2]",),
    ),
    Mutant(
        "runs read from a cache", "replay", "harness/replay.py",
        'if value_of(typed, "cache-dir") is None:',
        'if value_of(typed, "cache-dir") is not None:',
        (f"{_REPLAY}test_the_papers_claims_are_replayed_where_they_are",),
    ),
    Mutant(
        "tests anywhere", "replay", "harness/replay.py",
        ".is_relative_to(root.resolve())",
        ".is_absolute()",
        (f"{_REPLAY}test_a_report_names_no_tests_outside_the_folder",),
    ),
]  # fmt: skip
