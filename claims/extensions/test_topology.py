"""E10: topology against length. The minimum spanning tree of a path's points is what persistent homology adds up."""

import numpy as np

import bthcheck
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS
from bthcheck.theory.topology import path_length, spanning_tree_length

STEPS = 500


def lengths(seeds):
    """Length of the path of b₁ and of its minimum spanning tree over the first steps, (seeds × frequencies,) each."""
    experiment = SINUSOIDS.replace(dtype="float64", epochs=-(-STEPS // 100))
    traces = [bthcheck.trace(experiment, level, seed, STEPS).bias.values for seed in seeds for level in experiment.levels]
    return np.array([[path_length(path), spanning_tree_length(path)] for path in traces]).T


@claim(
    "E10",
    kind="exact",
    family="extensions",
    source="Persistent homology of weight trajectories (not in the paper)",
    statement="The minimum spanning tree of the biases that a training passes is no longer than its path Σ‖Δb₁‖",
    scope="any optimizer and batch size: the steps are a tree that spans the points",
)
def test_tree_is_no_longer_than_the_path(sinusoids, evidence, kept):
    path, tree = kept(lengths, sinusoids.seed.values[:5].tolist())
    evidence.at_most(tree, path, 1e-12 * path, quantity=f"minimum spanning tree ≤ Σ‖Δb₁‖ over the first {STEPS} steps")
    evidence.note(f"The tree is {np.median(tree / path):.0%} of the path (median; {np.min(tree / path):.0%} at least).")
