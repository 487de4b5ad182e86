"""What could make the report say more than was found, or something else, and the tests that notice it."""

from bthcheck.tests.mutation import Mutant

WORDING, SOURCES, FOREST = "report/wording.py", "report/sources.py", "report/forest.py"
PICTURES, LEFTOVER, LATEX = "report/pictures.py", "report/leftover.py", "report/latex.py"
STYLE, STATISTICS, READING = "figures/style.py", "figures/statistics.py", "figures/reading.py"
SAID, PLACED, MARKED = "report/test_wording.py::", "report/test_sources.py::", "report/test_forest.py::"
SHOWN, READ = "report/test_pictures.py::", "figures/test_reading.py::"

MUTANTS_OF_THE_REPORT = [
    Mutant(
        "report", "ties count as an order", WORDING,
        "sign * (b - a) > 0 for a, b in combinations", "sign * (b - a) >= 0 for a, b in combinations",
        (f"{SAID}test_seeds_in_the_stated_order_are_counted[for 92 % of pairs of levels, all of them in 3 of 4 seeds]",),
    ),
    Mutant(
        "report", "neighbours alone make an order", WORDING, "whole = sum(map(all, found))", "whole = sum(map(any, found))",
        (f"{SAID}test_seeds_in_the_stated_order_are_counted[for 83 % of pairs of levels, all of them in 2 of 4 seeds]",),
    ),
    Mutant(
        "report", "direction ignored", WORDING, 'sign = 1 if expected.startswith("increases") else -1', "sign = 1",
        (f"{SAID}test_seeds_in_the_stated_order_are_counted[in 3 of 4 seeds]",),
    ),
    Mutant(
        "report", "one test refutes a claim", WORDING, 'finding["verdict"] == "refuted" and verdict != "refuted"', "False",
        (f"{SAID}test_one_of_several_tests_does_not_refute_a_claim",),
    ),
    Mutant(
        "report", "worse is calm", WORDING,
        "STATUSES.index(status) < STATUSES.index(before)", "STATUSES.index(status) > STATUSES.index(before)",
        (f"{SAID}test_only_what_became_worse_alarms[refuted-supported-None-worse]",),
    ),
    Mutant(
        "report", "the beginning of a name", SOURCES, r'{re.escape(self.name)}(?!\w|\.\w)"', '{re.escape(self.name)}"',
        (f"{PLACED}test_a_name_is_not_the_beginning_of_another[Fig. 1ab-False]",),
    ),
    Mutant(
        "report", "figures that are not the paper's", SOURCES,
        "if item.is_source_of(row)\n            for figures",
        "if item.named_in(row['claim']['source'])\n            for figures",
        (f"{PLACED}test_the_gallery_has_every_figure_of_the_paper_once",),
    ),
    Mutant(
        "report", "place of τ", FOREST, "50 * (1 + min(1.0, max(-1.0, value)))", "100 * min(1.0, max(-1.0, value))",
        (f"{MARKED}test_orders_lie_between_minus_one_and_one",),
    ),
    Mutant(
        "report", "beyond the scale is not said", FOREST, "beyond = not all(", "beyond = not any(",
        (f"{MARKED}test_ratios_are_on_a_logarithmic_scale",),
    ),
    Mutant(
        "report", "any attribute", PICTURES, "elif name in _ATTRIBUTES:", "else:",
        (f"{SHOWN}test_what_could_do_something_is_left_out[onload]",),
    ),
    Mutant(
        "report", "rounded away", PICTURES, "_DIGITS = 2 ", "_DIGITS = 0 ",
        (f"{SHOWN}test_numbers_are_rounded_to_a_hundredth_of_a_point",),
    ),
    Mutant(
        "report", "any file removed", LEFTOVER,
        "isinstance(path, str) and _OURS.fullmatch(path)}\n\n", "isinstance(path, str)}\n\n",
        ("report/test_leftover.py::test_a_path_that_leads_elsewhere_is_no_figure[x.svg]",),
    ),
    Mutant(
        "report", "removed while a session runs", "report/page.py",
        "    if state != RUNNING:\n        leftover", "    if True:\n        leftover",
        ("report/test_leftover.py::test_nothing_is_removed_while_a_session_runs_and_all_once_it_ended",),
    ),
    Mutant(
        "report", "a special of LaTeX", LATEX, r'"&": r"\&", ', "",
        ("report/test_mlrc.py::test_latex_shows_any_text_as_it_is",),
    ),
    Mutant(
        "report", "smallest for largest", STATISTICS,
        'f"largest, {_label(along, level)}", one.max("seed")', 'f"largest, {_label(along, level)}", one.min("seed")',
        (f"{READ}test_the_numbers_of_curves_are_median_and_extremes",),
    ),
    Mutant(
        "report", "logarithms for values", STATISTICS, "said = table[some, position]", "said = shown[:, position]",
        (
            f"{READ}test_the_numbers_of_a_distribution_are_those_of_its_seeds[True]",
            f"{READ}test_a_pointer_is_told_seed_level_and_value",
        ),
    ),
    Mutant(
        "report", "titles that are shifted", STYLE, 'group.count("<use ") != len(titles)', "not titles",
        (f"{READ}test_markers_that_are_not_drawn_shift_no_title",),
    ),
    Mutant(
        "report", "a colour by its rank", STATISTICS, "return 0.8 - 0.75 * np.array(numbers)", "pass",
        (f"{READ}test_a_level_has_one_colour_wherever_it_is_drawn",),
    ),
]  # fmt: skip
