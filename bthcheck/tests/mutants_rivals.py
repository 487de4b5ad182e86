"""What could be wrong with the rivals of φ and with how they are ranked, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

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
        "path norm", "biases begin no paths", CAPACITY, "    weight, bias = squared.layers()[0]\n",
        "    for name, parameter in squared.named_parameters():\n        parameter.mul_(not name.endswith('bias'))\n"
        "    weight, bias = squared.layers()[0]\n",
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
        "sharpness", "noise of one sign", SHARPNESS, "self.values(-noise)", "self.values(noise)", (CROSSING,),
    ),
    Mutant(
        "sharpness", "half as wide a noise", SHARPNESS, "noise = sigma * torch", "noise = 0.5 * sigma * torch",
        (f"{QUADRATIC}[whole]", f"{QUADRATIC}[half]", SIGNS),
    ),
    Mutant(
        "sharpness", "other noise at every σ", SHARPNESS, "copy.deepcopy(generator)", "generator",
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
        (f"{RUNS}::test_where_a_run_never_passes_there_is_no_common_sum_and_no_phi_below",),
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
        "gap", "of the loss and of the error", RIVALS, "_gap(run, 1)", "_gap(run, 0)", (OF_WEIGHTS,),
    ),
    Mutant(
        "gap", "test minus training", RIVALS, "run.losses(test=True)[which] -", "run.losses(test=False)[which] -",
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
]  # fmt: skip
