"""What topology adds to length: the minimum spanning tree of the biases that a training passes through.

The total persistence of a point set's connected components (its H_0, with a Vietoris–Rips filtration) is the length of its
minimum spanning tree, which published work relates to the generalisation gap of whole weight trajectories (Birdal et al.,
"Intrinsic dimension, persistent homology and generalization in neural networks", NeurIPS 2021). The steps themselves are a tree
that spans the points, so that it is never longer than the path.
"""

import numpy as np
import scipy

from bthcheck.ambient import neutral


@neutral()
def spanning_tree_length(points: np.ndarray) -> float:
    """Return the sum of the edges of the Euclidean minimum spanning tree of `points`, (k, n), in float64 (Prim 1957).

    Raises
    ------
    ValueError
        If `points` is no matrix of finite numbers with at least a row.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"points must be a matrix of finite numbers with a row each, got one of shape {points.shape}")
    total, distance = 0.0, np.full(len(points), np.inf)
    distance[0] = 0.0
    outside = np.ones(len(points), bool)
    for _ in range(len(points)):  # scipy's takes edges of length 0, of points that coincide, for none
        nearest = int(np.argmin(np.where(outside, distance, np.inf)))
        total += distance[nearest]
        outside[nearest] = False
        distance = np.minimum(distance, np.linalg.norm(points - points[nearest], axis=1))
    return float(total)


@neutral()
def path_length(points: np.ndarray) -> float:
    """Return Σ‖p_{t+1} − p_t‖ of the steps between `points`, (k, n)."""
    return float(np.linalg.norm(np.diff(np.asarray(points, float), axis=0), axis=1).sum())


@neutral()
def partial_tau(first: np.ndarray, second: np.ndarray, given: np.ndarray) -> float:
    """Return Kendall's partial τ of two quantities with a third held fixed, (k,) each (Kendall, *Biometrika* 32, 1942).

    τ_{12·3} = (τ_12 − τ_13 τ_23) / √((1 − τ_13²)(1 − τ_23²)); NaN where the third decides the order of one of the others.
    """
    ab, ac, bc = (float(scipy.stats.kendalltau(*pair).statistic) for pair in ((first, second), (first, given), (second, given)))
    rest = (1 - ac**2) * (1 - bc**2)
    return (ab - ac * bc) / rest**0.5 if rest > 1e-13 else float("nan")  # 0 to rounding
