"""E10: topology against length. The minimum spanning tree of a path's points is what persistent homology adds up."""

import numpy as np
import scipy

import bthcheck
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS
from bthcheck.theory.topology import partial_tau, path_length, spanning_tree_length
from bthcheck.training.streams import stream

STEPS = 500
RESAMPLES = 500


def lengths(seeds):
    """Length of the path of b₁ and of its minimum spanning tree over the first steps, (seeds, frequencies) each."""
    experiment = SINUSOIDS.replace(dtype="float64", epochs=-(-STEPS // 100))
    traces = [bthcheck.trace(experiment, level, seed, STEPS).bias.values for seed in seeds for level in experiment.levels]
    found = np.array([[path_length(path), spanning_tree_length(path)] for path in traces]).T
    return found.reshape(2, len(seeds), -1)


def given_the_path(tree, gap, path):
    """Partial τ of the tree with the gap, given the path, over all pairs of runs, and its interval over resampled seeds."""
    tables = np.array([tree, gap, path])
    generator = stream(0, "perturbation")
    draws = generator.integers(len(tree), size=(RESAMPLES, len(tree)))
    resampled = [partial_tau(*tables[:, seeds].reshape(3, -1)) for seeds in draws]
    return partial_tau(*tables.reshape(3, -1)), *np.nanpercentile(resampled, [2.5, 97.5])


def tau_of(one, other):
    """Kendall's τ over all pairs of runs."""
    return float(scipy.stats.kendalltau(one.ravel(), other.ravel()).statistic)


@claim(
    "E10",
    kind="exact",
    family="extensions",
    source="Persistent homology of weight trajectories (not in the paper)",
    statement="The minimum spanning tree of the biases that a training passes is no longer than its path Σ‖Δb₁‖",
    scope="any optimizer and batch size: the steps are a tree that spans the points",
)
def test_tree_is_no_longer_than_the_path(sinusoids, evidence, kept):
    path, tree = kept(lengths, sinusoids.seed.values.tolist())
    evidence.at_most(tree, path, 1e-12 * path, quantity=f"minimum spanning tree ≤ Σ‖Δb₁‖ over the first {STEPS} steps")
    evidence.note(f"The tree is {np.median(tree / path):.0%} of the path (median; {np.min(tree / path):.0%} at least).")
    end = sinusoids.isel(epoch=-1).transpose("seed", "frequency", ...)
    gap = (end.test_loss - end.train_loss).values
    tau, low, high = given_the_path(tree, gap, path)
    evidence.note(
        f"Kendall's τ of the tree with the gap of the losses in the end, over pairs of frequencies and seeds, is"
        f" {tau_of(tree, gap):.2f}, of the path {tau_of(path, gap):.2f}; given the path, the partial τ of the tree is {tau:.2f}"
        f" (95 % interval {low:.2f} to {high:.2f}, seeds resampled). This is described, not tested."
    )
