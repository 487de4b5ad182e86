"""What could be wrong with comparing new numbers to those on record, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

SIGNS = "evidence/test_exchange.py::test_signed_ranks_are_those_of_all_signs"
BEYOND = "evidence/test_exchange.py::test_beyond_a_margin_counts_what_is_above_or_below_it"
SHIFT = "evidence/test_agreement.py::test_a_shift_is_named_with_where_and_by_how_much"
NOTICED = "evidence/test_agreement.py::test_a_shift_is_noticed_at_the_level_of_a_session"
QUANTITIES = "evidence/test_agreement.py::test_several_quantities_of_the_same_runs_are_not_more_runs"
OTHERS = "evidence/test_agreement.py::test_other_seeds_are_dealt_anew"
BEGINNING = "evidence/test_beginning.py::test_the_share_of_runs_that_moved_is_tested"
DIVERGED = "evidence/test_agreement.py::test_other_runs_diverge"

MUTANTS_OF_CHANGES = [
    Mutant(
        "signed ranks", "ties", "evidence/exchange.py",
        "stats.rankdata(np.abs(some))",
        'stats.rankdata(np.abs(some), method="min")',
        (f"{SIGNS}[ties]",),
    ),
    Mutant(
        "signed ranks", "differences of 0", "evidence/exchange.py",
        "differences[differences != 0]",
        "differences[:]",
        (f"{SIGNS}[zeros and infinity]",),
    ),
    Mutant(
        "signed ranks", "direction", "evidence/exchange.py",
        "doubled[some > 0]",
        "doubled[some < 0]",
        (f"{SIGNS}[no ties]",),
    ),
    Mutant(
        "one side for two", "differences beyond a margin", "evidence/exchange.py",
        "2 * min(signed_ranks(differences - margin)",
        "1 * min(signed_ranks(differences - margin)",
        (BEYOND, SHIFT),
    ),
    Mutant(
        "margin left out", "differences beyond a margin", "evidence/exchange.py",
        "signed_ranks(-differences - margin)",
        "signed_ranks(-differences)",
        (BEYOND,),
    ),
    Mutant(
        "margin left out", "differences between sessions", "evidence/shifts.py",
        "margins.append((MARGIN * spread + rounding) / unit)",
        "margins.append(rounding / unit)",
        ("evidence/test_agreement.py::test_a_shift_below_the_margin_is_no_difference_however_regular[1e-06]",),
    ),
    Mutant(
        "degrees of freedom", "Fisher's method", "evidence/exchange.py",
        "2 * len(ps)",
        "len(ps)",
        ("evidence/test_exchange.py::test_any_of_several_is_fishers_method", SHIFT),
    ),
    Mutant(
        "degrees of freedom", "F test", "evidence/agreement.py",
        "freedom = (new_cases - 1, recorded_cases - 1)",
        "freedom = (recorded_cases - 1, new_cases - 1)",
        ("evidence/test_agreement.py::test_dispersions",),
    ),
    Mutant(
        "statistic", "rows dealt anew", "evidence/exchange.py",
        "+ sums.sum(axis=-1) ** 2",
        "+ sums.sum(axis=-1)",
        ("evidence/test_exchange.py::test_two_samples_are_dealt_in_all_ways[rows0-2]",),
    ),
    Mutant(
        "the arrangement at hand left out", "rows dealt anew", "evidence/exchange.py",
        "(1 - 1e-9)) + drawn)",
        "(1 - 1e-9)))",
        ("evidence/test_exchange.py::test_too_many_ways_are_drawn_from",),
    ),
    Mutant(
        "not counted as a test", "several quantities", "evidence/agreement.py",
        "p = min(1.0, len(parts) * min(part.p",
        "p = min(1.0, 1 * min(part.p",
        (QUANTITIES,),
    ),
    Mutant(
        "not counted as a test", "levels in different directions", "evidence/shifts.py",
        "p = min(1.0, 2 * min(beyond(",
        "p = min(1.0, 1 * min(beyond(",
        (SHIFT, NOTICED),
    ),
    Mutant(
        "not counted as a test", "runs that diverged", "evidence/shifts.py",
        "Part(min(1.0, 2 * min(shift.p, p))",
        "Part(min(1.0, min(shift.p, p))",
        (DIVERGED,),
    ),
    Mutant(
        "runs counted twice", "several quantities", "evidence/agreement.py",
        "if not all(_AT in column for column in columns):",
        "if all(_AT in column for column in columns):",
        (QUANTITIES,),
    ),
    Mutant(
        "rows for seeds", "seeds in common", "evidence/agreement.py",
        "values=table.values[[table.seeds.index(seed) for seed in seeds]]",
        "values=table.values[: len(seeds)]",
        ("evidence/test_agreement.py::test_only_seeds_in_common_are_compared_in_any_order",),
    ),
    Mutant(
        "spread", "runs compared with themselves", "evidence/shifts.py",
        "spread = float(middle.std(ddof=1))",
        "spread = float(moved.std(ddof=1))",
        (SHIFT,),
    ),
    Mutant(
        "spread", "interval of a shift", "evidence/shifts.py",
        "len(scaled) - 1) * scaled.std(ddof=1))",
        "len(scaled) - 1) * scaled.std())",
        (NOTICED,),
    ),
    Mutant(
        "spread", "interval between other seeds", "evidence/shifts.py",
        "math.sqrt(1 / len(first) + 1 / len(second))",
        "math.sqrt(1 / len(first))",
        (OTHERS,),
    ),
    Mutant(
        "runs that diverged are forgotten", "comparison with the record", "evidence/shifts.py",
        "p = float(scipy.stats.binomtest(lost, lost + found).pvalue) if lost + found else 1.0",
        "p = 1.0",
        (DIVERGED,),
    ),
    Mutant(
        "cases for violations", "Fisher's exact test", "evidence/agreement.py",
        "p = shares(recorded_violations, recorded_cases, new_violations, new_cases)",
        "p = shares(new_violations, recorded_cases, recorded_violations, new_cases)",
        ("evidence/test_agreement.py::test_rates",),
    ),
    Mutant(
        "allowance left out", "looseness on record", "evidence/agreement.py",
        "high + allowance * abs(high)",
        "high",
        ("evidence/test_agreement.py::test_looseness_lies_in_the_recorded_spread",),
    ),
    Mutant(
        "one run too few", "beginning of a training", "evidence/beginning.py",
        "stats.binom.sf(len(moved) - 1,",
        "stats.binom.sf(len(moved),",
        (BEGINNING,),
    ),
    Mutant(
        "absolute for relative", "beginning of a training", "evidence/beginning.py",
        "return abs(first - second) / size if size else 0.0",
        "return abs(first - second)",
        (BEGINNING,),
    ),
    Mutant(
        "one statistic for all", "beginning of a training", "evidence/beginning.py",
        "worst = {run: max(_relative(a, b)",
        "worst = {run: min(_relative(a, b)",
        (BEGINNING, "evidence/test_beginning.py::test_runs_that_diverge_have_moved"),
    ),
    Mutant(
        "the last epoch for an early one", "beginning of a training", "evidence/beginning.py",
        "isel(epoch=after - 1,",
        "isel(epoch=-1,",
        ("evidence/test_beginning.py::test_the_first_runs_are_kept_to_seven_digits",),
    ),
    Mutant(
        "the record", "an entry that is another's", "report/shared_entries.py",
        "if kept[kind].get(name) == entry), entry)", "if name in kept[kind]), entry)",
        ("report/test_baseline.py::test_what_profiles_have_in_common_stands_once_in_the_file",),
    ),
]  # fmt: skip
