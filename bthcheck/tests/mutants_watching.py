"""What could be wrong with what is watched of a training, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

HOOKS, RECORDS, PROBING = "watching/hooks.py", "watching/records.py", "watching/probing.py"
AGREES = "watching/test_agreement.py::test_every_step_is_that_of_the_trace[MLP]"
EPOCHS = "watching/test_agreement.py::test_every_epoch_is_that_of_the_reference_engine"
AUTOGRAD = "watching/test_gradients.py::test_against_autograd"
BY_HAND = "watching/test_records.py::test_quotients_by_hand"
SAME = "watching/test_situations.py::test_training_is_the_same_to_the_bit"
COMPILED = "watching/test_situations.py::test_phi_of_a_compiled_model_is_that_of_the_model"
CLEAN = "watching/test_probing.py::test_nothing_is_changed_by_a_probe"
SAMPLES, ONE_BY_ONE = "watching/samples.py", "watching/test_samples.py"
VISITS = f"{ONE_BY_ONE}::test_every_visit_is_that_of_the_sample_on_its_own"

MUTANTS_OF_WATCHING = [
    Mutant(
        "phi", "mean of slopes in the place of their sum", RECORDS,
        'block["phi"] = np.linalg.norm(gradient_sum, axis=1) / slope_sum',
        'block["phi"] = np.linalg.norm(gradient_sum, axis=1) / (slope_sum / np.bincount(of_step[good], minlength=count))',
        (f"{AUTOGRAD}[ten classes-mean]", BY_HAND, f"{EPOCHS}[16-MLP]"),
    ),
    Mutant(
        "phi", "slope of the loss with a sign", HOOKS,
        "slopes = gradient.abs() if gradient.ndim == 1 else sample_norms(gradient)",
        "slopes = gradient if gradient.ndim == 1 else sample_norms(gradient)",
        (AGREES, f"{EPOCHS}[16-MLP]"),
    ),
    Mutant(
        "phi", "a convolution's bias summed over samples alone", HOOKS,
        "self._dimensions, self._over = dimensions, summed_dimensions(module, gradient)",
        "self._dimensions, self._over = dimensions, (0,)",
        (f"{AUTOGRAD}[convolution-mean]",),
    ),
    Mutant(
        "gradient norm", "calls of one layer added, not their squares", HOOKS,
        "torch.hypot(now.norms, norms)",
        "now.norms + norms",
        (f"{AUTOGRAD}[recurrent-mean]",),
    ),
    Mutant(
        "gradient norm", "samples whose loss is flat", RECORDS,
        "sloping = good & (slopes > 0)",
        "sloping = good",
        ("watching/test_gradients.py::test_samples_whose_loss_is_flat_have_no_gradient_norm",),
    ),
    Mutant(
        "record", "passes before gradients were set to zero", RECORDS,
        "            valid &= ~earlier",
        "            pass",
        ("watching/test_records.py::test_passes_before_gradients_were_set_to_zero_do_not_count",),
    ),
    Mutant(
        "record", "passes of a window that was thrown away", HOOKS,
        "            self._pending.clear()",
        "            pass",
        (f"{SAME}[evaluated-]",),
    ),
    Mutant(
        "record", "steps that were none", RECORDS,
        "zip(steps, infinities, strict=True) if number == 0]",
        "zip(steps, infinities, strict=True) if number >= 0]",
        ("watching/test_records.py::test_a_step_that_a_scaler_made_none_is_left_out",),
    ),
    Mutant(
        "record", "bias behind the step in the place of before it", RECORDS,
        'block["bias_variance"] = path.variances(block["epoch"], before, block["learning_rate"])',
        'block["bias_variance"] = path.variances(block["epoch"], after, block["learning_rate"])',
        (f"{EPOCHS}[1-MLP]",),
    ),
    Mutant(
        "record", "variance without the learning rate", RECORDS,
        "found[first:last] = np.maximum(spread, 0) / (total / counts) ** 2",
        "found[first:last] = np.maximum(spread, 0)",
        (f"{EPOCHS}[1-MLP]", "watching/test_records.py::test_variance_within_an_epoch_so_far[cuts0]"),
    ),
    Mutant(
        "record", "bias that somebody else changed", HOOKS,
        "if bias is not None and bias._version != self._version:",
        "if False:",
        ("watching/test_watch.py::test_what_others_do_to_the_bias_is_no_update",),
    ),
    Mutant(
        "processes", "samples of every process weighted alike", "watching/labelled.py",
        'weights = every.samples / every.samples.sum("process")',
        'weights = xr.ones_like(every.samples) / 2',
        ("watching/test_distributed.py::test_processes_of_different_batches_are_weighted",),
    ),
    Mutant(
        "probe", "training mode", PROBING,
        "                module.training = False",
        "                module.training = True",
        ("watching/test_probing.py::test_evaluation_mode_is_what_is_measured",),
    ),
    Mutant(
        "probe", "buffers that the model counts in", PROBING,
        "value.copy_(copy)",
        "pass",
        (CLEAN,),
    ),
    Mutant(
        "probe", "Frobenius norm in the place of the spectral one", "geometry/jacobians.py",
        "torch.linalg.svdvals(jacobian)[:, 0]",
        "jacobian.flatten(1).norm(dim=1)",
        ("watching/test_probing.py::test_several_outputs_have_a_spectral_norm",),
    ),
    Mutant(
        "hooks", "frozen layers, whose gradient is made to come", HOOKS,
        "return z if frozen else None",
        "return None",
        (f"{SAME}[frozen first layer-]",),
    ),
    Mutant(
        "hooks", "a compiled model broken in two", "watching/modules.py",
        "return None if torch.compiler.is_compiling() else self.function(*args)",
        "return super().__call__(*args)",
        ("watching/test_situations.py::test_nothing_breaks_what_is_compiled",),
    ),
    Mutant(
        "phi", "all passes of a compiled model with the same gradient", HOOKS,
        "one.sums = torch.zeros_like(sums) if number else sums",
        "one.sums = sums",
        (f"{COMPILED}[torch.compile, two passes, one loss]",),
    ),
    Mutant(
        "phi", "slopes of a compiled model's backward pass to its input", HOOKS,
        "            self._waiting.clear()",
        "            pass",
        (f"{COMPILED}[torch.compile, gradient of the input]", f"{SAME}[torch.compile, gradient of the input-]"),
    ),
    Mutant(
        "hooks", "left behind", HOOKS,
        "            handle.remove()\n        self._handles.clear()",
        "            pass\n        self._handles.clear()",
        ("watching/test_watch.py::test_hooks_are_gone_after_an_exception_and_records_stay",),
    ),
    Mutant(
        "single samples", "ε of the batch's mean", SAMPLES, "(len(one.index) * slopes)", "(slopes)",
        (f"{VISITS}[<lambda>0-1]",),
    ),
    Mutant(
        "single samples", "the gradient of the loss for that of f", SAMPLES, "norms / slopes, np.nan)", "norms, np.nan)",
        (f"{VISITS}[<lambda>0-1]",),
    ),
    Mutant(
        "single samples", "a pass of which nobody says anything has the index before", HOOKS,
        "index, self.index = self.index, None", "index = self.index",
        (f"{ONE_BY_ONE}::test_passes_without_an_index_or_thrown_away_are_no_visits",),
    ),
    Mutant(
        "single samples", "passes that were thrown away", SAMPLES, "if counts and one.index", "if one.index",
        (f"{ONE_BY_ONE}::test_passes_that_are_set_to_zero_in_place_are_no_visits",),
    ),
]  # fmt: skip
