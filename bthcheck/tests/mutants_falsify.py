"""What could hide a counterexample from an attack, or make one up, and the tests that notice it."""

from bthcheck.tests.mutation import Mutant

ATTACKS = "evidence/test_attacks.py"
CASES = "evidence/test_attack_cases.py"
HISTORIES = "evidence/test_histories.py"
EXPLORED = "evidence/test_explored.py"
VERB = "cli/test_falsify.py"
JUDGING, LOOP, STORE = "evidence/attacks/judging.py", "evidence/attacks/loop.py", "evidence/attacks/store.py"
EXPERIMENTS, STRATEGIES = "evidence/attacks/experiments.py", "evidence/attacks/strategies.py"
STEPS, THEOREM_3 = "evidence/attacks/histories.py", "evidence/attacks/theorem3.py"
IN_NUMPY = f"{HISTORIES}::test_a_training_in_numpy_is_that_of_the_reference_engine[regression]"
CONDITIONS = f"{HISTORIES}::test_where_a_condition_of_theorem_3_fails_nothing_is_compared"

MUTANTS_OF_ATTACKS = [
    Mutant(
        "attacks", "sign of the margin", JUDGING, "excess = smaller - larger", "excess = larger - smaller",
        (f"{ATTACKS}::test_a_margin_is_above_zero_on_the_side_of_a_violation",),
    ),
    Mutant(
        "attacks", "tolerance left out", JUDGING, "beyond = excess > tolerance", "beyond = excess > 0",
        (f"{ATTACKS}::test_rounding_is_no_violation",),
    ),
    Mutant(
        "attacks", "tolerance far too large", JUDGING, "beyond = excess > tolerance", "beyond = excess > 1e6 * tolerance + 1.0",
        (f"{ATTACKS}::test_rounding_is_no_violation", f"{ATTACKS}::test_counterexamples_still_violate[X9-counterexample]"),
    ),
    Mutant(
        "attacks", "one entry of several", JUDGING, "violated=bool(beyond.any())", "violated=bool(beyond.all())",
        (f"{ATTACKS}::test_rounding_is_no_violation",),
    ),
    Mutant(
        "attacks", "ratios that rounding makes", JUDGING, "(smaller > 0) & (tolerance <= EXACT * smaller)", "smaller > 0",
        (f"{ATTACKS}::test_a_ratio_that_rounding_decides_is_none",),
    ),
    Mutant(
        "attacks", "what float64 cannot tell", JUDGING,
        "(size == 0) | ((size >= SMALLEST) & (size <= LARGEST))", "size == size",
        (f"{ATTACKS}::test_what_float64_cannot_tell_does_not_count",),
    ),
    Mutant(
        "attacks", "largest ratio for the smallest", LOOP,
        'said.ratio < (found.closest["ratio"] if found.closest else float("inf"))',
        'said.ratio > (found.closest["ratio"] if found.closest else -1.0)',
        (f"{ATTACKS}::test_a_search_that_is_to_find_nothing_finds_nothing_and_ends_in_time",),
    ),
    Mutant(
        "attacks", "smallest ratio of all sessions", STORE, 'closest["ratio"] < before["closest"]["ratio"]', "True",
        (f"{CASES}::test_the_smallest_ratio_of_all_sessions_is_kept",),
    ),
    Mutant(
        "attacks", "database ignored", LOOP, "else DirectoryBasedExampleDatabase(database)", "else None",
        (f"{ATTACKS}::test_what_an_earlier_session_found_is_tried_first",),
    ),
    Mutant(
        "attacks", "known cases left out", LOOP, "for case in known:", "for case in known[:0]:",
        (f"{ATTACKS}::test_what_an_earlier_session_found_is_tried_first",),
    ),
    Mutant(
        "attacks", "deadline", LOOP, "if now >= self._until:", "if now >= 2 * self._until:",
        (f"{ATTACKS}::test_a_search_that_is_to_find_nothing_finds_nothing_and_ends_in_time",),
    ),
    Mutant(
        "attacks", "the same seed in every round", LOOP, "_round(one, next(seeds), database, trial)",
        "raise _TimeIsOver if found.rounds > 1 else _Violated if _round(one, next(seeds), database, trial) else _TimeIsOver",
        (f"{ATTACKS}::test_a_search_that_is_to_find_nothing_finds_nothing_and_ends_in_time",),
    ),
    Mutant(
        "attacks", "a violation that is not kept", LOOP,
        "self._size, found.counterexample = (len(text), text), (case, said)", "self._size = (len(text), text)",
        (f"{ATTACKS}::test_a_planted_violation_is_found_and_shrunk",
         f"{ATTACKS}::test_a_violation_that_takes_long_to_shrink_is_kept_when_the_time_is_over"),
    ),
    Mutant(
        "attacks", "the largest counterexample", LOOP,
        "or (len(text), text) < self._size:", "or (len(text), text) > self._size:",
        (f"{ATTACKS}::test_the_smallest_of_all_violations_is_kept",),
    ),
    Mutant(
        "attacks", "what is expected", LOOP, "self.falsified == (self.expected == FALLS)", "not self.falsified",
        (f"{ATTACKS}::test_the_lower_bound_falls_for_wide_first_layers",),
    ),
    Mutant(
        "replay", "the other verdict", "cli/falsify.py",
        "return 1 if found.violated else 0", "return 0 if found.violated else 1",
        (f"{VERB}::test_a_counterexample_that_still_violates_ends_with_1[X2-counterexample]",
         f"{VERB}::test_one_that_does_not_any_more_ends_with_0"),
    ),
    Mutant(
        "replay", "sides that the file says", "cli/falsify.py", "found = store.replayed(attack, case)",
        "found = store.replayed(attack, case)\n"
        '        vars(found).update(violated=_["smaller"] > 0, smaller=_["smaller"])',
        (f"{VERB}::test_one_that_does_not_any_more_ends_with_0",),
    ),
    Mutant(
        "failing session", "which claims were to withstand", "report/falsification.py",
        'entry["counterexample"] is not None and entry["expected"] != "falls"', 'entry["counterexample"] is None',
        ("report/test_falsification.py::test_what_fell_and_was_to_withstand_stands_last_and_is_counted",),
    ),
    Mutant(
        "trainings in NumPy", "W_1 after the step", STEPS, "steep = np.linalg.norm(gradient @ firsts[-1], axis=1)",
        "steep = np.linalg.norm(gradient @ firsts[0], axis=1)", (IN_NUMPY,),
    ),
    Mutant(
        "trainings in NumPy", "point of the step", STEPS, '"phi": norms[visit]', '"phi": norms[0]', (IN_NUMPY,)
    ),
    Mutant(
        "trainings in NumPy", "slope of the sigmoid", STEPS, "logistic(s) * logistic(-s) if sigmoid", "logistic(s) if sigmoid",
        (f"{HISTORIES}::test_a_training_in_numpy_is_that_of_the_reference_engine[classes]",),
    ),
    Mutant(
        "trainings in NumPy", "the second inequality of Corollary 3", STEPS,
        "if weight.shape[1] <= weight.shape[2]:", "if False:",
        (f"{HISTORIES}::test_the_path_is_bounded_from_above_where_the_first_layer_is_narrow",),
    ),
    Mutant(
        "trainings in NumPy", "one direction of an equality", STEPS,
        "[(moved, said, rounding), (said, moved, rounding)]", "[(moved, said, rounding)]",
        (f"{HISTORIES}::test_the_first_weight_moves_with_its_bias",),
    ),
    Mutant(
        "alike neurons", "what Dropout drops", THEOREM_3, "deltas = histories.backward(layers, at, one.kept[step : step + 1])",
        "deltas = histories.backward(layers, at)",
        (f"{HISTORIES}::test_dropout_in_numpy_is_that_of_the_fused_engine",),
    ),
    Mutant(
        "alike neurons", "condition of Theorem 3", THEOREM_3,
        "not dropout.covered(steady.network, x, patterns).all()", "False",
        (f"{CONDITIONS}[change0]",),
    ),
    Mutant(
        "alike neurons", "neurons on their edge", THEOREM_3, ".min()) for z in hidden) < EDGE", ".min()) for z in hidden) < 0",
        (f"{CONDITIONS}[change2]",),
    ),
    Mutant(
        "generated experiments", "direction of T1", EXPERIMENTS,
        "(phi[0] > phi[1]).all()", "(phi[0] < phi[1]).all()",
        (f"{EXPLORED}::test_reversals_are_counted_among_the_fit_and_the_others",),
    ),
    Mutant(
        "generated experiments", "all seeds", EXPERIMENTS,
        "(phi[0] > phi[1]).all()", "(phi[0] > phi[1]).any()",
        (f"{EXPLORED}::test_an_order_that_not_all_seeds_have_is_not_reversed",),
    ),
    Mutant(
        "generated experiments", "what is fit", EXPERIMENTS, "(loss < FIT).all()", "(loss < FIT).any() or True",
        (f"{EXPLORED}::test_reversals_are_counted_among_the_fit_and_the_others",),
    ),
    Mutant(
        "generated networks", "exact ties", STRATEGIES, 'if "tied" in edges and exact:', "if False:",
        (f"{CASES}::test_networks_reach_the_edges",),
    ),
    Mutant(
        "generated networks", "shape of W_1", STRATEGIES,
        '"wide": (n + 1, widest)', '"wide": (1, widest)',
        (f"{CASES}::test_shapes_are_what_was_asked_for[wide]",),
    ),
    Mutant(
        "numbers of a file", "rows of different layers", "evidence/attacks/cases.py",
        'array(layer, "weight", len(bias), width)',
        'array(layer, "weight", len(bias), None)',
        (f"{CASES}::test_layers_must_fit_each_other",),
    ),
    Mutant(
        "time left", "what has not begun", "progress/attacks.py", "left += share *", "left += 0 *",
        ("progress/test_attacks.py::test_the_time_left_is_that_of_the_shares_that_are_left",),
    ),
]  # fmt: skip
