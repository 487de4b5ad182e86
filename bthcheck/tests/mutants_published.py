"""What could be wrong with a factor on the loss and with the authors' estimators, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

FACTORS = "training/test_loss_factor.py::test_a_factor_on_the_loss_is_a_factor_on_the_rate"
HALVED = "training/test_loss_factor.py::test_statistics_of_a_halved_cross_entropy_are_those_of_the_definitions"
TRACES = "training/test_loss_factor.py::test_traces_of_a_loss_with_a_factor"
PUBLISHED = "theory/test_published.py::test"
COMBINED = f"{PUBLISHED}_the_combined_estimator_averages_over_repeats_and_lags"
RECIPROCAL = f"{PUBLISHED}_reciprocal_slopes_of_the_cross_entropy[0.5]"

REFERENCE, STACK = "training/reference.py", "training/stacked/steps.py"
STEPS, LOOPS, ENGINE = "training/fused/steps.py", "training/fused/loops.py", "training/fused/engine.py"
ESTIMATORS = "theory/published/steps.py"

MUTANTS_PUBLISHED = [
    Mutant(
        "no factor on the loss", "steps, reference engine, cross-entropy", REFERENCE,
        "return _Loss(factor * values, factor * slope, values.detach()",
        "return _Loss(factor * values.detach() + values - values.detach(), factor * slope, values.detach()",
        (f"{FACTORS}[classification-reference]",),
    ),
    Mutant(
        "no factor on the loss", "steps, reference engine, squared loss", REFERENCE,
        "return _Loss(factor * values, factor * (s - y),",
        "return _Loss(values, factor * (s - y),",
        (f"{FACTORS}[regression-reference]",),
    ),
    Mutant(
        "no factor on the loss", "ε, reference engine", REFERENCE,
        "return _Step(phi, factor * steepness,",
        "return _Step(phi, steepness,",
        (f"{TRACES}[classification-reference]",),
    ),
    Mutant(
        "no factor on the loss", "test loss, reference engine", REFERENCE,
        "_loss(view, view.evaluate(points.x_test), points.y_test, training.loss_factor)",
        "_loss(view, view.evaluate(points.x_test), points.y_test)",
        (f"{HALVED}[reference]",),
    ),
    Mutant(
        "no factor on the loss", "steps, fused engine, cross-entropy", STEPS,
        "return factor * loss, factor * slope,",
        "return factor * loss, slope,",
        (f"{FACTORS}[classification-fused]",),
    ),
    Mutant(
        "no factor on the loss", "steps, fused engine, squared loss", STEPS,
        "factor * (s - y), 1.0,",
        "s - y, 1.0,",
        (f"{FACTORS}[regression-fused]",),
    ),
    Mutant(
        "no factor on the loss", "ε, fused engine, cross-entropy", STEPS,
        "larger * smaller, factor * np.exp(loss)",
        "larger * smaller, np.exp(loss)",
        (f"{TRACES}[classification-fused]",),
    ),
    Mutant(
        "no factor on the loss", "ε, fused engine, squared loss, minibatches", STEPS,
        "1.0, factor * abs(s - y)",
        "1.0, abs(s - y)",
        (f"{FACTORS}[regression, minibatches-fused]",),
    ),
    Mutant(
        "no factor on the loss", "test loss, fused engine", LOOPS,
        "value, _, _, _, wrong = loss_at(p.sigmoid, p.factor, s,",
        "value, _, _, _, wrong = loss_at(p.sigmoid, 1.0, s,",
        (f"{HALVED}[fused]",),
    ),
    Mutant(
        "no factor on the loss", "steps that follow, fused engine", LOOPS,
        "_, slope, steep, epsilon[number], _ = loss_at(p.sigmoid, p.factor, s,",
        "_, slope, steep, epsilon[number], _ = loss_at(p.sigmoid, 1.0, s,",
        ("training/test_loss_factor.py::test_steps_that_follow_have_the_factor",),
    ),
    Mutant(
        "no factor on the loss", "steps that are watched, fused engine", ENGINE,
        "Packed(network, MLP(widths, first, output), loss_factor)",
        "Packed(network, MLP(widths, first, output))",
        ("training/test_loss_factor.py::test_steps_watched_for_the_theorems_have_the_factor",),
    ),
    Mutant(
        "no factor on the loss", "steps, stacked engine", "training/stacked/losses.py",
        "return factor * values, factor * slope, values,",
        "return factor * values, slope, values,",
        (f"{FACTORS}[classification-stacked]",),
    ),
    Mutant(
        "no factor on the loss", "test loss, stacked engine", STACK,
        "loss(stack.sigmoid, stack.factor, s, stack.y_test)",
        "loss(stack.sigmoid, 1.0, s, stack.y_test)",
        (f"{HALVED}[stacked]",),
    ),
    Mutant(
        "no factor on the loss", "ε of single steps", ESTIMATORS,
        '"epsilon": factor * slope',
        '"epsilon": slope',
        (f"{PUBLISHED}_single_steps_are_windows_of_one_point[True-0.5]",),
    ),
    Mutant(
        "a factor on the published ε", "reference engine", REFERENCE,
        "return _Step(phi, factor * steepness, steepness,",
        "return _Step(phi, factor * steepness, factor * steepness,",
        (f"{HALVED}[reference]",),
    ),
    Mutant(
        "a factor on the published ε", "fused engine", LOOPS,
        "published += moved * epsilon / p.factor",
        "published += moved * epsilon",
        (f"{HALVED}[fused]",),
    ),
    Mutant(
        "a factor on the published ε", "stacked engine", STACK,
        "state.published.add_(update *",
        "state.published.add_(stack.factor * update *",
        (f"{HALVED}[stacked]",),
    ),
    Mutant(
        "lag dropped", "combined estimator, MLP", ESTIMATORS,
        'some.epsilon.mean("seed").isel(step=slice(None, -1))',
        'some.epsilon.mean("seed").isel(step=slice(1, None))',
        (COMBINED,),
    ),
    Mutant(
        "norms before averages", "combined estimator, MLP", ESTIMATORS,
        'moved = _norm(some.gradient.mean("seed"))',
        'moved = _norm(some.gradient).mean("seed")',
        (COMBINED,),
    ),
    Mutant(
        "lag dropped", "combined estimator, CNN", ESTIMATORS,
        "published.isel(step=slice(None, -1))",
        "published.isel(step=slice(1, None))",
        (RECIPROCAL,),
    ),
    Mutant(
        "first step of an epoch kept", "combined estimator, CNN", ESTIMATORS,
        '% steps.attrs["epoch_steps"] != 0',
        '% steps.attrs["epoch_steps"] >= 0',
        (RECIPROCAL,),
    ),
    Mutant(
        "after the step", "variance over the biases", ESTIMATORS,
        '(("before", path - moves), ("after", path))',
        '(("after", path - moves), ("before", path))',
        (f"{PUBLISHED}_variance_after_the_steps_against_loops",),
    ),
    Mutant(
        "last point for the first", "ε of a batch", "theory/published/batches.py",
        "moved / float(slopes[0])",
        "moved / float(slopes[-1])",
        (f"{PUBLISHED}_the_first_point_of_a_batch_stands_for_it[1.0]",),
    ),
    Mutant(
        "no bound for 0", "regions drawn whatever their status", "theory/published/programs.py",
        "np.where(bounds.status == Status.INFEASIBLE, 0.0, bounds.bound)",
        "bounds.bound",
        (f"{PUBLISHED}_a_program_without_a_solution_is_drawn_as_0",),
    ),
    Mutant(
        "u and v not exchanged", "maps", "theory/published/programs.py",
        'surface.transpose("v", "u").values.reshape',
        'surface.transpose("u", "v").values.reshape',
        (f"{PUBLISHED}_maps_are_drawn_with_u_and_v_exchanged",),
    ),
]  # fmt: skip
