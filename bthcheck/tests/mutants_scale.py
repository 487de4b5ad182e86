"""What could be wrong with what is said of scale, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

SCHEDULES = "benchmark/test_scheduling.py"
DRAWN = "figures/test_statistics.py::test_a_figure_of_many_seeds_is_hardly_larger_and_hides_no_extreme"
ASSEMBLED = "training/test_assembling.py"

MUTANTS_OF_SCALE = [
    Mutant(
        "scale", "which worker takes the next run", "benchmark/scheduling.py",
        "done = heapq.heappop(free) + costs.overhead + seconds",
        "done = free.pop() + costs.overhead + seconds",
        (f"{SCHEDULES}::test_runs_end_when_a_clock_that_ticks_says_so",),
    ),
    Mutant(
        "scale", "when the last run is finished", "benchmark/scheduling.py",
        "end = max(end, done)",
        "end = done",
        (f"{SCHEDULES}::test_runs_end_when_a_clock_that_ticks_says_so",),
    ),
    Mutant(
        "scale", "what every run costs", "benchmark/scheduling.py",
        "each = np.asarray(times, float) + costs.overhead",
        "each = np.asarray(times, float)",
        (f"{SCHEDULES}::test_the_best_schedule_is_between_the_bounds_and_grahams",),
    ),
    Mutant(
        "scale", "how many workers are useful", "benchmark/scheduling.py",
        "<= least else (middle + 1, high)",
        "<= 2 * least else (middle + 1, high)",
        (f"{SCHEDULES}::test_more_workers_than_useful_change_nothing",),
    ),
    Mutant(
        "scale", "spread of drawn times", "benchmark/scheduling.py",
        "/ np.mean(measured)",
        "/ np.median(measured)",
        (f"{SCHEDULES}::test_times_are_drawn_with_the_spread_and_the_mean_that_is_asked_for",),
    ),
    Mutant(
        "scale", "power of growth", "benchmark/growth.py",
        "((x - x.mean()) ** 2).sum()",
        "(x**2).sum()",
        ("benchmark/test_growth.py::test_the_exponent_is_that_of_a_least_squares_line",),
    ),
    Mutant(
        "scale", "extremes of many seeds", "figures/statistics.py",
        "return np.unique([*spaced, *ranks.argmin(0), *ranks.argmax(0)])",
        "return np.unique([*spaced, *ranks.argmin(0)])",
        (f"{DRAWN}[violins]", f"{DRAWN}[scatter]", f"{DRAWN}[compared]"),
    ),
    Mutant(
        "scale", "what fills up a smaller network", "training/dataset.py",
        "parameters[place][len(result.parameters) :] = np.nan",
        "parameters[place][len(result.parameters) :] = 0",
        (f"{ASSEMBLED}::test_every_number_is_where_its_level_and_seed_say",),
    ),
    Mutant(
        "scale", "entries beyond a size", "cli/cache.py",
        "        after -= size\n",
        "        after -= sizes[0]\n",
        ("cli/test_cache_verb.py::test_what_is_beyond_a_size_is_found_in_one_pass[bytes]",),
    ),
    Mutant(
        "scale", "names told apart", "report/experiments.py",
        "if len(held[entry[\"name\"]][name]) > 1]",
        "if len(held[entry[\"name\"]][name]) > 2]",
        ("report/test_experiments.py::test_shared_names_are_told_apart_by_what_differs",),
    ),
    Mutant(
        "scale", "ranges of seeds", "report/numbers.py",
        "if len(stretch) > 2 else",
        "if len(stretch) > 1 else",
        ("report/test_report.py::test_numbers_that_follow_each_other_are_a_range",),
    ),
]  # fmt: skip
