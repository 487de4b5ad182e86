"""What could falsify the claims beyond the paper without a sign of it, and the tests that notice it."""

from bthcheck.tests.mutation import Mutant

LAYERS = "geometry/test_preactivations.py"
TOPOLOGY = "theory/test_topology.py"
NETWORKS = "test_extensions.py"
PHASES = "evidence/test_phases.py"
VISITS = "training/test_visits.py"
MISLABELLED = "theory/test_mislabelled.py"
FAMILIES = "harness/test_families.py"

MUTANTS_BEYOND_THE_PAPER = [
    Mutant(
        "slopes behind layers", "the layer that is reached", "geometry/preactivations.py",
        "if isinstance(layer, (nn.Linear, nn.Conv2d)):", "if isinstance(layer, nn.ReLU):",
        (f"{LAYERS}::test_slopes_behind_layers_are_products_of_masked_matrices",),
    ),
    Mutant(
        "slopes behind layers", "the output function", "geometry/preactivations.py",
        "network.output(z.squeeze(-1)).sum()", "z.squeeze(-1).sum()",
        (f"{LAYERS}::test_slopes_behind_layers_are_what_moving_a_bias_does[description0]",),
    ),
    Mutant(
        "bounds of every layer", "product up to the layer", "geometry/preactivations.py",
        "torch.cumprod(norms, 0)", "norms",
        (f"{LAYERS}::test_every_layer_bounds_the_slope_and_the_last_is_the_product_of_norms",),
    ),
    Mutant(
        "bounds of every layer", "spectral norm", "geometry/preactivations.py", "(weight, ord=2)", "(weight)",
        (f"{LAYERS}::test_every_layer_bounds_the_slope_and_the_last_is_the_product_of_norms",),
    ),
    Mutant(
        "spanning tree", "distance to the tree, not to its last point", "theory/topology.py",
        "distance = np.minimum(distance, np.linalg.norm(points - points[nearest], axis=1))",
        "distance = np.linalg.norm(points - points[nearest], axis=1)",
        (f"{TOPOLOGY}::test_no_tree_is_shorter",),
    ),
    Mutant(
        "partial τ", "what the third explains", "theory/topology.py", "(ab - ac * bc) /", "ab /",
        (f"{TOPOLOGY}::test_partial_tau_is_the_correlation_of_agreements_with_the_third",),
    ),
    Mutant(
        "matched loss", "begins where the loss is reached", "theory/trajectory.py",
        "(loss.epoch >= first) & (loss.epoch < first + epochs)", "loss.epoch < first + epochs",
        ("theory/test_trajectory.py::test_runs_are_compared_from_where_they_first_reach_a_loss",),
    ),
    Mutant(
        "networks beyond the paper", "where the normalisation is", "experiments/extensions.py",
        "rest: list[nn.Module] = [kind(self.widths[1]) for kind in norms[self.normalisation]]",
        "rest: list[nn.Module] = []",
        (f"{NETWORKS}::test_networks_compute_what_they_are_called[batch-relu]",),
    ),
    Mutant(
        "other activations", "slope below 0", "training/stacked/layers.py",
        "leaky_relu_backward(delta, saved, self.slope, True)", "leaky_relu_backward(delta, saved, 0.02, True)",
        (f"{NETWORKS}::test_engines_agree_on_other_activations[leaky_relu]",),
    ),
    Mutant(
        "other activations", "derivative of GELU", "training/stacked/layers.py",
        "torch.ops.aten.gelu_backward(delta, saved)", 'torch.ops.aten.gelu_backward(delta, saved, approximate="tanh")',
        (f"{NETWORKS}::test_engines_agree_on_other_activations[gelu]",),
    ),
    Mutant(
        "generated networks", "scales of weights", "evidence/generated.py",
        "* 10.0 ** draw(st.integers(-2, 2))", "* 1.0",
        (f"{NETWORKS}::test_generated_networks_are_what_was_asked_for[none]",),
    ),
    Mutant(
        "Lemma 1 of any activation", "squares that underflow", "evidence/measures.py",
        "underflow = 2 * np.sqrt(gradient.shape[1] * np.finfo(float).tiny)", "underflow = 0.0",
        (f"{NETWORKS}::test_a_norm_that_underflows_is_no_counterexample",),
    ),
    Mutant(
        "phase diagram", "both runs of a seed", "evidence/phases.py", '(cells.loss < fit).all("frequency")',
        '(cells.loss < fit).any("frequency")', (f"{PHASES}::test_states_are_the_sides_of_0_that_intervals_lie_on",),
    ),
    Mutant(
        "phase diagram", "window of a cell", "evidence/phases.py", "values[end - max(1, end // 10) : end]", "values[:end]",
        (f"{PHASES}::test_a_cell_is_what_its_runs_are_after_so_many_epochs",),
    ),
    Mutant(
        "phase diagram", "interval of a cell", "evidence/phases.py", "scipy.stats.beta.ppf(tail, up, down + 1)",
        "scipy.stats.beta.ppf(tail, up + 1, down + 1)",
        (f"{PHASES}::test_states_are_the_sides_of_0_that_intervals_lie_on",),
    ),
    Mutant(
        "curvature", "of the logit and not of f", "theory/mislabelled.py",
        "visits.phi**2 / steep.where", "visits.phi**2 * steep.where",
        (f"{MISLABELLED}::test_the_curvature_is_that_of_the_loss_as_autograd_has_it",),
    ),
    Mutant(
        "curvature", "trace of the square", "theory/mislabelled.py", "(trace**2).mean", "trace.mean",
        (f"{MISLABELLED}::test_the_curvature_is_that_of_the_loss_as_autograd_has_it",),
    ),
    Mutant(
        "gradients of samples", "biases", "theory/gradients.py",
        "square * (1 + h.square().sum(1))", "square * h.square().sum(1)",
        ("theory/test_gradients.py::test_norms_are_those_of_the_gradients_of_single_points[regression]",),
    ),
    Mutant(
        "gradients of samples", "summed over places before the norm", "theory/gradients.py",
        "torch.bmm(places, patches.transpose(1, 2)).square().sum((1, 2))",
        "places.square().sum((1, 2)) * patches.square().sum((1, 2))",
        ("theory/test_gradients.py::test_norms_are_those_of_the_gradients_of_single_points[convolutions]",),
    ),
    Mutant(
        "gradients of samples", "slope of the loss", "theory/gradients.py", "s.backward(slope,", "s.backward(slope.sign(),",
        ("theory/test_gradients.py::test_norms_are_those_of_the_gradients_of_single_points[trained first layer]",),
    ),
    Mutant(
        "visits", "before the step", "training/fused/loops.py",
        "            logit[row, number] = s\n", "            logit[row, number] = forward(p, c, x, start)\n",
        (f"{VISITS}::test_engines_see_the_same_at_every_visit[labels]",),
    ),
    Mutant(
        "visits", "which point", "training/engines.py", "np.argsort(order, axis=1)", "order",
        (f"{VISITS}::test_visits_are_the_steps_of_a_run[labels]",),
    ),
    Mutant(
        "visits", "derivative of the output", "training/fused/loops.py",
        "            phi[row, number] = steep * np.sqrt(", "            phi[row, number] = np.sqrt(",
        (f"{VISITS}::test_visits_are_the_steps_of_a_run[labels]",),
    ),
    Mutant(
        "mislabelled points", "input gradient", "theory/mislabelled.py",
        "(visits.epsilon * visits.phi)", "(visits.epsilon + visits.phi)",
        (f"{MISLABELLED}::test_scores_are_what_loops_add_up",),
    ),
    Mutant(
        "mislabelled points", "sign of a margin", "theory/mislabelled.py",
        "return -_margin(visits)", "return _margin(visits)", (f"{MISLABELLED}::test_scores_are_what_loops_add_up",),
    ),
    Mutant(
        "mislabelled points", "what was learned before", "theory/mislabelled.py",
        "right.shift(epoch=1, fill_value=False) & ~right", "~right", (f"{MISLABELLED}::test_scores_are_what_loops_add_up",),
    ),
    Mutant(
        "mislabelled points", "never learned", "theory/mislabelled.py",
        'xr.where(right.any("epoch"), events, visits.sizes["epoch"])', "events",
        (f"{MISLABELLED}::test_scores_are_what_loops_add_up",),
    ),
    Mutant(
        "mislabelled points", "window", "theory/mislabelled.py", "visits.isel(epoch=slice(epochs))", "visits",
        (f"{MISLABELLED}::test_scores_are_what_loops_add_up",),
    ),
    Mutant(
        "mislabelled points", "ties of an area", "theory/mislabelled.py",
        "scipy.stats.rankdata(score)", 'scipy.stats.rankdata(score, method="min")',
        (f"{MISLABELLED}::test_an_area_is_the_share_of_pairs_in_order",),
    ),
    Mutant(
        "families", "level of a family", "evidence/families.py",
        "return FAMILY_ERROR / (2 * SIZES[family])", "return FAMILY_ERROR / (2 * FAMILY_SIZE)",
        (f"{FAMILIES}::test_each_family_errs_in_five_percent",),
    ),
    Mutant(
        "families", "level of a claim's tests", "harness/claims.py",
        'return {"level": level_of(self.claim.family)}', 'return {"level": level_of("paper")}',
        (f"{FAMILIES}::test_a_claim_is_tested_at_the_level_of_its_family",),
    ),
    Mutant(
        "families", "claims that are counted", "harness/worker.py",
        "claim.statistical for claim in claims.values() if claim.family == family",
        "claim.statistical for claim in claims.values()",
        (f"{FAMILIES}::test_a_family_that_is_full_leaves_the_other_alone",),
    ),
    Mutant(
        "phase diagram", "the boundary is where a cell is fit for the first time", "evidence/phases.py",
        "np.logical_and.accumulate(fitted.values[..., ::-1], axis=-1)[..., ::-1]", "fitted.values",
        ("evidence/test_phases.py::test_the_boundary_is_where_cells_are_fit_from_there_on",),
    ),
]  # fmt: skip
