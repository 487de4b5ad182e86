"""Bias trajectories: what Theorem 1 and Corollaries 2 and 3 say of the steps of a training, term by term."""

import json
import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.experiments.training import Training

THEOREM_1_ETA = 0.05
"""Probability with which the deviation of Theorem 1 may exceed its bound."""


@neutral()
def epochs_until(loss: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the first epoch after which `loss` is below `threshold`; one more than all epochs where it never is.

    Runs that never get there are censored at the same value, which ties them: a trend test then counts them as equal.
    """
    below = loss < threshold
    first = loss.epoch.where(below).min("epoch")
    result = first.fillna(loss.sizes["epoch"] + 1)
    result.attrs = {"long_name": f"epochs until the loss is below {threshold:g}", "units": "epoch"}
    return result


@neutral()
def after_first_below(values: xr.DataArray, loss: xr.DataArray, threshold: float, epochs: int) -> xr.DataArray:
    """Return the mean of `values` over the `epochs` epochs from the first after which `loss` is below `threshold`.

    So that runs are compared at a loss they all have been at, whenever that was. Where fewer epochs follow, the mean is over
    those; where the loss never is below, NaN.

    Parameters
    ----------
    values, loss : of the same runs, both with a dimension "epoch"
    """
    first = epochs_until(loss, threshold)
    window = (loss.epoch >= first) & (loss.epoch < first + epochs)
    result = values.where(window).mean("epoch")
    result.attrs = {
        "long_name": f"{values.attrs.get('long_name', values.name)}, mean over {epochs} epochs from a loss of {threshold:g}",
        "units": values.attrs.get("units", ""),
    }
    return result


@neutral()
def first_singular_values(trace: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return σ_1 and σ_min of W_1 before every step of a trace, (step,) each; σ_min is that of min(n_1, n) values."""
    sigma = np.linalg.svd(trace.first_weight.values, compute_uv=False)
    return sigma[:, 0], sigma[:, -1]


class Chain(NamedTuple):
    """Quantities that ought not to increase from left to right, with what rounding may add to each comparison."""

    terms: tuple[np.ndarray, ...]
    tolerance: np.ndarray


@neutral()
def variance_chain(trace: xr.Dataset, biases: int) -> Chain:
    """Corollary 2 over every window of `biases` consecutive biases: Var ≥ (1/4m) Σ‖Δb_1‖² ≥ (1/4m) Σ(α ε λ/σ_1)².

    Terms are (lower, middle, variance), one a window. The first step is ‖u − v‖² ≤ 2‖u‖² + 2‖v‖² on deviations from the mean
    of m biases, the second Lemma 1. The printed Ω() form mixes units, so that only this chain can be tested.

    Raises
    ------
    ValueError
        If the trace is of another optimizer than plain SGD.
    """
    _check_plain(trace)
    sigma, _ = first_singular_values(trace)
    scale = trace.learning_rate.values * trace.epsilon.values
    moves = (scale * trace.phi.values) ** 2
    steep = (scale * trace.lipschitz.values / sigma) ** 2
    path = trace.bias.values
    windows = np.lib.stride_tricks.sliding_window_view(path, biases, axis=0)
    variance = windows.var(axis=-1).sum(axis=-1)
    count = len(variance)
    middle, lower = (
        np.lib.stride_tricks.sliding_window_view(values, biases - 1).sum(axis=-1)[:count] / (4 * biases)
        for values in (moves, steep)
    )
    # A stored bias errs by u‖b_1‖, a difference of two by twice that, its square by 2‖Δb_1‖ times as much.
    error = 4 * _unit(path) * np.abs(path).max() * np.sqrt(path.shape[1])
    tolerance = 2 * error * np.sqrt(variance + middle) + error**2 + biases * _unit(path) * (middle + variance)
    return Chain((lower, middle, variance), tolerance)


@neutral()
def distance_chain(trace: xr.Dataset) -> Chain:
    """Corollary 3 after every step: ‖b_1^τ − b_1^0‖ ≤ Σ α ε ‖g‖ ≤ Σ α ε λ/σ_min; the last needs n_1 ≤ n.

    Terms are (distance, path, upper), one a step; `upper` is infinite where σ_min is 0.

    Raises
    ------
    ValueError
        If the trace is of another optimizer than plain SGD.
    """
    _check_plain(trace)
    _, sigma = first_singular_values(trace)
    scale = trace.learning_rate.values * trace.epsilon.values
    path = trace.bias.values
    distance = np.linalg.norm(path[1:] - path[0], axis=1)
    moved = np.cumsum(scale * trace.phi.values)
    with np.errstate(divide="ignore"):
        upper = np.cumsum(scale * trace.lipschitz.values / sigma)
    steps = np.arange(1, len(moved) + 1)
    # Every stored bias adds u‖b_1‖, and a sum of k terms errs by k u.
    tolerance = steps * _unit(path) * (np.linalg.norm(path, axis=1).max() + 4 * moved)
    return Chain((distance, moved, upper), tolerance)


@neutral()
def deviation_scores(trace: xr.Dataset) -> tuple[float, float, float, float]:
    """Theorem 1 over the steps of one trace: (deviation, bound at η, largest R_t, standardised deviation) with η = 0.05.

    The deviation is \\|avg_t φ_t − avg_t avg_{x∈X}‖g_t(x)‖\\| and the bound sqrt(Σ R_t² ln(2/η)/2)/\\|T\\| with
    R_t = max_x‖g_t(x)‖. Under sampling with replacement φ_t − avg_x‖g_t(x)‖ are martingale differences of variance
    var_x‖g_t(x)‖, so that their sum over the root of the summed variances is nearly standard normal.
    """
    norms = trace.gradient_norm.values
    differences = trace.phi.values - norms.mean(axis=1)
    largest = norms.max(axis=1)
    bound = math.sqrt(float((largest**2).sum()) * math.log(2 / THEOREM_1_ETA) / 2) / len(differences)
    score = float(differences.sum() / math.sqrt(float(norms.var(axis=1).sum())))
    return abs(float(differences.mean())), bound, float(largest.max()), score


def _unit(array: np.ndarray) -> float:
    return float(np.finfo(array.dtype).eps) / 2


def _check_plain(trace: xr.Dataset) -> None:
    text = trace.attrs.get("experiment")
    if text is not None:
        training = Training(**json.loads(text)["training"])
        if not training.plain:
            raise ValueError(f"the corollaries are about steps −α ∂ℓ/∂b_1 of plain SGD, got {training.departures()}")
