"""What a loop says of its steps, checked: an epoch, a loss, and which samples a pass is of."""

import math
from typing import Any

import numpy as np
from torch import Tensor


def loss_of(loss: Any) -> Tensor | float:
    """Return a loss, a tensor as a copy that is not waited for.

    Raises
    ------
    ValueError
        If it is no number, or a tensor of several.
    """
    if isinstance(loss, Tensor):
        if loss.numel() != 1:
            raise ValueError(f"loss must be one number, got a tensor of shape {tuple(loss.shape)}")
        return loss.detach().clone()
    if isinstance(loss, bool) or not isinstance(loss, (int, float)):
        raise ValueError(f"loss must be a number or a tensor of one, got {loss!r}")
    return loss


def epoch_of(epoch: Any) -> float:
    """Return an epoch.

    Raises
    ------
    ValueError
        If it is no finite number.
    """
    if isinstance(epoch, bool) or not isinstance(epoch, (int, float)) or not math.isfinite(epoch):
        raise ValueError(f"epoch must be a finite number, got {epoch!r}")
    return float(epoch)


def index_of(index: Any) -> np.ndarray:
    """Return the samples of a batch, a number or a sequence of them, as (m,) whole numbers.

    Raises
    ------
    ValueError
        If they are no whole numbers.
    """
    try:
        values = np.atleast_1d(index.detach().cpu().numpy() if isinstance(index, Tensor) else np.asarray(index))
    except ValueError:  # a list of lists of other lengths
        values = np.zeros(0)
    if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        raise ValueError(f"index must be the whole numbers of the batch's samples, one for each, got {index!r}")
    return values.astype(np.int64)
