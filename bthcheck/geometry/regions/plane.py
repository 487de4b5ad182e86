"""The linear regions on a grid over a plane of the input space, with the bound of Theorem 2 on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import in_float64
from bthcheck.geometry.lipschitz import product_bound
from bthcheck.geometry.regions.bounds import Status, pattern_bounds
from bthcheck.geometry.regions.patterns import (
    BATCH,
    check_size,
    distinct_rows,
    finite_numbers,
    forward,
    hidden_widths,
    inputs,
    output_slope,
    pattern_gradients,
    points_of,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bthcheck.networks import Network
else:
    torch = faces.Later("torch")

MAX_POINTS = 2**22
"""Points of a grid, at most: what is kept of each takes about 50 bytes."""


class PlaneGrid(NamedTuple):
    """What a network does on a grid over a plane of its input space, all in float64.

    u, v : the grid's coordinates
    patterns : (r, bytes) of `activation_patterns`, one a linear region that a grid point is in
    region : (points,) which of them each grid point is in, v running fastest
    logit : (points,) the last affine map
    lipschitz : (points,) λ
    """

    u: np.ndarray
    v: np.ndarray
    patterns: np.ndarray
    region: np.ndarray
    logit: np.ndarray
    lipschitz: np.ndarray


@neutral()
def plane_grid(
    network: Network,
    directions: Tensor,
    *,
    u: np.ndarray | None = None,
    v: np.ndarray | None = None,
    origin: Tensor | None = None,
) -> PlaneGrid:
    """Find the linear regions on a grid over a plane of the input space; parameters and errors as in `plane_regions`."""
    u, v = _axis("u", u), _axis("v", v)
    if len(u) * len(v) > MAX_POINTS:
        raise ValueError(f"a grid must have at most {MAX_POINTS} points to fit in memory, got {len(u)} × {len(v)}")
    hidden_widths(network)
    network = in_float64(network)
    frame, start = _plane(directions, origin, inputs(network))

    firsts, numbers, logits = [], [], []
    seen = 0
    for rows in _grid_rows(u, v):
        packed, logit = forward(network, torch.from_numpy(start + rows @ frame.T))
        _, first, number = distinct_rows(packed)
        firsts.append(packed[first])
        numbers.append(number + seen)
        logits.append(logit)
        seen += len(first)
    candidates = np.concatenate(firsts)
    _, first, merged = distinct_rows(candidates)  # a region may be met in several batches
    patterns = candidates[first]
    region = merged[np.concatenate(numbers)]
    logit = np.concatenate(logits)
    norms = np.linalg.norm(pattern_gradients(network, patterns), axis=1)
    return PlaneGrid(u, v, patterns, region, logit, output_slope(network, logit) * norms[region])


@neutral()
def plane_regions(
    network: Network,
    x_train: Tensor,
    directions: Tensor,
    *,
    u: np.ndarray | None = None,
    v: np.ndarray | None = None,
    origin: Tensor | None = None,
    slopes: np.ndarray | None = None,
) -> xr.Dataset:
    """Find the linear regions on a grid over a plane of the input space, and bound λ in each by Theorem 2.

    Parameters
    ----------
    network : fully connected
    x_train : (m, n) training points, in the plane or not
    directions : (n, 2); the point at (u, v) is ``origin + directions @ (u, v)``
    u, v : coordinates of the grid, increasing; 100 from −1 to 1 if None
    origin : (n,), zero if None
    slopes : as for `pattern_bounds`

    Returns
    -------
    xarray.Dataset
        Over ("u", "v"): `output`, f; `lipschitz`, λ; `region_number`, which region a grid point is in. Over "region", those
        that a grid point is in: `status` of `Status`, `region_lipschitz`, the largest λ of its grid points, `bound`,
        `nonzeros`, `tolerance` as in `Bounds`, and `points`, its grid points. ``ds.bound[ds.region_number]`` is a surface.
        ``attrs`` hold the product bound, the number of linear programs and the regions' kinds.

    Raises
    ------
    ValueError
        As `pattern_bounds`; if the grid is not two increasing sequences of finite numbers or has more than `MAX_POINTS` points.
    """
    check_size(1, hidden_widths(network))
    network = in_float64(network)
    x_train = points_of("x_train", x_train, network)
    u, v, patterns, region, logit, constants = plane_grid(network, directions, u=u, v=v, origin=origin)
    largest = np.zeros(len(patterns))
    np.maximum.at(largest, region, constants)
    bounds = pattern_bounds(network, x_train, patterns, slopes)
    output = 1 / (1 + np.exp(-np.clip(logit, -700, 700))) if network.sigmoid else logit
    shape = (len(u), len(v))
    per_grid = {
        "output": (output, "network output f", "1"),
        "lipschitz": (constants, "local Lipschitz constant λ", "output / input"),
        "region_number": (region, "number of the linear region", "1"),
    }
    per_region = {
        "status": (bounds.status, "0 occupied, 1 bounded, 2 infeasible, 3 not decided", "1"),
        "region_lipschitz": (largest, "largest λ of the region's grid points", "output / input"),
        "bound": (bounds.bound, "bound of Theorem 2 on λ", "output / input"),
        "nonzeros": (bounds.nonzeros, "training patterns combined", "1"),
        "tolerance": (bounds.tolerance, "what rounding may add to a comparison with the bound", "output / input"),
        "points": (np.bincount(region, minlength=len(patterns)), "grid points in the region", "1"),
    }
    variables = {
        name: (("u", "v"), values.reshape(shape), {"long_name": text, "units": units})
        for name, (values, text, units) in per_grid.items()
    } | {name: (("region",), values, {"long_name": text, "units": units}) for name, (values, text, units) in per_region.items()}
    coords = {name: ((name,), axis, {"long_name": f"coordinate {name}", "units": "1"}) for name, axis in (("u", u), ("v", v))}
    counts = {f"regions_{kind.name.lower()}": int((bounds.status == kind).sum()) for kind in Status}
    return xr.Dataset(variables, coords, {"product_bound": product_bound(network), "programs": bounds.programs, **counts})


def _plane(directions: Tensor, origin: Tensor | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame (n, 2) and the origin (n,) of a plane."""
    frame = finite_numbers("directions", directions)
    if frame.shape != (n, 2):
        raise ValueError(f"directions must be two columns in the input space, ({n}, 2), got {frame.shape}")
    start = np.zeros(n) if origin is None else finite_numbers("origin", origin)
    if start.shape != (n,):
        raise ValueError(f"origin must be a point of the input space, ({n},), got {start.shape}")
    return frame, start


def _axis(name: str, values: np.ndarray | None) -> np.ndarray:
    axis = np.linspace(-1, 1, 100) if values is None else np.asarray(values, float)
    if axis.ndim != 1 or not len(axis) or not np.isfinite(axis).all() or (np.diff(axis) <= 0).any():
        raise ValueError(f"{name} must be a sequence of increasing finite numbers, got {values!r}")
    return axis


def _grid_rows(u: np.ndarray, v: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the (u, v) of the grid's points in order, (points, 2), some rows of the grid at a time."""
    step = max(1, BATCH // len(v))
    for start in range(0, len(u), step):
        yield np.stack(np.meshgrid(u[start : start + step], v, indexing="ij"), axis=-1).reshape(-1, 2)
