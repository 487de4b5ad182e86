"""Which training points are mislabelled? Scores of points from what their visits saw; the larger, the more suspicious.

Notation: φ_t, ε_t, ℓ_t and s_t of a point at its visit in epoch t = 1, …, T, each before its step; y ∈ {0, 1} its label as
trained with, and p = σ(s). With W_1 = I, ε φ is the norm of the loss's gradient with respect to the input.
"""

from collections.abc import Callable

import numpy as np
import scipy
import xarray as xr

from bthcheck.ambient import neutral

Score = Callable[[xr.Dataset], xr.DataArray]


def _margin(visits: xr.Dataset) -> xr.DataArray:
    """The logit of the label minus that of the other class, here (2y − 1) s."""
    return (2 * visits.target - 1) * visits.logit


def _phi(visits: xr.Dataset) -> xr.DataArray:
    return visits.phi.sum("epoch")


def _input_gradient(visits: xr.Dataset) -> xr.DataArray:
    return (visits.epsilon * visits.phi).sum("epoch")


def _loss(visits: xr.Dataset) -> xr.DataArray:
    return visits.loss.sum("epoch")


def _margins(visits: xr.Dataset) -> xr.DataArray:
    return -_margin(visits).mean("epoch")


def _error(visits: xr.Dataset) -> xr.DataArray:
    return abs(scipy.special.expit(visits.logit) - visits.target).isel(epoch=-1)


def _curvature(visits: xr.Dataset) -> xr.DataArray:
    """Mean over epochs of Tr(H²), H = ∇²_x ℓ: of a ReLU network σ'(s) ∇s ∇sᵀ wherever it has one, with ‖∇s‖ = φ/σ'(s)."""
    steep = scipy.special.expit(visits.logit) * scipy.special.expit(-visits.logit)
    trace = visits.phi**2 / steep.where(steep != 0, 1.0)  # where σ'(s) underflows, so has φ
    return (trace**2).mean("epoch")


def _forgotten(visits: xr.Dataset) -> xr.DataArray:
    right = _margin(visits) > 0
    events = (right.shift(epoch=1, fill_value=False) & ~right).sum("epoch")
    return xr.where(right.any("epoch"), events, visits.sizes["epoch"]).astype(float)


SCORES: dict[str, tuple[Score, str]] = {
    "phi": (_phi, "Σφ, which looks at no label"),
    "input_gradient": (_input_gradient, "Σεφ"),
    "loss": (_loss, "Σℓ, summed loss"),
    "margin": (_margins, "AUM, minus the mean margin (Pleiss et al., NeurIPS 2020)"),
    "error": (_error, "EL2N, |p − y| in the last epoch (Paul et al., NeurIPS 2021)"),
    "curvature": (_curvature, "input curvature Tr(∇²_x ℓ)², with W_1 = I and ReLU (Garg & Roy, CVPR 2023)"),
    "forgetting": (_forgotten, "forgetting events, T if never learned (Toneva et al., ICLR 2019)"),
}
"""Name → a score of every point from its visits, and what it is."""


@neutral()
def scores(visits: xr.Dataset, epochs: int) -> xr.Dataset:
    """Return every score of every point after the first `epochs` epochs, (point,) each.

    Parameters
    ----------
    visits : of a classification, as from `bthcheck.visits`

    Raises
    ------
    ValueError
        If there are fewer epochs, or the targets are no labels 0 and 1.
    """
    if not 1 <= epochs <= visits.sizes["epoch"]:
        raise ValueError(f"epochs must be from 1 to {visits.sizes['epoch']}, got {epochs!r}")
    if not np.isin(visits.target, (0.0, 1.0)).all():
        raise ValueError("scores of labels are for targets of 0 and 1")
    part = visits.isel(epoch=slice(epochs))
    return xr.Dataset({name: score(part).assign_attrs(long_name=text) for name, (score, text) in SCORES.items()})


@neutral()
def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve: how probably a positive case scores above another; ties count half.

    NaN if all cases are positive or none is. Mann and Whitney's U over the number of pairs (Hanley & McNeil, *Radiology* 143,
    1982).

    Parameters
    ----------
    score : (k,); positive : (k,) bool
    """
    positive = np.asarray(positive, bool)
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return float("nan")
    ranks = scipy.stats.rankdata(score)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
