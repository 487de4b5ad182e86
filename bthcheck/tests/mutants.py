# Long because every way to break an estimator stands beside the others: what is missing is then seen.
"""What could be wrong with the estimators, and the tests that have to notice it; see mutation.py for how."""

from bthcheck.tests.mutants_beyond import MUTANTS_BEYOND_THE_PAPER
from bthcheck.tests.mutants_changes import MUTANTS_OF_CHANGES
from bthcheck.tests.mutants_comparing import MUTANTS_OF_COMPARING
from bthcheck.tests.mutants_dispatch import MUTANTS_OF_DISPATCH
from bthcheck.tests.mutants_falsify import MUTANTS_OF_ATTACKS
from bthcheck.tests.mutants_faults import MUTANTS_OF_FAULTS
from bthcheck.tests.mutants_kept import MUTANTS_OF_WHAT_IS_KEPT
from bthcheck.tests.mutants_layers import MUTANTS_OF_LAYERS
from bthcheck.tests.mutants_own import MUTANTS_OF_ONES_OWN
from bthcheck.tests.mutants_published import MUTANTS_PUBLISHED
from bthcheck.tests.mutants_regions import MUTANTS_OF_REGIONS
from bthcheck.tests.mutants_report import MUTANTS_OF_THE_REPORT
from bthcheck.tests.mutants_rivals import MUTANTS_OF_RIVALS
from bthcheck.tests.mutants_scale import MUTANTS_OF_SCALE
from bthcheck.tests.mutants_seen import MUTANTS_OF_WHAT_IS_SEEN
from bthcheck.tests.mutants_state import MUTANTS_OF_STATE
from bthcheck.tests.mutants_watching import MUTANTS_OF_WATCHING
from bthcheck.tests.mutation import Mutant

SMALL = "[few points, square first layer]"
TRAINED = f"training/test_engines.py::test_fused_agrees_with_reference_over_600_steps{SMALL}"
TRACED = f"training/test_engines.py::test_fused_trace_agrees_with_reference{SMALL}"
NORMALISED = f"training/test_engines.py::test_phi_is_the_normalised_bias_update{SMALL}"
AGREES = "training/test_engines.py::test_stacked_and_fused_agree_with_reference_over_hundreds_of_steps"
STACKED = f"{AGREES}[cpu-few points, square first layer]"
CONVOLVED = "training/test_engines.py::test_convolutions_of_any_shape_agree[2-1]"
POOLED = "training/test_engines.py::test_convolutions_of_any_shape_agree[2-2]"
CROSS_ENTROPY = "training/test_engines.py::test_minibatch_phi_of_the_cross_entropy"
FOLLOWED = "theory/test_published.py::test_next_steps_go_on_where_the_training_ended"
LEMMA_1 = "claims/test_first_layer.py::test_lipschitz_is_at_most_sigma_1_phi"
LEMMA_1_THINNED = "training/test_dropout_training.py::test_phi_is_lambda_of_the_network_without_what_was_dropped"
LEMMA_1_BELOW = "claims/test_first_layer.py::test_lipschitz_is_at_least_sigma_min_phi"

REFERENCE, VIEWS = "training/reference.py", "training/views.py"
AFFINE, STEPS, LOOPS = "training/fused/affine.py", "training/fused/steps.py", "training/fused/loops.py"
STACK, STACK_STATE = "training/stacked/steps.py", "training/stacked/state.py"
STACK_LOSS = "training/stacked/losses.py"

