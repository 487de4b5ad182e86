"""X5 and X6: the chains of inequalities behind Corollaries 2 and 3, along real training."""

from functools import partial

import numpy as np

import bthcheck
from bthcheck import claim, figures
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.theory.trajectory import distance_chain, variance_chain

NETWORKS = {
    "= I": MLP(),
    "6 × 10": MLP((10, 6, 32, 32, 1), "trained"),
    "16 × 10": MLP((10, 16, 32, 32, 1), "trained"),
}
BIASES = (2, 10, 100)


def training_of(network):
    experiment = SINUSOIDS.replace(network=network, dtype="float64", epochs=30, learning_rate=0.005)
    return bthcheck.trace(experiment, level=0.5, seed=0, steps=3000)


def chains(network):
    """Terms and tolerance along a training: of Corollary 2 by the number of biases, and of Corollary 3."""
    trace = training_of(network)
    return {biases: tuple(variance_chain(trace, biases)) for biases in BIASES}, tuple(distance_chain(trace))


@claim(
    "X5",
    kind="exact",
    source="Corollary 2, as a chain",
    statement="The variance of m consecutive biases is at least Σ‖Δb₁‖²/4m, and that at least Σ(αελ/σ₁)²/4m",
    scope="m = 2, 10 and 100; the printed Ω() form mixes units and cannot be tested",
)
def test_bias_variance_chain(evidence, kept):
    ratios = {}
    for name, network in NETWORKS.items():
        variances, _ = kept(chains, network)
        for biases, ((lower, middle, variance), tolerance) in variances.items():
            evidence.at_most(middle, variance, tolerance, quantity=f"Σ‖Δb₁‖²/4m ≤ variance, m = {biases}, W₁ {name}")
            evidence.at_most(lower, middle, tolerance, quantity=f"Σ(αελ/σ₁)² ≤ Σ‖Δb₁‖², m = {biases}, W₁ {name}")
            if name == "= I":
                ratios[f"m = {biases}"] = variance / lower
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="variance / (Σ(αελ/σ₁)²/4m)"),
        "How loose Corollary 2's chain is where W₁ = I.",
    )


@claim(
    "X6",
    kind="exact",
    source="Corollary 3, as a chain",
    statement="The distance of b₁ to its start is at most Σαε‖g‖, and that at most Σαελ/σ_min if n_1 ≤ n",
    scope="the last step for W_1 with n_1 ≤ n and σ_min > 0",
)
def test_distance_chain(sinusoids, evidence, kept):
    ratios = {}
    for name, network in NETWORKS.items():
        _, ((distance, path, upper), tolerance) = kept(chains, network)
        evidence.at_most(distance, path, tolerance, quantity=f"distance ≤ Σαε‖g‖, W₁ {name}")
        if network.widths[1] <= network.widths[0]:
            evidence.at_most(path, upper, tolerance, quantity=f"Σαε‖g‖ ≤ Σαελ/σ_min, W₁ {name}")
        ratios[f"W₁ {name}"] = path / distance

    path = sinusoids.update_sum.cumsum("epoch")
    distance = sinusoids.distance_to_init
    steps = sinusoids.epoch * sinusoids.steps_per_epoch
    # Each step stores b₁ in float32, which errs by half of eps · ‖b₁‖; ‖b₁⁰‖ is at most 1 by its initialisation.
    single = steps * np.finfo(np.float32).eps * (1 + distance)
    evidence.at_most(
        *np.broadcast_arrays(distance, path, single.transpose(*distance.dims)),
        quantity="distance ≤ Σαε‖g‖ after every epoch of the sinusoid experiment",
    )
    ratios["sinusoids, at the end"] = (path / distance).isel(epoch=-1).values.ravel()
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="Σαε‖g‖ / distance"), "How loose Corollary 3 is: biases wander back."
    )
    loose = np.quantile(ratios["sinusoids, at the end"], [0.05, 0.95])
    evidence.note(f"At the end of the sinusoid experiment the path is {loose[0]:.0f} to {loose[1]:.0f} times the distance.")
