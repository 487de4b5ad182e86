"""Linear regions and Theorem 2: what the slopes at training points say of regions without any.

∇f of a fully connected ReLU network is linear in s(x), the Kronecker product of the 0/1 activation vectors of its hidden
layers. If s(x) = Σ k_i s(x_i) over training points x_i, then λ(x) ≤ ξ Σ |k_i| λ(x_i), where ξ is 1, or with a sigmoid output
0.25/(μ(1 − μ)) with μ ≤ f(x_i) ≤ 1 − μ. The smallest such sum is a linear program. Everything is computed in float64.
"""

import copy
import math
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from bthcheck.geometry.lipschitz import first_weight, gamma, product_bound
from bthcheck.geometry.pursuit import BasisPursuit
from bthcheck.networks import Network

MAX_NUMBERS = 2**24
"""Entries of s(x) times training patterns, at most: the matrix S then takes 128 MiB."""
MAX_POINTS = 2**22
"""Points of a grid, at most: what is kept of each takes about 50 bytes."""
_BATCH = 2**15  # points that go through the network at once
_CHUNK = 2**22  # entries of s(x) that are written out at once


class Status(IntEnum):
    """What Theorem 2 says of a region: it holds a training point; a bound; nothing, as s(x) is not in the span; not known."""

    OCCUPIED = 0
    BOUNDED = 1
    INFEASIBLE = 2
    UNDECIDED = 3


class Bounds(NamedTuple):
    """Theorem 2 for r patterns, (r,) each; NaN where there is no bound.

    status : of `Status`
    bound : ξ Σ |k_i| λ(x_i)
    nonzeros : int, training patterns combined, |k_i| above `bthcheck.geometry.pursuit.NONZERO`
    tolerance : what rounding may add to a comparison of λ with `bound`
    programs : linear programs solved, a number
    """

    status: np.ndarray
    bound: np.ndarray
    nonzeros: np.ndarray
    tolerance: np.ndarray
    programs: int


def hidden_widths(network: Network) -> tuple[int, ...]:
    """Return (n_1, …, n_{d−1}).

    Raises
    ------
    ValueError
        If the network is not fully connected with ReLU between its layers and one output.
    """
    layers = list(network.rest)
    wrong = [
        layer for layer, kind in zip(layers, [nn.ReLU, nn.Linear] * len(layers), strict=False) if not isinstance(layer, kind)
    ]
    if wrong or not layers:
        name = type(wrong[0]).__name__ if wrong else "nothing"
        raise ValueError(
            f"linear regions are those of fully connected ReLU networks, such as MLP; got {name} behind its first layer"
        )
    widths = [len(bias) for _, bias in network.layers()]
    if widths[-1] != 1:
        raise ValueError(f"a network must have one output, got {widths[-1]}")
    return tuple(widths[:-1])


def activation_patterns(network: Network, x: Tensor) -> np.ndarray:
    """Return which hidden neurons are on at x (m, n): (m, ⌈Σ n_l / 8⌉) uint8, the bits of all hidden layers in order, packed.

    A neuron at exactly 0 is off, as in PyTorch's derivative of ReLU.

    Raises
    ------
    ValueError
        As `hidden_widths`, or if x is of another dimension.
    """
    hidden_widths(network)
    if x.ndim != 2 or x.shape[1] != _inputs(network):
        raise ValueError(f"x must be points of the {_inputs(network)} inputs, (m, {_inputs(network)}), got {tuple(x.shape)}")
    return np.concatenate([_forward(network, part)[0] for part in x.split(_BATCH)])


def unpacked(patterns: np.ndarray, widths: tuple[int, ...]) -> list[np.ndarray]:
    """Return the 0/1 activation vectors of every hidden layer, float64 of shape (m, n_l) each."""
    bits = np.unpackbits(patterns, axis=1, count=sum(widths)).astype(float)
    return np.split(bits, np.cumsum(widths)[:-1], axis=1)


