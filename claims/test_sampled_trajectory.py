"""X3 and X4: what the sampled trajectory says of the average and of the largest gradient over the training points.

Theorem 1 draws points independently with replacement. A loader that reshuffles visits every point once an epoch, which makes
its averages far more accurate than independent draws could be: the bound then holds for a reason that is not the theorem's.
"""

from functools import partial

import numpy as np

import bthcheck
from bthcheck import claim, figures
from bthcheck.evidence.measures import largest_gradient
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.theory.trajectory import THEOREM_1_ETA, deviation_scores, first_singular_values

RUNS = 200
STEPS = 100  # one epoch


def deviations(sampling):
    """Deviation, bound, largest R_t and standardised deviation of independent runs, (runs,) each."""
    experiment = SINUSOIDS.replace(sampling=sampling, epochs=1)
    traces = (bthcheck.trace(experiment, level=0.5, seed=seed, steps=STEPS) for seed in range(RUNS))
    return np.array([deviation_scores(trace) for trace in traces]).T


def end_of_training(network):
    """The last 1000 of 5000 steps: σ₁ and φ of each, and λ at all training points; and the largest ‖g‖ at any point."""
    experiment = SINUSOIDS.replace(network=network, dtype="float64", epochs=60, learning_rate=0.005)
    trace = bthcheck.trace(experiment, level=0.5, seed=0, steps=5000).isel(step=slice(4000, None))
    return first_singular_values(trace)[0], trace.phi.values, trace.point_lipschitz.values, trace.gradient_norm.values.max()


@claim(
    "X3",
    kind="probabilistic",
    source="Theorem 1",
    statement="The average φ of an interval is within its bound of the average gradient norm over the training points",
    scope=f"points drawn with replacement, ε > 0; probability 1 − η, η = {THEOREM_1_ETA}; f = 0.5, first {STEPS} steps",
)
def test_sampled_average_tracks_the_average(evidence, kept):
    deviation, bound, largest, score = kept(deviations, "replacement")
    evidence.rarely(
        RUNS - int((deviation <= bound).sum()), RUNS, THEOREM_1_ETA, quantity="deviations of the average φ beyond the bound"
    )
    evidence.dispersed(score, quantity="standardised deviations, which a sharp account of chance makes standard normal")
    evidence.figure(
        partial(figures.normal_scores, {"with replacement": score}),
        f"Standardised deviations of {RUNS} runs. The bound of Theorem 1 lies at {np.median(bound / deviation):.1f} times"
        " the deviation (median).",
    )
    evidence.note(
        f"The bound is {np.median(bound / largest):.0%} of the largest gradient norm (median);"
        " above 100 % it would say nothing."
    )


@claim(
    "X3-reshuffled",
    kind="probabilistic",
    source="Scope of Theorem 1 (not in the paper)",
    statement="Under reshuffled epochs the deviations are far smaller than Theorem 1's sampling makes them",
    scope="the sampling of the paper's experiments; a calibrated test must not find it calibrated",
)
def test_reshuffling_is_over_concentrated(evidence, kept):
    *_, score = kept(deviations, "reshuffle")
    evidence.dispersed(score, calibrated=False, quantity="standardised deviations under reshuffled epochs")
    evidence.figure(partial(figures.normal_scores, {"reshuffled": score}), f"Standardised deviations of {RUNS} runs.")


@claim(
    "X4",
    kind="exact",
    source="Corollary 1",
    statement="If ‖g_t(x)‖ ≤ φ for all training points and steps from τ on, then λ_t(x) ≤ σ₁ φ at all of them",
    scope="φ the largest gradient norm over all points, not over the sampled ones",
)
def test_largest_gradient_bounds_the_lipschitz_constant(evidence, kept):
    shares, excesses = [], []
    for name, network in {"= I": MLP(), "16 × 10": MLP((10, 16, 32, 32, 1), "trained")}.items():
        sigma, phi, slopes, largest = kept(end_of_training, network)
        evidence.at_most(*largest_gradient(sigma, slopes, largest), quantity=f"λ_t(x) ≤ σ₁ max‖g‖, W₁ {name}")
        sampled = sigma * phi.max()
        steepest = slopes.max(axis=1)
        shares.append(float(np.mean(steepest > sampled)))
        excesses.append(float(np.max(steepest / sampled)) - 1)
    evidence.note(
        "With the largest sampled φ in place of the largest over X the statement does not follow:"
        f" {', '.join(f'{share:.1%}' for share in shares)} of the steps exceed it"
        f" (by at most {max(0.0, *excesses):.2%}), for W₁ = I and 16 × 10."
    )
