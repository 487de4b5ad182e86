"""X1, X2 and X8: what the first bias and the weights say of the local Lipschitz constant (Lemma 1 and what it needs).

φ is measured at the first pre-activation and λ at the input, by separate gradients. With W_1 = I the two are equal by
construction, which tests this code and not the paper; networks with trained first layers of any shape are what can fail.
"""

from functools import partial

import numpy as np

import bthcheck
from bthcheck import claim, figures
from bthcheck.evidence.measures import above_product, above_sigma_1, below_active_sigma_min, below_sigma_min
from bthcheck.evidence.search import Search, examples, falsify
from bthcheck.experiments import SINUSOIDS
from bthcheck.geometry import lipschitz
from bthcheck.networks import MLP
from bthcheck.theory.trajectory import first_singular_values

IDENTITY = MLP((10, 10, 32, 32, 32, 1))
NARROW = MLP((10, 6, 16, 16, 1), "trained")
WIDE = MLP((10, 16, 16, 16, 1), "trained")
STEPS = 100


def training_of(network, dropout=0.0):
    """Every step of a training in float64, φ and λ from independent gradients of the reference engine."""
    experiment = SINUSOIDS.replace(network=network, dtype="float64", epochs=1, learning_rate=0.01, dropout=dropout)
    return bthcheck.trace(experiment, level=0.5, seed=0, steps=STEPS, engine="reference")


def search(measure, max_examples, **shape) -> Search:
    """What a search finds among generated networks with first layers of a shape."""
    return falsify(examples(**shape), measure, max_examples)


def products(runs):
    """The product of norms of every trained network and its rounding tolerance, (level, seed) each."""
    networks = [[runs.bthcheck.weights(f, s) for s in runs.seed.values] for f in runs.frequency.values]
    return [
        np.array([[measure(network) for network in row] for row in networks])
        for measure in (lipschitz.product_bound, lipschitz.product_tolerance)
    ]


@claim(
    "X1",
    kind="exact",
    source="Lemma 1",
    statement="The local Lipschitz constant at the sampled point is at most σ₁ φ",
    scope="batch size 1, plain SGD, ε > 0; W_1 of any shape; under Dropout λ is that of the network without what is dropped",
)
def test_lipschitz_is_at_most_sigma_1_phi(evidence, kept, max_examples):
    evidence.withstands(kept(search, above_sigma_1, max_examples), "λ ≤ σ₁‖g‖ in generated networks")
    ratios = {}
    trainings = {
        "= I": kept(training_of, IDENTITY),
        "6 × 10": kept(training_of, NARROW),
        "16 × 10": kept(training_of, WIDE),
        "16 × 10, Dropout": kept(training_of, WIDE, dropout=0.5),
    }
    for name, trace in trainings.items():
        bound = first_singular_values(trace)[0] * trace.phi.values
        evidence.at_most(trace.lipschitz, bound, trace.rounding, quantity=f"λ ≤ σ₁ φ along training, W₁ {name}")
        steep = trace.lipschitz.values > 0
        ratios[f"W₁ {name}"] = bound[steep] / trace.lipschitz.values[steep]
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="σ₁ φ / λ"), "How loose Lemma 1 is along training; met exactly where W₁ = I."
    )


@claim(
    "X2",
    kind="exact",
    source="Lemma 1, lower bound",
    statement="The local Lipschitz constant at the sampled point is at least σ_min φ if n_1 ≤ n",
    scope="first layers no wider than the input",
)
def test_lipschitz_is_at_least_sigma_min_phi(evidence, kept, max_examples):
    found = kept(search, below_sigma_min, max_examples, shape="narrow")
    evidence.withstands(found, "σ_min‖g‖ ≤ λ in generated networks with n_1 ≤ n")
    for name, network in {"= I": IDENTITY, "6 × 10": NARROW}.items():
        trace = kept(training_of, network)
        bound = first_singular_values(trace)[1] * trace.phi.values
        evidence.at_most(bound, trace.lipschitz, trace.rounding, quantity=f"σ_min φ ≤ λ along training, W₁ {name}")


@claim(
    "X2-counterexample",
    kind="exact",
    source="Lemma 1, lower bound as printed",
    statement="The lower bound σ_min φ ≤ λ fails for some first layers wider than the input",
    scope="n_1 > n, where W_1ᵀ has a kernel",
)
def test_lower_bound_fails_for_wide_first_layers(evidence, max_examples):
    found = search(below_sigma_min, max_examples, shape="wide", output="identity", readable=True)
    evidence.fails_outside(found, "σ_min‖g‖ ≤ λ in generated networks with n_1 > n")


@claim(
    "X2-repair",
    kind="exact",
    source="Lemma 1, repaired (not in the paper)",
    statement="With σ_min of the active rows of W_1 the lower bound holds for first layers of any shape",
    scope="σ_min counts as 0 where more than n neurons are active",
)
def test_repaired_lower_bound(evidence, kept, max_examples):
    found = kept(search, below_active_sigma_min, max_examples)
    evidence.withstands(found, "σ_min(active rows)·‖g‖ ≤ λ in generated networks")
    informative = float(np.mean(found.smaller > 0))
    evidence.note(f"The repaired bound is above zero, and so says something, in {informative:.0%} of the cases.")


@claim(
    "X8",
    kind="exact",
    source="Product of norms",
    statement="The local Lipschitz constant is at most the product of the layers' norms",
    scope="times 1/4 with a sigmoid output",
)
def test_product_of_norms(sinusoids, evidence, kept, max_examples):
    evidence.withstands(kept(search, above_product, max_examples), "λ ≤ Π‖W_l‖ in generated networks")
    final = sinusoids.lipschitz_max.isel(epoch=-1)
    bounds, tolerance = kept(products, sinusoids)
    evidence.at_most(final, bounds, tolerance, quantity="largest λ over the training points of the trained sinusoid networks")
    levels = zip(final.frequency.values, bounds / final.values, strict=True)
    ratios = {f"frequency {level:g}": ratio for level, ratio in levels}
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="Π‖W_l‖ / largest λ over X"),
        "How loose the product bound is in the trained networks, a curve over seeds for each frequency.",
    )
    evidence.note(
        f"In the trained networks the product of norms is {np.median(bounds / final.values):.0f} times too large (median)."
    )
