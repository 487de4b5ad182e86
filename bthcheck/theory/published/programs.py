"""What is drawn of linear regions: the answers of linear programs whatever their status, and maps with u and v exchanged."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import scipy
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.geometry import regions
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.geometry.pursuit import NONZERO
from bthcheck.geometry.regions import Status

if TYPE_CHECKING:
    from torch import Tensor

    from bthcheck.networks import Network


@neutral()
def unchecked(network: Network, x_train: Tensor, x: Tensor, programs: int | None = None) -> xr.Dataset:
    """Theorem 2 at points as by programs whose status is not looked at, beside `bthcheck.geometry.regions.pattern_bounds`.

    Parameters
    ----------
    network : fully connected, without a sigmoid
    x_train : (m, n) training points
    x : (r, n) points, one in each region
    programs : how many are solved by an interior-point method, in the order of `x`; all if None

    Returns
    -------
    xarray.Dataset
        Over "region": `lipschitz`, λ; `status`, `bound` and `nonzeros` as in `Bounds`. `drawn` is `bound` where there is one,
        and 0 where there is none: a program without a solution came back with an objective of 0, the darkest colour. It is
        NaN where it is not decided. Where there is a bound without a training point in the region, `counted` and `above` are
        the coefficients that are not 0 and those beyond the tolerance in the solution of an interior-point method, which has
        a coefficient a training point and stops inside; else 0.

    Raises
    ------
    ValueError
        As `pattern_bounds`, and if the network has a sigmoid.
    """
    if network.sigmoid:
        raise ValueError("published bounds are computed for networks without a sigmoid")
    widths = regions.hidden_widths(network)
    patterns = regions.activation_patterns(network, x)
    bounds = regions.pattern_bounds(network, x_train, patterns)
    slopes = local_lipschitz(network, x_train).numpy()
    columns = regions.kronecker(regions.activation_patterns(network, x_train), widths).T

    counted, above = np.zeros((2, len(patterns)), int)
    for region in np.flatnonzero(bounds.status == Status.BOUNDED)[:programs]:
        k = _interior(columns, slopes, regions.kronecker(patterns[region : region + 1], widths)[0])
        counted[region], above[region] = np.count_nonzero(k), np.count_nonzero(np.abs(k) > NONZERO)
    variables = {
        "lipschitz": local_lipschitz(network, x).numpy(),
        "status": bounds.status,
        "bound": bounds.bound,
        "nonzeros": bounds.nonzeros,
        "drawn": np.where(bounds.status == Status.INFEASIBLE, 0.0, bounds.bound),
        "counted": counted,
        "above": above,
    }
    return xr.Dataset({name: ("region", values) for name, values in variables.items()})


@neutral()
def exchanged(surface: xr.DataArray) -> xr.DataArray:
    """A map as it is drawn, ("u", "v"): what belongs to (v, u) at (u, v).

    Raises
    ------
    ValueError
        If the coordinates of u and v are not the same.
    """
    if not np.array_equal(surface.u, surface.v):
        raise ValueError("to exchange u and v they must have the same coordinates")
    return surface.copy(data=surface.transpose("v", "u").values.reshape(surface.shape))


def _interior(columns: np.ndarray, weights: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the coefficients that HiGHS's interior-point method ends with, not moved to a vertex."""
    options = {"run_crossover": "off", "presolve": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.optimize.OptimizeWarning)  # SciPy hands options on that it does not know
        result = scipy.optimize.linprog(
            np.tile(weights / weights.max(), 2), A_eq=np.hstack([columns, -columns]), b_eq=target, method="highs-ipm",
            options=options,
        )  # fmt: skip
    return np.zeros(len(weights)) if result.x is None else np.subtract(*result.x.reshape(2, -1))
