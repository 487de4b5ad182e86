"""Assumption 1 of Theorem 2, measured: do patterns and slopes at the training points stay put while φ is collected?

The theorem puts φ, collected over one epoch, for the slopes at the training points when the epoch is over. That is right if no
activation pattern at them changes meanwhile and their slopes change by a factor of at most 1 ± γ.
"""

import copy
from typing import NamedTuple

import numpy as np
from torch import Tensor

from bthcheck.lipschitz import first_layer_gradients, first_weight
from bthcheck.networks import Network
from bthcheck.regions import activation_patterns
from bthcheck.training.reference import steps


class Epoch(NamedTuple):
    """One epoch of training after which Theorem 2 is asked for, over m training points.

    network : when the epoch is over, float64
    phi : (m,), φ when each point was visited, before its update
    changed : (m,) bool, whether the point's activation pattern during the epoch was ever another than at its end
    gamma : the largest relative change of ‖g(x_i)‖ from its visit to the end; infinite if one was 0 and is no more
    sigma : σ_1 of W_1 at the end
    """

    network: Network
    phi: np.ndarray
    changed: np.ndarray
    gamma: float
    sigma: float

    @property
    def stable(self) -> bool:
        """Whether no activation pattern at a training point changed."""
        return not self.changed.any()


def epoch_after(network: Network, x: Tensor, y: Tensor, order: np.ndarray, rate: float) -> Epoch:
    """Train a copy of a network for one more epoch in float64, by plain SGD at batch size 1, and watch Assumption 1.

    Parameters
    ----------
    network : as trained so far; it stays as it is
    x, y : (m, n) training points and (m,) targets
    order : (m,) the order of the epoch
    rate : the learning rate α

    Raises
    ------
    ValueError
        If `order` does not visit every point once.
    """
    if sorted(order.tolist()) != list(range(len(x))):
        raise ValueError(
            f"order must visit each of the {len(x)} points once, got {len(order)} visits of {len(set(order))} points"
        )
    network, x, y = copy.deepcopy(network).double(), x.double(), y.double()
    patterns = [activation_patterns(network, x)]
    phi = np.empty(len(x))
    for point, value in zip(order, steps(network, x, y, order, rate), strict=True):
        phi[point] = float(value)
        patterns.append(activation_patterns(network, x))
    changed = (np.stack(patterns) != patterns[-1]).any(axis=(0, 2))
    final = first_layer_gradients(network, x).norm(dim=1).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(final == phi, 0.0, np.abs(final / phi - 1))
    sigma = float(np.linalg.svd(first_weight(network).numpy(), compute_uv=False)[0])
    return Epoch(network, phi, changed, float(moved.max()), sigma)
