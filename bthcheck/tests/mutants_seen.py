"""What could be wrong with what people are told, while they wait and afterwards, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

ESTIMATE, TIMES = "progress/estimate.py", "progress/test_estimate.py"

MUTANTS_OF_WHAT_IS_SEEN = [
    Mutant(
        "time left", "lanes at work", ESTIMATE,
        "return max(1.0, at_work, busy / covered if covered > 0 else 0.0)",
        "return 1.0",
        (f"{TIMES}::test_lanes_share_what_is_left",),
    ),
    Mutant(
        "time left", "lanes between two short runs", ESTIMATE,
        "return max(1.0, at_work, busy / covered if covered > 0 else 0.0)",
        "return max(1.0, at_work)",
        (f"{TIMES}::test_between_two_runs_a_lane_is_still_there",),
    ),
    Mutant(
        "time left", "the lane that has most left", ESTIMATE,
        "seconds = max((queued + sum(left)) / side_by_side, max(left, default=0.0))",
        "seconds = (queued + sum(left)) / side_by_side",
        (f"{TIMES}::test_the_longest_lane_is_waited_for",),
    ),
    Mutant(
        "time left", "what compiling took", ESTIMATE,
        "[start, *self.marks][-2:]",
        "[start, self.marks[-1]]",
        (f"{TIMES}::test_one_long_run_tells_how_long_it_takes_yet",),
    ),
    Mutant(
        "time left", "runs that were read", ESTIMATE,
        "list(one.trained.get(kind, {}).values()) or list(one.read.get(kind, {}).values())",
        "[*one.trained.get(kind, {}).values(), *one.read.get(kind, {}).values()]",
        (f"{TIMES}::test_what_was_read_takes_no_time_and_tells_how_long_a_run_takes",),
    ),
    Mutant(
        "how much is done", "rows that are filled", "training/share.py",
        "1.0 - float(np.isnan(column).mean())",
        "float(np.isnan(column).mean())",
        ("training/test_share.py::test_rows_that_are_filled_are_done",),
    ),
    Mutant(
        "hostile text", "a cell of a table in Markdown", "report/markdown.py",
        '<>&|~$#!@]', '<>&~$#!@]',
        ("report/test_markdown.py::test_cells_stay_in_their_columns",),
    ),
    Mutant(
        "hostile text", "names and numbers that GitHub links", "report/markdown.py",
        "lambda found: found[0] + _GAP",
        "lambda found: found[0]",
        ("report/test_markdown.py::test_what_is_escaped_is_text_wherever_it_stands[@octocat]",),
    ),
    Mutant(
        "what needs attention", "a better verdict than on record", "report/records.py",
        "return has_changed(row) or not (",
        "return not (",
        ("report/test_terminal.py::test_who_needs_attention",),
    ),
]  # fmt: skip
