"""Assumption 1 of Theorem 2, measured: do patterns and slopes at the training points stay put while φ is collected?

The theorem puts φ, collected over one epoch, for the slopes at the training points when the epoch is over. That is right if no
activation pattern at them changes meanwhile and their slopes change by a factor of at most 1 ± γ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import float64_copy
from bthcheck.geometry.lipschitz import first_layer_gradients
from bthcheck.geometry.regions import hidden_widths
from bthcheck.training import fused

if TYPE_CHECKING:
    from torch import Tensor

    from bthcheck.networks import Network


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


@neutral()
def epoch_after(network: Network, x: Tensor, y: Tensor, order: np.ndarray, rate: float, loss_factor: float = 1.0) -> Epoch:
    """Train a copy of a network for one more epoch in float64, by plain SGD at batch size 1, and watch Assumption 1.

    Parameters
    ----------
    network : as trained so far; it stays as it is
    x, y : (m, n) training points and (m,) targets
    order : (m,) the order of the epoch
    rate, loss_factor : the learning rate α and what the loss is multiplied with

    Raises
    ------
    ValueError
        If `order` does not visit every point once.
    """
    if sorted(order.tolist()) != list(range(len(x))):
        raise ValueError(
            f"order must visit each of the {len(x)} points once, got {len(order)} visits of {len(set(order))} points"
        )
    network = float64_copy(network)
    everything = np.full((len(order), -(-sum(hidden_widths(network)) // 8)), 255, np.uint8)  # kept: there is no Dropout
    seen = fused.watch(network, x.double().numpy(), y.double().numpy(), order, everything, rate, loss_factor)
    phi = np.empty(len(x))
    phi[order] = seen["phi"]
    final = first_layer_gradients(network, x.double()).norm(dim=1).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(final == phi, 0.0, np.abs(final / phi - 1))
    sigma = float(np.linalg.norm(seen["first_weight"][-1], ord=2))
    return Epoch(network, phi, seen["changed"], float(moved.max()), sigma)