MUTANTS = [
    Mutant(
        "slope of the step before", "reference engine, training", REFERENCE,
        "phi = torch.stack([step.phi for step in steps]).double()",
        "phi = torch.stack([now.update / before.epsilon for before, now in zip([steps[0], *steps], steps)]).double()",
        (TRAINED,),
    ),
    Mutant(
        "slope of the step before", "reference engine, trace", REFERENCE,
        'columns["phi"].append(step.phi)',
        'columns["phi"].append(step.phi * step.epsilon / columns["epsilon"][-1] if columns["epsilon"] else step.phi)',
        (NORMALISED, LEMMA_1),
    ),
    Mutant(
        "slope of the step before", "fused engine, training", LOOPS,
        "            length += phi\n",
        "            length += moved / table[epoch, 0] if steps else phi\n            table[epoch, 0] = epsilon\n",
        (TRAINED,),
    ),
    Mutant(
        "slope of the step before", "fused engine, trace", LOOPS,
        "    bias[len(sizes)] = b_1",
        "    bias[len(sizes)] = b_1\n    phi[1:] *= epsilon[1:] / epsilon[:-1]",
        (TRACED,),
    ),
    Mutant(
        "slope of the step before", "fused engine, steps that follow", LOOPS,
        "        phi[number] = steep *",
        "        phi[number] = (epsilon[number] / epsilon[number - 1] if number else 1.0) * steep *",
        (FOLLOWED,),
    ),
    Mutant(
        "slope of the step before", "stacked engine", STACK,
        "    state.length.add_(phi)",
        "    epsilon = log_steepness.double().exp().mean(1)\n"
        "    state.length.add_(update / vars(state).get('before', epsilon))\n"
        "    vars(state)['before'] = epsilon",
        (STACKED,),
    ),
    Mutant(
        "slope of the step before", "chain of Corollary 2", "theory/trajectory.py",
        "sigma, _ = first_singular_values(trace)\n    scale = trace.learning_rate.values * trace.epsilon.values",
        "sigma, _ = first_singular_values(trace)\n    scale = trace.learning_rate.values * np.roll(trace.epsilon.values, 1)",
        ("theory/test_trajectory.py::test_variance_chain_against_loops[2]",),
    ),
    Mutant(
        "reciprocal slope", "reference engine, cross-entropy", REFERENCE,
        "factor * slope, values.detach()",
        "factor * slope, -values.detach()",
        (CROSS_ENTROPY,),
    ),
    Mutant(
        "reciprocal slope", "reference engine, squared loss", REFERENCE,
        "(s - y).abs().log()",
        "-(s - y).abs().log()",
        ("training/test_engines.py::test_minibatch_step_is_the_gradient_of_the_mean_loss",),
    ),
    Mutant(
        "reciprocal slope", "fused engine, cross-entropy", STEPS,
        "larger * smaller, factor * np.exp(loss)",
        "larger * smaller, factor * np.exp(-loss)",
        ("training/test_engines.py::test_cross_entropy_is_right_where_a_probability_is_0_or_1_to_rounding[0.0-0.5]",),
    ),
    Mutant(
        "reciprocal slope", "fused engine, squared loss", STEPS,
        "1.0, factor * abs(s - y), np.nan",
        "1.0, factor / abs(s - y), np.nan",
        (TRACED,),
    ),
    Mutant(
        "reciprocal slope", "fused engine, minibatches", STEPS,
        "phi = norm / slopes if",
        "phi = norm * slopes if",
        (STACKED,),
    ),
    Mutant(
        "reciprocal slope", "stacked engine, cross-entropy", STACK_LOSS,
        "return factor * values, factor * slope, values,",
        "return factor * values, factor * slope, -values,",
        (STACKED,),
    ),
    Mutant(
        "after the step", "λ at the sampled point, reference engine", REFERENCE,
        'columns["epsilon"].append(step.epsilon)',
        'columns["epsilon"].append(step.epsilon)\n'
        '        columns["lipschitz"][-1] = view.local_lipschitz(points.x_train[batch]).max()',
        (TRACED, LEMMA_1),
    ),
    Mutant(
        "after the step", "λ at all points, fused engine", LOOPS,
        "    bias[len(sizes)] = b_1",
        "    bias[len(sizes)] = b_1\n    point_lipschitz[:-1] = point_lipschitz[1:].copy()",
        (TRACED,),
    ),
    Mutant(
        "after the step", "φ of the steps that follow", LOOPS,
        "_, after[number] = gradient_norms(",
        "phi[number], after[number] = gradient_norms(",
        (FOLLOWED,),
    ),
    Mutant(
        "after the step", "φ for Assumption 1", "theory/assumption.py",
        'phi[order] = seen["phi"]',
        "phi[order] = first_layer_gradients(network, x.double()).norm(dim=1)[order]",
        ("theory/test_assumption.py::test_phi_is_that_of_the_reference_engine",),
    ),
    Mutant(
        "W_1 transposed", "λ, fused engine", STEPS,
        "component += p.theta[row + i] *",
        "component += p.theta[p.weights[0] + i * p.widths[0] + j] *",
        (TRAINED,),
    ),
    Mutant(
        "W_1 transposed", "trace, fused engine", LOOPS,
        "first_weight[number, i, j] = p.theta[p.weights[0] + j * p.columns[0] + i]\n        for k",
        "first_weight[number, j, i] = p.theta[p.weights[0] + j * p.columns[0] + i]\n        for k",
        (TRACED,),
    ),
    Mutant(
        "W_1 transposed", "stacked engine", "training/stacked/layers.py",
        "Affine(next(left), next(left))",
        "Affine(next(left).mT, next(left))",
        (STACKED,),
    ),
    Mutant(
        "W_1 transposed", "singular values and norms", "geometry/lipschitz.py",
        "if weight is None else weight\n",
        "if weight is None else weight.mT\n",
        (TRACED,),
    ),
    Mutant(
        "W_1 transposed", "slopes of regions", "geometry/regions/patterns.py",
        "    gradient = np.ones((len(patterns), 1))",
        "    weights[0] = None if weights[0] is None else weights[0].T\n    gradient = np.ones((len(patterns), 1))",
        ("geometry/test_regions.py::test_a_square_first_layer_and_a_width_of_several_bytes[trained]",),
    ),
    Mutant(
        "biases aliased", "initial bias, reference engine", REFERENCE,
        "initial = view.bias.detach().clone()",
        "initial = view.bias.detach()",
        (TRAINED,),
    ),
    Mutant(
        "biases aliased", "biases of an epoch, reference engine", REFERENCE,
        "biases.append(view.bias.detach().clone().flatten())",
        "biases.append(view.bias.detach().flatten())",
        (TRAINED,),
    ),
    Mutant(
        "biases aliased", "trace, reference engine", REFERENCE,
        'stop.check()\n        columns["bias"].append(view.bias.detach().clone().flatten())',
        'stop.check()\n        columns["bias"].append(view.bias.detach().flatten())',
        (NORMALISED,),
    ),
    Mutant(
        "biases aliased", "initial bias, fused engine", LOOPS, "initial = b_1.copy()", "initial = b_1", (TRAINED,)
    ),
    Mutant(
        "biases aliased", "bias before an epoch, fused engine", LOOPS, "reference = b_1.copy()", "reference = b_1", (TRAINED,)
    ),
    Mutant(
        "biases aliased", "initial bias, stacked engine", STACK_STATE, "initial=bias.clone()", "initial=bias", (STACKED,)
    ),
    Mutant(
        "biases aliased", "bias before an epoch, stacked engine", STACK_STATE,
        "reference=bias.clone()",
        "reference=bias",
        (STACKED,),
    ),
    Mutant(
        "biases aliased", "network watched for Assumption 1", "theory/assumption.py",
        "    network = float64_copy(network)",
        "    network = network.double()",
        ("theory/test_assumption.py::test_phi_is_that_of_the_reference_engine",),
    ),
    Mutant(
        "biases aliased", "network watched for Theorem 3", "theory/dropout.py",
        "    network = float64_copy(network)",
        "    network = network.double()",
        ("theory/test_dropout.py::test_watching_leaves_the_network_alone_whatever_its_type[frozen]",),
    ),
    Mutant(
        "biases aliased", "weights of a Dataset", "training/runs.py",
        "torch.from_numpy(np.array(vector))",
        "torch.from_numpy(np.asarray(vector))",
        ("theory/test_trajectory.py::test_training_on_leaves_a_dataset_alone",),
    ),
    Mutant(
        "averaged before norms", "λ over points", "geometry/lipschitz.py",
        "return gradient.flatten(1).norm(dim=1)",
        "return gradient.flatten(1).mean(0).norm().expand(len(x))",
        ("geometry/test_lipschitz.py::test_local_lipschitz_is_the_slope_of_the_network", LEMMA_1_BELOW),
    ),
    Mutant(
        "averaged before norms", "bias variance, reference engine", REFERENCE,
        "(path - path.mean(0)).square().sum(1).mean()",
        "(path - path.mean(0)).mean(0).square().sum()",
        (TRAINED,),
    ),
    Mutant(
        "averaged before norms", "update sum, fused engine", LOOPS,
        "row[4] = path",
        "row[4] = np.sqrt(np.sum((b_1 - reference) ** 2))",
        ("training/test_engines.py::test_statistics_are_what_their_names_say[few points, square first layer]",),
    ),
    Mutant(
        "averaged before norms", "φ over runs, stacked engine", STACK,
        "norm = g.norm(dim=(1, 2))",
        "norm = g.mean(0, keepdim=True).norm(dim=(1, 2)).expand(len(g))",
        (STACKED,),
    ),
    Mutant(
        "averaged before norms", "λ over points, stacked engine", STACK,
        "parts.append(stack.slope(s) * stack.first.backward(g, first).norm(dim=2))",
        "parts.append((stack.slope(s)[..., None] * stack.first.backward(g, first)).mean(1).norm(dim=1)[:, None].expand_as(s))",
        (STACKED,),
    ),
    Mutant(
        "averaged before norms", "chain of Corollary 3", "theory/trajectory.py",
        "moved = np.cumsum(scale * trace.phi.values)",
        "moved = distance",
        ("theory/test_trajectory.py::test_distance_chain_against_loops",),
    ),
    Mutant(
        "averaged before norms", "the other way round, where the authors do it", "theory/published/steps.py",
        'return _norm(some.gradient.mean("seed")) /',
        'return _norm(some.gradient).mean("seed") /',
        ("theory/test_published.py::test_averaged_first_is_the_path_of_the_mean_bias[2]",),
    ),
    Mutant(
        "no ReLU mask", "last hidden layer, fused engine", AFFINE,
        "where_positive(load(h, a + j), load(theta, weight + j))",
        "load(theta, weight + j)",
        (TRAINED,),
    ),
    Mutant(
        "no ReLU mask", "hidden layers before the last, fused engine", AFFINE,
        "delta[a + j2] = t2 if h2 > 0 else nought",
        "delta[a + j2] = t2",
        (TRAINED,),
    ),
    Mutant(
        "no ReLU mask", "image, fused engine", "training/fused/convolutions.py",
        " if image[i] > 0 else nought", "", (CONVOLVED,)
    ),
    Mutant(
        "no ReLU mask", "first convolution, fused engine", "training/fused/second_convolution.py",
        "pooled_delta[i] = pooled_delta[i] if pooled[i] > 0 else nought",
        "pooled_delta[i] = pooled_delta[i]",
        (CONVOLVED,),
    ),
    Mutant(
        "convolutions", "a kernel changes before all cells of its channel have read it", "training/fused/second_convolution.py",
        "        for cell in range(first, last):\n            d = delta[cell]\n            if d != 0:\n"
        "                p = c.feature_at[cell] * stretch\n                for i in range(size):\n"
        "                    patches_delta[p + i] += d * theta[k + i]\n        d = delta[last]",
        "        d = delta[last]",
        (CONVOLVED,),
    ),
    Mutant(
        "convolutions", "what an image has seen is kept for the next", "training/fused/first_convolution.py",
        "store(seen_delta, seen, nought)", "pass", (CONVOLVED,)
    ),
    Mutant(
        "convolutions", "the smallest of a pool", "training/fused/first_convolution.py",
        "best = where_larger(value, best, value, best)", "best = where_larger(best, value, value, best)", (POOLED,)
    ),
    Mutant(
        "no ReLU mask", "stacked engine", "training/stacked/layers.py",
        "return torch.ops.aten.threshold_backward(delta, saved, 0)",
        "return delta",
        (STACKED,),
    ),
    Mutant(
        "no ReLU mask", "slopes of regions", "geometry/regions/patterns.py",
        "gradient = gradient * mask",
        "gradient = gradient * np.ones_like(mask)",
        ("geometry/test_regions.py::test_a_square_first_layer_and_a_width_of_several_bytes[identity]",),
    ),
    Mutant(
        "no ReLU mask", "rounding tolerance", "geometry/lipschitz.py",
        "first = chain * mask",
        "first = chain",
        ("geometry/test_lipschitz.py::test_a_neuron_that_is_off_adds_no_error",),
    ),
    Mutant(
        "no ReLU mask", "repaired lower bound", "geometry/lipschitz.py",
        "active = (network.first(x) > 0)",
        "active = (network.first(x) == network.first(x))",
        ("geometry/test_lipschitz.py::test_active_sigma_min_is_that_of_the_active_rows",),
    ),
    Mutant(
        "no Dropout mask", "steps, reference engine", VIEWS,
        "network.logit(z) if kept is None else network.thinned_logit(z, kept)",
        "network.logit(z)",
        (LEMMA_1_THINNED,),
    ),
    Mutant(
        "no Dropout mask", "λ at the sampled point, reference engine", REFERENCE,
        "view.local_lipschitz(points.x_train[batch], keep)",
        "view.local_lipschitz(points.x_train[batch])",
        (LEMMA_1_THINNED,),
    ),
    Mutant(
        "no Dropout mask", "fused engine", STEPS,
        "p.activation[a + j] = 0",
        "pass",
        ("training/test_engines.py::test_fused_agrees_with_reference_over_600_steps[dropout]",),
    ),
    Mutant(
        "no Dropout mask", "stacked engine", STACK,
        "thin(stack.rest, rest, kept)",
        "pass",
        (f"{AGREES}[cpu-dropout]",),
    ),
    *MUTANTS_PUBLISHED,
    *MUTANTS_OF_REGIONS,
    *MUTANTS_OF_RIVALS,
    *MUTANTS_OF_LAYERS,
    *MUTANTS_OF_STATE,
    *MUTANTS_OF_WHAT_IS_SEEN,
    *MUTANTS_OF_THE_REPORT,
    *MUTANTS_OF_WATCHING,
    *MUTANTS_OF_ONES_OWN,
    *MUTANTS_OF_CHANGES,
    *MUTANTS_OF_FAULTS,
    *MUTANTS_OF_COMPARING,
    *MUTANTS_OF_SCALE,
    *MUTANTS_OF_DISPATCH,
    *MUTANTS_BEYOND_THE_PAPER,
    *MUTANTS_OF_ATTACKS,
    *MUTANTS_OF_WHAT_IS_KEPT,
]  # fmt: skip
