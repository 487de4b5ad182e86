"""Does a measure rank models as their generalisation gap does? The protocols of the field, over a grid of hyper-parameters.

A measure and a gap are arrays with a dimension for every axis of the grid, as width, depth and learning rate, and "seed";
`on_axes` makes such a grid of named levels. Models are compared within a seed alone, which fixes data and sampling order.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.checks import distinct, one_of, positive_int

ENOUGH = 12.0
"""Effective number of pairs that an environment must have to count, as in Dziugaite et al. (2020)."""
GROUPINGS = ("values", "settings")
Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)
_SEED = "seed"


@neutral()
def on_axes(values: Labelled, along: str, axes: Mapping[Any, Mapping[str, Any]]) -> Labelled:
    """Return `values` with the dimension `along` replaced by the axes that its levels stand for.

    Parameters
    ----------
    values : an array with the dimension `along`, such as a measure over architectures, or a Dataset of some
    axes : level → axis → value, as {"8-1": {"width": 8, "depth": 1}, …}; every combination must be there once

    Raises
    ------
    ValueError
        If a level is missing, levels have other axes than the first, or they are no full grid.
    """
    levels = values[along].values.tolist()
    missing = [level for level in levels if level not in axes]
    if missing:
        raise ValueError(f"axes must say what every level of {along!r} stands for, got nothing for {missing[0]!r}")
    names = list(axes[levels[0]])
    for level in levels:
        if list(axes[level]) != names:
            raise ValueError(f"every level must have the axes {', '.join(names)}, got {', '.join(axes[level])} for {level!r}")
    places = [tuple(axes[level].values()) for level in levels]
    sizes = [len(dict.fromkeys(place[i] for place in places)) for i in range(len(names))]
    if len(set(places)) != len(places) or len(places) != np.prod(sizes):
        raise ValueError(
            f"levels must be a full grid, each of its {np.prod(sizes)} combinations of {', '.join(names)} once,"
            f" got {len(set(places))} of them in {len(places)} levels"
        )
    columns: dict[Any, Any] = {name: (along, [place[i] for place in places]) for i, name in enumerate(names)}
    gridded = values.drop_vars(along).assign_coords(columns).set_index({along: tuple(names)}).unstack(along)
    in_order = {name: list(dict.fromkeys(values)) for name, (_, values) in columns.items()}
    return gridded.sel(in_order).transpose(*names, ...)


@neutral()
def axis_taus(measure: xr.DataArray, gap: xr.DataArray, axes: Sequence[str] | None = None) -> xr.DataArray:
    """Kendall's τ between measure and gap along each axis, the mean over all settings of the other axes, ("axis", "seed").

    ψ_i of Jiang et al., *Fantastic Generalization Measures and Where to Find Them*, ICLR 2020: only models that differ in one
    hyper-parameter are compared. τ is the mean of sgn(Δmeasure) · sgn(Δgap) over pairs, a tie counting 0 (their formula; τ_a).
    NaN for a seed with a number that is not finite.

    Parameters
    ----------
    measure, gap : dimensions (…axes, "seed"); a measure without some, as the learning rate alone, is the same along them
    axes : along which models are compared; all with more than one value unless it is said

    Raises
    ------
    ValueError
        If an array has no "seed", the gap no axis with two values or more, or the two have other coordinates.
    """
    measure, gap = _aligned(measure, gap)
    names = _axes(gap, axes)
    rows = []
    for axis in names:
        pairs = list(combinations(range(gap.sizes[axis]), 2))
        agreement = np.mean([_by_seed(_signs(measure, axis, *pair) * _signs(gap, axis, *pair)) for pair in pairs], axis=0)
        rows.append(agreement.mean(axis=1))
    table = np.where(_finite(measure, gap), np.array(rows), np.nan)
    found = xr.DataArray(table, {"axis": names, _SEED: gap[_SEED]}, ("axis", _SEED))
    return found.assign_attrs(long_name="Kendall's τ along one axis, mean over the others", units="1")


@neutral()
def granulated_tau(measure: xr.DataArray, gap: xr.DataArray, axes: Sequence[str] | None = None) -> xr.DataArray:
    """Granulated Kendall coefficient Ψ of a measure and the gap, ("seed",): the mean of `axis_taus` over the axes.

    Jiang et al., ICLR 2020. 1 where all pairs of models that differ in one hyper-parameter are in the same order, −1 where all
    are in the opposite one. `axes` as for `axis_taus`.

    Raises
    ------
    ValueError
        As `axis_taus`.
    """
    found = axis_taus(measure, gap, axes).mean("axis", skipna=False)
    return found.assign_attrs(long_name="granulated Kendall Ψ", units="1")


@neutral()
def pair_weight(difference: xr.DataArray, points: int) -> xr.DataArray:
    """(w − 1/2)₊ with w = max(0, 1 − 2 e^{−nΔ²/2})²: how sure it is that two gaps that differ by Δ are in this order.

    Dziugaite et al., *In Search of Robust Measures of Generalization*, NeurIPS 2020. By Hoeffding's inequality, an error over n
    test points is off by less than |Δ|/2 with probability 1 − 2 e^{−2n(Δ/2)²} at least, and w has both of them so.

    Parameters
    ----------
    difference : of the gaps between test and training *error*, shares in [0, 1]; for losses there is no such bound
    points : n, the number of test points

    Raises
    ------
    ValueError
        If `points` is no positive whole number.
    """
    points = positive_int("points", points)
    sure = (1 - 2 * xr.apply_ufunc(np.exp, -points * difference**2 / 2)).clip(min=0) ** 2
    return (sure - 0.5).clip(min=0)


@neutral()
def sign_errors(measure: xr.DataArray, gap: xr.DataArray, points: int, *, grouping: str = "values") -> xr.Dataset:
    """Return how often a measure has pairs of models in the wrong order, an environment a row.

    Dziugaite et al., NeurIPS 2020. Pairs are of two models of one seed that differ in one axis. The sign error of an
    environment is the mean of [1 − sgn(Δmeasure) · sgn(Δgap)]/2 over its pairs, with the weights of `pair_weight`: 0 where all
    are in order, 1/2 for a coin and for a measure that does not tell them apart.

    Parameters
    ----------
    measure, gap : as for `axis_taus`; the gap is that of errors
    points : number of test points
    grouping : "values" has one environment for each pair of values of each axis, over all settings of the others and all
        seeds; "settings", as in that paper, one for each pair of whole settings, over seeds, which needs more than 12 of them

    Returns
    -------
    Over "environment", with coordinates `axis`, `low`, `high` (words, the values of the axis) and `others` (the setting of the
    other axes, empty with "values"): `sign_error` (NaN without any weight), `effective` = (Σw)²/Σw², and `pairs`, how many.

    Raises
    ------
    ValueError
        As `axis_taus`, or if a number is not finite, so that nothing can be left out unseen.
    """
    one_of("grouping", grouping, GROUPINGS)
    measure, gap = _aligned(measure, gap)
    bad = int((~_finite(measure, gap)).sum())
    if bad:
        raise ValueError(f"sign errors need finite numbers, got {bad} of {gap.sizes[_SEED]} seeds with some that are not")
    rows = [row for axis in _axes(gap, None) for row in _environments(measure, gap, axis, points, grouping)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    coords = {name: ("environment", columns.pop(name)) for name in ("axis", "low", "high", "others")}
    described = {
        "sign_error": ("weighted share of pairs in the wrong order", "1"),
        "effective": ("effective number of pairs (Σw)²/Σw²", "1"),
        "pairs": ("number of pairs", "1"),
    }
    variables = {
        name: ("environment", columns[name], {"long_name": long_name, "units": units})
        for name, (long_name, units) in described.items()
    }
    return xr.Dataset(variables, coords, {"points": points, "grouping": grouping})


@neutral()
def robust_sign_error(environments: xr.Dataset) -> float:
    """Return the largest sign error of all environments of `sign_errors` with an effective number of pairs of at least 12.

    NaN where none has as many: then nothing was measured that a coin could be compared with.
    """
    counted = environments.sign_error.where(environments.effective >= ENOUGH)
    return float(counted.max()) if bool(counted.notnull().any()) else float("nan")


@neutral()
def shuffled(measure: xr.DataArray, generator: np.random.Generator) -> xr.DataArray:
    """Return a measure (…axes, "seed") with its numbers in a random order within every seed: a placebo, which ranks by chance.

    Raises
    ------
    ValueError
        If the measure has no "seed".
    """
    if _SEED not in measure.dims:
        raise ValueError(f"the measure must have a dimension {_SEED!r}, within which it is shuffled, got {tuple(measure.dims)}")
    rest = [dim for dim in measure.dims if dim != _SEED]
    ordered = measure.transpose(_SEED, *rest)
    table = generator.permuted(_by_seed(measure), axis=1)
    return ordered.copy(data=table.reshape(ordered.shape)).transpose(*measure.dims)


def _environments(measure: xr.DataArray, gap: xr.DataArray, axis: str, points: int, grouping: str) -> Iterator[dict[str, Any]]:
    """Yield the environments of one axis."""
    words = [f"{value:g}" if isinstance(value, float) else str(value) for value in gap[axis].values.tolist()]
    others = [dim for dim in gap.dims if dim not in (axis, _SEED)]
    for i, j in combinations(range(gap.sizes[axis]), 2):
        wrong = (1 - _signs(measure, axis, i, j) * _signs(gap, axis, i, j)) / 2
        weight = pair_weight(gap.isel({axis: j}, drop=True) - gap.isel({axis: i}, drop=True), points)
        wrong, weight = (array.transpose(*others, _SEED) for array in (wrong, weight))
        for place in np.ndindex(*[gap.sizes[dim] for dim in others]) if grouping == "settings" else [()]:
            w, e = weight.values[place].ravel(), wrong.values[place].ravel()
            total = w.sum()
            yield {
                "axis": axis,
                "low": words[i],
                "high": words[j],
                "others": ", ".join(f"{dim}={gap[dim].values[k]}" for dim, k in zip(others, place, strict=False)),
                "sign_error": float((w * e).sum() / total) if total > 0 else float("nan"),
                "effective": float(total**2 / (w**2).sum()) if total > 0 else 0.0,
                "pairs": w.size,
            }


def _signs(values: xr.DataArray, axis: str, low: int, high: int) -> xr.DataArray:
    """Return the sign of the difference between two places along an axis."""
    with np.errstate(invalid="ignore"):  # ∞ − ∞, of a seed that is not counted
        return xr.apply_ufunc(np.sign, values.isel({axis: high}, drop=True) - values.isel({axis: low}, drop=True))


def _aligned(measure: xr.DataArray, gap: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return both with the dimensions of the gap, in float64 and with no other coordinates."""
    if _SEED not in gap.dims:
        raise ValueError(f"the gap must have a dimension {_SEED!r} and one for every axis, got {tuple(gap.dims)}")
    more = [str(dim) for dim in measure.dims if dim not in gap.dims]
    if more:
        raise ValueError(f"the measure must have no other dimensions than the gap, {tuple(gap.dims)}, got {', '.join(more)}")
    measure, gap = (array.reset_coords(drop=True).astype(float) for array in (measure, gap))
    for dim in measure.dims:
        if not np.array_equal(measure[dim], gap[dim]):
            raise ValueError(f"the measure and the gap must have the same values of {dim!r}")
    return measure.broadcast_like(gap).transpose(*gap.dims), gap


def _axes(gap: xr.DataArray, chosen: Sequence[str] | None) -> list[str]:
    """Return the axes along which there is something to compare, or those that were chosen."""
    there = [str(dim) for dim in gap.dims if dim != _SEED and gap.sizes[dim] > 1]
    if not there:
        raise ValueError("the gap must have an axis with at least two values, got none")
    if chosen is None:
        return there
    if isinstance(chosen, str):
        raise ValueError(f"axes must be a sequence of names, got {chosen!r}")
    for axis in distinct("axes", chosen):
        one_of("each of axes", axis, there)
    return list(chosen)


def _finite(measure: xr.DataArray, gap: xr.DataArray) -> np.ndarray:
    """Return of which seeds all numbers of both are finite, (seeds,)."""
    return (np.isfinite(_by_seed(measure)) & np.isfinite(_by_seed(gap))).all(axis=1)


def _by_seed(values: xr.DataArray) -> np.ndarray:
    """Return the numbers of every seed in a row, (seeds, settings)."""
    return np.asarray(values.transpose(_SEED, ...).values).reshape(values.sizes[_SEED], -1)
