"""What could be wrong with the rivals of φ and with how they are ranked, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

RANKING, WORSE = "evidence/ranking.py", "evidence/noninferiority.py"
CAPACITY, SHARPNESS, RIVALS = "theory/capacity.py", "theory/sharpness.py", "theory/rivals.py"
NORMS, NOISE, RUNS = "theory/test_capacity.py", "theory/test_sharpness.py", "theory/test_rivals.py"
PATHS = f"{NORMS}::test_path_norm_is_the_sum_over_all_paths"
BY_HAND = f"{NORMS}::test_path_norm_of_a_network_by_hand"
SPECTRAL = f"{NORMS}::test_spectral_norms_are_those_of_numpy"
DISTANCE = f"{NORMS}::test_distance_is_over_all_parameters_and_counts_are_of_those_that_are_trained"
QUADRATIC = f"{NOISE}::test_with_the_squared_loss_a_linear_network_bears_what_the_quadratic_form_says"
SIGNS = f"{NOISE}::test_a_linear_classifier_errs_where_noise_turns_its_sign"
CROSSING = f"{NOISE}::test_sigma_is_where_the_rise_crosses_the_limit[connected]"
OF_STATISTICS = f"{RUNS}::test_measures_of_statistics_are_those_of_loops[wide-3]"
OF_WEIGHTS = f"{RUNS}::test_measures_of_weights_are_those_of_the_trained_network[wide-3]"
TAUS = "evidence/test_ranking.py::test_granulated_tau_is_that_of_loops[ties]"
ERRORS = "evidence/test_ranking.py::test_sign_errors_are_those_of_loops[ties]"
HOEFFDING = "evidence/test_ranking.py::test_weights_are_hoeffding_s[0.05-2000]"
WORST = "evidence/test_ranking.py::test_the_worst_environment_with_enough_pairs_counts"
ALL_SIGNS = "evidence/test_noninferiority.py::test_p_is_that_of_all_signs_of_the_differences_of_psi[0.02]"
NO_WORSE = "evidence/test_noninferiority.py::test_a_measure_is_no_worse_than_itself_or_a_worse_one_and_the_worse_one_is"
HOLM = "evidence/test_noninferiority.py::test_holm_of_an_example"
SEVERAL = "evidence/test_noninferiority.py::test_p_values_of_several_rivals_are_holm_s"
SHARES = "evidence/test_noninferiority.py::test_shares_of_the_variance_are_those_of_loops"
STOPPING, PEAK = "theory/stopping.py", "theory/test_stopping.py::test_the_peak_is_the_first_that_is_not_exceeded_in_time"
SLOWEST = f"{RUNS}::test_the_common_epoch_is_of_the_slowest_run_of_a_seed"

MUTANTS_OF_RIVALS = [
    Mutant("path norm", "weights are not squared", CAPACITY, "parameter.square_()", "parameter.abs_()", (f"{PATHS}[trained]",)),
    Mutant(
        "path norm", "nothing goes in", CAPACITY, "ones = torch.ones(1,", "ones = torch.zeros(1,",
        (f"{PATHS}[identity]", f"{PATHS}[trained]", BY_HAND),
    ),
    Mutant(
        "path norm", "a root is taken", CAPACITY, "return float(squared.logit(squared.first(ones)))",
        "return float(squared.logit(squared.first(ones))) ** 0.5", (f"{PATHS}[trained]", BY_HAND),
    ),
    Mutant(
        "path norm", "biases begin no paths", CAPACITY, "        weight, bias = squared.layers()[0]\n",
        "        for name, parameter in squared.named_parameters():\n            parameter.mul_(not name.endswith('bias'))\n"
        "        weight, bias = squared.layers()[0]\n",
        (f"{PATHS}[identity]", BY_HAND),
    ),
    Mutant("spectral norms", "Frobenius norm", CAPACITY, "ord=2)", 'ord="fro")', (f"{SPECTRAL}[trained]",)),
    Mutant(
        "spectral norms", "another matrix of a kernel", CAPACITY, "weight.flatten(1)", "weight.transpose(0, 1).flatten(1)",
        (f"{SPECTRAL}[convolution]",),
    ),
    Mutant("spectral norms", "no logarithm", CAPACITY, "return math.log(norm)", "return norm", (f"{SPECTRAL}[identity]",)),
    Mutant(
        "distance of weights", "no squares", CAPACITY, "(one.double() - other.double()).square()",
        "(one.double() - other.double()).abs()", (DISTANCE,),
    ),
    Mutant("number of parameters", "frozen ones count", CAPACITY, " if parameter.requires_grad", "", (DISTANCE,)),
    Mutant(
        "sharpness", "of σ and not of σ²", SHARPNESS, "math.exp(-2 * low)", "math.exp(-low)",
        (f"{QUADRATIC}[whole]", SIGNS),
    ),
    Mutant(
        "sharpness", "the other end of the interval", SHARPNESS, "math.exp(-2 * low)", "math.exp(-2 * high)", (CROSSING,),
    ),
    Mutant(
        "sharpness", "errors that were there before", SHARPNESS, "values - start <= limit", "values <= limit",
        (f"{NOISE}::test_what_is_wrong_already_does_not_count_against_the_noise",),
    ),
    Mutant(
        "sharpness", "noise of one sign", SHARPNESS, "for sign in (1, -1)", "for sign in (1, 1)", (CROSSING,),
    ),
    Mutant(
        "sharpness", "half as wide a noise", SHARPNESS, "sign * sigma * part", "sign * 0.5 * sigma * part",
        (f"{QUADRATIC}[whole]", f"{QUADRATIC}[half]", SIGNS),
    ),
    Mutant(
        "sharpness", "other noise at every σ", SHARPNESS, "copy.deepcopy(self._generator)", "self._generator",
        (f"{NOISE}::test_noise_is_drawn_from_a_generator_that_stays_as_it_is",),
    ),
    Mutant(
        "sharpness", "criterion", SHARPNESS, 'self._criterion == "error" else', 'self._criterion != "error" else',
        (f"{QUADRATIC}[whole]", SIGNS),
    ),
    Mutant(
        "sharpness", "factor of the loss", SHARPNESS, "self._network.sigmoid, self._factor,", "self._network.sigmoid, 1.0,",
        (f"{QUADRATIC}[half]",),
    ),
    Mutant(
        "sum of losses", "windows", RIVALS, 'losses.sum("epoch", skipna=False) / windows', 'losses.sum("epoch", skipna=False)',
        (OF_STATISTICS,),
    ),
    Mutant(
        "sum of losses", "last epoch", RIVALS, "slice(-last * windows, None)", "slice(-last, None)", (OF_STATISTICS,),
    ),
    Mutant(
        "sum of losses", "the common epoch itself", RIVALS, "where(ds.epoch >= start, 0.0)", "where(ds.epoch > start, 0.0)",
        (OF_STATISTICS, f"{RUNS}::test_the_common_epoch_of_several_experiments_may_be_given"),
    ),
    Mutant(
        "common epoch", "of the fastest run", RIVALS, 'passed.max([dim', 'passed.min([dim', (SLOWEST,),
    ),
    Mutant(
        "common epoch", "diverged runs are waited for", RIVALS,
        '        passed = passed.where(xr.apply_ufunc(np.isfinite, values).all("epoch"), 0)',
        "        passed = passed", (SLOWEST,),
    ),
    Mutant(
        "common epoch", "runs that never pass", RIVALS, '"seed"], skipna=False)', '"seed"], skipna=True)',
        (SLOWEST,),
    ),
    Mutant("mean φ below a loss", "above it", RIVALS, "below = ds.train_loss < ", "below = ds.train_loss > ", (OF_STATISTICS,)),
    Mutant(
        "mean φ below a loss", "an epoch and not a step", RIVALS, 'below.sum("epoch") * steps', 'below.sum("epoch")',
        (OF_STATISTICS,),
    ),
    Mutant(
        "mean φ below a loss", "over all steps", RIVALS, 'below.sum("epoch") * steps', 'below.count("epoch") * steps',
        (OF_STATISTICS,),
    ),
    Mutant(
        "mean φ below a loss", "of a run that diverged", RIVALS, "values.where(~ds.diverged, np.inf)", "values.fillna(0.0)",
        (f"{RUNS}::test_a_run_that_diverged_has_infinite_measures_and_its_settings",),
    ),
    Mutant("rivals of statistics", "Σφ", RIVALS, "ds.trajectory_length.sum(", "ds.trajectory_max.sum(", (OF_STATISTICS,)),
    Mutant("rivals of statistics", "Σ‖Δb₁‖", RIVALS, "ds.update_sum.sum(", "ds.distance_to_init.sum(", (OF_STATISTICS,)),
    Mutant(
        "rivals of statistics", "λ in the end", RIVALS, "ds[name].isel(epoch=-1,", "ds[name].isel(epoch=-7,", (OF_STATISTICS,),
    ),
    Mutant(
        "gap", "of the loss and of the error", RIVALS, """run.gaps["error_gap"]""", """run.gaps["loss_gap"]""", (OF_WEIGHTS,),
    ),
    Mutant(
        "gap", "test minus training", RIVALS, "{name: one - other for", "{name: other - one for",
        (OF_WEIGHTS,),
    ),
    Mutant(
        "gap", "factor of the loss", RIVALS, "loss(network.sigmoid, factor,", "loss(network.sigmoid, 1.0,", (OF_WEIGHTS,),
    ),
    Mutant(
        "rivals of weights", "initial weights", RIVALS, "run.network, run.run.network())", "run.network, run.network)",
        (OF_WEIGHTS,),
    ),
    Mutant(
        "rivals of weights", "noise of the seed", RIVALS, 'stream(run.run.seed, "perturbation")', 'stream(0, "perturbation")',
        (OF_WEIGHTS,),
    ),
    Mutant(
        "rivals of weights", "criterion of classifiers", RIVALS, 'criterion = "error" if', 'criterion = "error" if not',
        (OF_WEIGHTS,),
    ),
    Mutant(
        "rivals of weights", "of a run that diverged", RIVALS, "np.full([ds.sizes[dim] for dim in dims], np.inf)",
        "np.zeros([ds.sizes[dim] for dim in dims])",
        (f"{RUNS}::test_a_run_that_diverged_has_infinite_measures_and_its_settings",),
    ),
    Mutant(
        "Kendall", "sign of the measure alone", RANKING,
        "_by_seed(_signs(measure, axis, *pair) * _signs(gap, axis, *pair))", "_by_seed(_signs(measure, axis, *pair))",
        (TAUS, "evidence/test_ranking.py::test_a_measure_ranks_like_itself_and_against_its_negative"),
    ),
    Mutant(
        "Kendall", "neighbours alone", RANKING, "        pairs = list(combinations(range(gap.sizes[axis]), 2))\n",
        "        pairs = [(i, i + 1) for i in range(gap.sizes[axis] - 1)]\n", (TAUS,),
    ),
    Mutant(
        "Kendall", "a tie counts as order", RANKING, "xr.apply_ufunc(np.sign, ",
        "xr.apply_ufunc(lambda d: 1.0 - 2.0 * (d < 0), ", (TAUS, ERRORS),
    ),
    Mutant(
        "Kendall", "axes that were chosen", RANKING, "    return list(chosen)\n", "    return there\n", (TAUS,),
    ),
    Mutant(
        "Kendall", "what is not finite", RANKING, "np.where(_finite(measure, gap), np.array(rows), np.nan)",
        "np.array(rows)", ("evidence/test_ranking.py::test_a_seed_with_a_number_that_is_not_finite_has_no_psi",),
    ),
    Mutant(
        "sign error", "width of Hoeffding's bound", RANKING, "-points * difference**2 / 2", "-points * difference**2 * 2",
        (HOEFFDING, ERRORS),
    ),
    Mutant("sign error", "one of two errors", RANKING, ".clip(min=0) ** 2\n", ".clip(min=0)\n", (HOEFFDING, ERRORS)),
    Mutant(
        "sign error", "no better than a coin's weight", RANKING, "(sure - 0.5).clip", "(sure - 0.0).clip", (HOEFFDING, ERRORS),
    ),
    Mutant("sign error", "weights", RANKING, "float((w * e).sum() / total) if", "float(e.mean()) if", (ERRORS,)),
    Mutant(
        "sign error", "effective size", RANKING, "float(total**2 / (w**2).sum())", "float(w.size)",
        (ERRORS,),
    ),
    Mutant(
        "sign error", "right order", RANKING, "wrong = (1 - _signs", "wrong = (1 + _signs",
        (ERRORS, "evidence/test_ranking.py::test_sign_errors_of_the_gap_itself_its_negative_and_what_tells_nothing_apart"),
    ),
    Mutant("sign error", "the best environment", RANKING, "float(counted.max())", "float(counted.min())", (WORST,)),
    Mutant(
        "sign error", "environments of few pairs", RANKING, "environments.effective >= ENOUGH", "environments.effective > 0",
        (WORST,),
    ),
    Mutant(
        "placebo", "a measure as it is", RANKING, "generator.permuted(_by_seed(measure), axis=1)", "_by_seed(measure)",
        ("evidence/test_ranking.py::test_a_placebo_has_the_numbers_of_each_seed",),
    ),
    Mutant(
        "placebo", "across seeds", RANKING, "generator.permuted(_by_seed(measure), axis=1)",
        "generator.permuted(_by_seed(measure), axis=0)",
        ("evidence/test_ranking.py::test_a_placebo_has_the_numbers_of_each_seed",),
    ),
    Mutant(
        "grid of models", "order of levels", RANKING, "    return gridded.sel(in_order)",
        "    gridded = gridded.copy(data=gridded.values[..., ::-1])\n    return gridded.sel(in_order)",
        ("evidence/test_ranking.py::test_levels_become_axes",),
    ),
    Mutant("no worse", "margin", WORSE, "one - other + margin", "one - other", (ALL_SIGNS, NO_WORSE)),
    Mutant("no worse", "sign of the margin", WORSE, "one - other + margin", "one - other - margin", (ALL_SIGNS, NO_WORSE)),
    Mutant(
        "no worse", "the opposite direction", WORSE, "signed_ranks(-difference)", "1 - signed_ranks(difference)", (ALL_SIGNS,),
    ),
    Mutant("no worse", "rounded to equal", WORSE, "_DIGITS = 12", "_DIGITS = 0", (ALL_SIGNS,)),
    Mutant(
        "no worse", "refuted", WORSE, "elif opposite <= level:", "elif opposite <= 0:", (NO_WORSE,),
    ),
    Mutant(
        "Holm", "Bonferroni", WORSE, "np.arange(len(values), 0, -1) * values[order]", "len(values) * values[order]", (HOLM,),
    ),
    Mutant(
        "Holm", "not monotone", WORSE, "np.maximum.accumulate(np.arange(len(values), 0, -1) * values[order])",
        "np.arange(len(values), 0, -1) * values[order]", (HOLM,),
    ),
    Mutant(
        "Holm", "p-values as they are", WORSE, "holm([1.0 if p is None else p for p in ps])",
        "[1.0 if p is None else p for p in ps]", (SEVERAL,),
    ),
    Mutant(
        "models differ", "seeds are noise", WORSE, "- table.mean(axis=1, keepdims=True) + table.mean()", "",
        (SHARES, "evidence/test_noninferiority.py::test_the_p_of_models_is_that_of_the_two_way_analysis"),
    ),
    Mutant("models differ", "share of one seed", WORSE, "(ratio + seeds - 1)", "(ratio + seeds)", (SHARES,)),
    Mutant(
        "models differ", "means of seeds", WORSE, "between = seeds * float", "between = float",
        (SHARES, "evidence/test_noninferiority.py::test_the_p_of_models_is_that_of_the_two_way_analysis"),
    ),
    Mutant(
        "models differ", "a small share", WORSE, "met = p <= level and share >= minimum", "met = p <= level",
        ("evidence/test_noninferiority.py::test_noise_alone_is_nothing_to_rank_and_a_small_share_neither",),
    ),
    Mutant(
        "models differ", "interval", WORSE, "ratio / scipy.stats.f.ppf(tail, *freedom)", "ratio",
        ("evidence/test_noninferiority.py::test_the_interval_covers_the_true_share",),
    ),
    Mutant(
        "gaps", "of the test points, though fresh ones are asked for", RIVALS, "data = data._replace(x_test=x, y_test=y)",
        "pass",
        (f"{RUNS}::test_gaps_are_of_fresh_points_where_they_are_asked_for",),
    ),
    Mutant(
        "comparing rivals", "a placebo is not shuffled", "harness/claims.py",
        "measure = ranking.shuffled(measure, self.placebo)", "pass",
        ("harness/test_claims.py::test_a_measure_that_ranks_is_no_worse_and_a_placebo_is_not",),
    ),
    Mutant(
        "a loss is passed", "in the last epoch", "evidence/conditions.py", 'loss.min("epoch", skipna=False)',
        "loss.isel(epoch=-1)", ("harness/test_claims.py::test_passed_looks_for_any_epoch",),
    ),
    Mutant(
        "a loss is passed", "by what diverged", "evidence/conditions.py", 'loss.min("epoch", skipna=False)',
        'loss.min("epoch").fillna(0)', ("harness/test_claims.py::test_passed_looks_for_any_epoch",),
    ),
    Mutant(
        "stopping", "Σεφ at one rate", STOPPING, "training.learning_rate * training.decay ** np.arange(training.epochs)",
        "training.learning_rate * 1.0 ** np.arange(training.epochs)",
        ("theory/test_stopping.py::test_the_sum_of_bias_gradients_is_that_of_the_steps_of_a_trace",),
    ),
    Mutant(
        "stopping", "the last of equal peaks", STOPPING, "row[place] > row[best]", "row[place] >= row[best]",
        (f"{PEAK}[row2-1-2-2]",),
    ),
    Mutant(
        "stopping", "the whole training is looked at", STOPPING, "            break\n", "            pass\n",
        (f"{PEAK}[row0-1-2-2]",),
    ),
    Mutant(
        "stopping", "the first average is of one width", STOPPING, "min_periods=1", "min_periods=width",
        (f"{PEAK}[row5-2-3-5]",),
    ),
    Mutant(
        "stopping", "regret against the last epoch", STOPPING, 'kept - error.min("epoch")', "kept - error.isel(epoch=-1)",
        ("theory/test_stopping.py::test_regret_is_what_the_best_epoch_would_have_spared",),
    ),
]  # fmt: skip
