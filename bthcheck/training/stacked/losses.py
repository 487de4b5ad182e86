"""The loss of points as a function of their logits, of any number of runs at once."""

import torch
from torch import Tensor, nn


def loss(sigmoid: bool, factor: float, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ℓ, ∂ℓ/∂s, log|∂ℓ/∂f| at a factor of 1 and whether the class is wrong (NaN in regression), of the shape of s each.

    See the reference engine.
    """
    if not sigmoid:
        residual = s - y
        return factor * residual.square() / 2, factor * residual, residual.abs().log(), torch.full_like(s, torch.nan)
    right = 2 * y - 1
    values = -nn.functional.logsigmoid(right * s)
    slope = -right * (-right * s).sigmoid()  # σ(s) − y, without cancellation
    return factor * values, factor * slope, values, ((s > 0) != (y > 0.5)).to(s)


def steepness(sigmoid: bool, s: Tensor) -> Tensor:
    """Return ∂f/∂s, of the shape of s; σ(s)σ(−s) does not cancel where a probability is near 1."""
    return s.sigmoid() * (-s).sigmoid() if sigmoid else torch.ones_like(s)