def kronecker(patterns: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Return s, the Kronecker product of the activation vectors of all hidden layers: (m, Π n_l) float64 of 0 and 1.

    Raises
    ------
    ValueError
        If that is more than `MAX_NUMBERS` numbers.
    """
    _check_size(len(patterns), widths)
    product = np.ones((len(patterns), 1))
    for vectors in unpacked(patterns, widths):
        product = np.einsum("mi,mj->mij", product, vectors).reshape(len(patterns), -1)
    return product


def pattern_gradients(network: Network, patterns: np.ndarray, *, absolute: bool = False) -> np.ndarray:
    """Return the gradient in x of the last affine map in the regions of m patterns, (m, n), in one batched backward pass.

    `absolute` puts \\|W_l\\| for W_l, which gives what rounding errors are a multiple of.
    """
    masks = unpacked(patterns, hidden_widths(network))
    weights = [None if weight is None else weight.double().cpu().numpy() for weight, _ in network.layers()]
    gradient = np.ones((len(patterns), 1))
    for weight, mask in zip(reversed(weights), [None, *reversed(masks)], strict=True):
        if mask is not None:
            gradient = gradient * mask
        if weight is not None:  # a frozen identity
            gradient = gradient @ (np.abs(weight) if absolute else weight)
    return gradient


def pattern_bounds(network: Network, x_train: Tensor, patterns: np.ndarray, slopes: np.ndarray | None = None) -> Bounds:
    """Bound λ in the regions of r activation patterns by Theorem 2.

    Parameters
    ----------
    network : fully connected
    x_train : (m, n) training points
    patterns : (r, bytes) of `activation_patterns`
    slopes : (m,) numbers to take for λ(x_i), such as σ_1 φ of past steps; the local Lipschitz constants if None

    Raises
    ------
    ValueError
        If the network is not fully connected or not finite, there is no training point, shapes do not fit, or s(x) has so
        many entries that S exceeds `MAX_NUMBERS`.
    """
    network, widths = in_float64(network), hidden_widths(network)
    x_train = _points("x_train", x_train, network)
    patterns = np.asarray(patterns)
    if patterns.dtype != np.uint8 or patterns.ndim != 2 or patterns.shape[1] != -(-sum(widths) // 8):
        raise ValueError(
            f"patterns must be uint8 of shape (r, {-(-sum(widths) // 8)}), as `activation_patterns` returns them,"
            f" got {patterns.dtype} of shape {patterns.shape}"
        )
    packed, logit = _forward(network, x_train)
    _, firsts, column = _distinct(packed)
    distinct = packed[firsts]
    _check_size(len(distinct), widths)
    steep = _output_slope(network, logit)
    chain = np.linalg.norm(pattern_gradients(network, distinct, absolute=True), axis=1)
    if slopes is None:
        slopes = steep * np.linalg.norm(pattern_gradients(network, distinct), axis=1)[column]
    slopes = np.asarray(slopes, float)
    if slopes.shape != (len(x_train),):
        raise ValueError(f"slopes must be one number a training point, ({len(x_train)},), got shape {slopes.shape}")
    if not (np.isfinite(slopes) & (slopes >= 0)).all():
        raise ValueError("slopes must be finite numbers of at least 0")
    order = np.lexsort((slopes, column))  # points of one pattern make one column; the flattest of them bounds lowest
    chosen = order[np.unique(column[order], return_index=True)[1]]
    lowest, error = slopes[chosen], steep[chosen] * chain
    with np.errstate(divide="ignore", over="ignore"):
        xi = float(0.25 / steep.min()) if network.sigmoid else 1.0  # the least f(1 − f) is μ(1 − μ)
    if not math.isfinite(xi):  # f is 0 or 1 to all digits at a training point
        unknown = np.full(len(patterns), np.nan)
        return Bounds(np.full(len(patterns), Status.UNDECIDED), unknown, np.zeros(len(patterns), int), unknown, 0)
    unit = gamma([first_weight(network)] + [weight for weight, _ in network.layers()[1:] if weight is not None])
    flattest = 0.25 if network.sigmoid else 1.0

    entries = kronecker(distinct, widths)
    alive = np.flatnonzero(entries.any(axis=1))  # s = 0 where a layer is off: such a column combines to nothing
    pursuit = BasisPursuit(entries[alive].T, lowest[alive])
    known = {row.tobytes(): number for number, row in enumerate(distinct)}
    holder = np.array([known.get(row.tobytes(), -1) for row in patterns], int)
    occupied = holder >= 0

    status = np.where(occupied, Status.OCCUPIED, Status.UNDECIDED)
    bound, tolerance = np.full((2, len(patterns)), np.nan)
    nonzeros = occupied.astype(int)
    bound[occupied] = xi * lowest[holder[occupied]]
    tolerance[occupied] = unit * (flattest * chain + xi * error)[holder[occupied]]
    everything = np.full((1, patterns.shape[1]), 255, np.uint8)  # all neurons on: nothing is steeper
    steepest = float(np.linalg.norm(pattern_gradients(network, everything, absolute=True)))
    for part in chunks(np.flatnonzero(~occupied), math.prod(widths)):
        solutions = pursuit.solve(kronecker(patterns[part], widths).T)
        status[part] = np.choose(solutions.outcome, [Status.BOUNDED, Status.INFEASIBLE, Status.UNDECIDED])
        bound[part] = xi * solutions.value
        nonzeros[part] = solutions.nonzeros
        own = np.linalg.norm(pattern_gradients(network, patterns[part], absolute=True), axis=1)
        combined = error[alive] @ np.abs(solutions.coefficients)
        # ∇f errs by γ times the same products of absolute values, and s − S k by what the solution leaves over.
        tolerance[part] = unit * (flattest * own + xi * combined) + flattest * steepest * solutions.residual
    tolerance += (len(distinct) + 10) * np.finfo(float).eps * bound  # the sum, ξ and the derivatives of the sigmoid
    return Bounds(status, bound, nonzeros, tolerance, pursuit.programs)


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
    frame, start = _plane(directions, origin, _inputs(network))

    firsts, numbers, logits = [], [], []
    seen = 0
    for rows in _grid_rows(u, v):
        packed, logit = _forward(network, torch.from_numpy(start + rows @ frame.T))
        _, first, number = _distinct(packed)
        firsts.append(packed[first])
        numbers.append(number + seen)
        logits.append(logit)
        seen += len(first)
    candidates = np.concatenate(firsts)
    _, first, merged = _distinct(candidates)  # a region may be met in several batches
    patterns = candidates[first]
    region = merged[np.concatenate(numbers)]
    logit = np.concatenate(logits)
    norms = np.linalg.norm(pattern_gradients(network, patterns), axis=1)
    return PlaneGrid(u, v, patterns, region, logit, _output_slope(network, logit) * norms[region])


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
    _check_size(1, hidden_widths(network))
    network = in_float64(network)
    x_train = _points("x_train", x_train, network)
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


def _forward(network: Network, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed patterns (m, bytes) and the last affine map (m,), float64, at x."""
    masks = []
    with torch.no_grad():
        z = network.first(x)
        for layer in network.rest:
            z = layer(z)
            if isinstance(layer, nn.ReLU):
                masks.append((z > 0).cpu().numpy())
    return np.packbits(np.concatenate(masks, axis=1), axis=1), z.squeeze(-1).double().cpu().numpy()


def _output_slope(network: Network, logit: np.ndarray) -> np.ndarray:
    """Return the derivative of the output function, without cancellation where a sigmoid is nearly 0 or 1."""
    if not network.sigmoid:
        return np.ones_like(logit)
    decay = np.exp(-np.abs(logit))
    return decay / (1 + decay) ** 2


def in_float64(network: Network) -> Network:
    """Return the network in float64 on the CPU, a copy unless it is."""
    first = next(network.parameters())
    return _finite(network) if first.dtype == torch.float64 and first.device.type == "cpu" else float64_copy(network)


def float64_copy(network: Network) -> Network:
    """Return a copy of the network in float64 on the CPU, or raise ``ValueError`` if it has diverged."""
    return copy.deepcopy(_finite(network)).double().cpu()


def _finite(network: Network) -> Network:
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise ValueError("the network's parameters must be finite numbers; did its training diverge?")
    return network


def _inputs(network: Network) -> int:
    weight, bias = network.layers()[0]
    return len(bias) if weight is None else weight.shape[1]


def _points(name: str, x: Tensor, network: Network) -> Tensor:
    n = _inputs(network)
    points = _numbers(name, x)
    if points.ndim != 2 or points.shape[1] != n or not len(points):
        raise ValueError(f"{name} must be at least one point of the {n} inputs, (m, {n}), got {points.shape}")
    return torch.from_numpy(points)


def _plane(directions: Tensor, origin: Tensor | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame (n, 2) and the origin (n,) of a plane."""
    frame = _numbers("directions", directions)
    if frame.shape != (n, 2):
        raise ValueError(f"directions must be two columns in the input space, ({n}, 2), got {frame.shape}")
    start = np.zeros(n) if origin is None else _numbers("origin", origin)
    if start.shape != (n,):
        raise ValueError(f"origin must be a point of the input space, ({n},), got {start.shape}")
    return frame, start


def _numbers(name: str, values: Tensor) -> np.ndarray:
    """Return finite numbers, of a tensor or whatever NumPy takes for an array, in float64."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers")
    return array


def _axis(name: str, values: np.ndarray | None) -> np.ndarray:
    axis = np.linspace(-1, 1, 100) if values is None else np.asarray(values, float)
    if axis.ndim != 1 or not len(axis) or not np.isfinite(axis).all() or (np.diff(axis) <= 0).any():
        raise ValueError(f"{name} must be a sequence of increasing finite numbers, got {values!r}")
    return axis


def _check_size(count: int, widths: tuple[int, ...]) -> None:
    entries = math.prod(widths)
    if entries * count > MAX_NUMBERS:
        shape = " · ".join(map(str, widths))
        raise ValueError(
            f"Kronecker patterns of hidden widths {shape} have {entries} entries; with {count} of them that is more than"
            f" {MAX_NUMBERS} numbers: use narrower or fewer layers, or fewer training points"
        )


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``np.unique`` of packed patterns, as words of bytes, which are sorted faster than rows: values, firsts and inverse."""
    words = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
    return np.unique(words, return_index=True, return_inverse=True)


def _grid_rows(u: np.ndarray, v: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the (u, v) of the grid's points in order, (points, 2), some rows of the grid at a time."""
    step = max(1, _BATCH // len(v))
    for start in range(0, len(u), step):
        yield np.stack(np.meshgrid(u[start : start + step], v, indexing="ij"), axis=-1).reshape(-1, 2)


def chunks(numbers: np.ndarray, entries: int) -> Iterator[np.ndarray]:
    """Split the numbers of patterns so that s(x) of a piece, `entries` each, is not too large to write out."""
    step = max(1, _CHUNK // entries)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]
