"""Records as labelled arrays: of one training, by epoch, and of several processes put together."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bthcheck.training.statistics import STATISTICS
from bthcheck.watching.records import QUANTITIES, Block

_COUNTS = ("samples", "passes")


def labelled(table: Block, attrs: Mapping[str, Any], probe: int) -> xr.Dataset:
    """Return the records of a training as a Dataset with dimensions "step" and, if there was a probe, "probe".

    Parameters
    ----------
    table : quantity → one value a step
    attrs : of the Dataset
    probe : how many points of the probe have a constant of their own
    """
    steps = table.get("step", np.zeros(0, int))
    variables: dict[str, Any] = {}
    for name, (long_name, units) in QUANTITIES.items():
        values = table.get(name, np.full(len(steps), math.nan))
        values = np.nan_to_num(values).astype(np.int64) if name in _COUNTS else values
        variables[name] = ("step", values, {"long_name": long_name, "units": units})
    if probe:
        variables["lipschitz"] = (
            ("step", "probe"),
            table.get("lipschitz", np.full((len(steps), probe), math.nan)),
            {"long_name": "local Lipschitz constant at a point of the probe after the step", "units": "output / input"},
        )
    if "gradient_sum" in table:
        variables["gradient_sum"] = (
            ("step", "neuron"), table["gradient_sum"], {"long_name": "Σ ∂L/∂z_i of this process", "units": "loss / input"},
        )  # fmt: skip
        variables["slope_sum"] = (
            "step", table["slope_sum"], {"long_name": "Σ |∂L/∂f_i| of this process", "units": "loss / output"}
        )  # fmt: skip
    coords: dict[str, Any] = {
        "step": ("step", steps.astype(np.int64), {"long_name": "steps of the optimizer", "units": "step"}),
        "epoch": (
            "step", table.get("epoch", np.zeros(0)), {"long_name": "epoch, as it was marked; NaN before the first mark"},
        ),
        "wall_time": ("step", table.get("wall_time", np.zeros(0)), {"long_name": "time since the start", "units": "s"}),
    }  # fmt: skip
    if probe:
        coords["probe"] = ("probe", np.arange(probe), {"long_name": "row of the probe"})
    return xr.Dataset(variables, coords, dict(attrs))


def by_epoch(watched: xr.Dataset) -> xr.Dataset:
    """Return the statistics of every epoch, with the names and the dimension "epoch" of what `bthcheck.run` returns.

    Of what `run` has, errors and test losses are missing. Sums over an epoch need every step of it.

    Parameters
    ----------
    watched : from `Watch.dataset`, of one training whose epochs were marked; dimension "step"

    Raises
    ------
    ValueError
        If no epoch was marked, or it is no such Dataset.
    """
    _check(watched)
    if not watched.sizes["step"] or np.isnan(watched.epoch.values).all():
        raise ValueError("no epoch was marked while watching; call mark(epoch=…) when one begins")
    if watched.attrs["every"] != 1:
        raise ValueError(
            f"sums over an epoch need a record of every step, and these are of every {watched.attrs['every']};"
            " watch with every=1 and a limit= of at least the number of steps"
        )
    epochs = watched.epoch.values
    labels = list(dict.fromkeys(epochs[~np.isnan(epochs)].tolist()))
    rows = [np.flatnonzero(epochs == label) for label in labels]

    def table(name: str, of: Callable[[np.ndarray], Any]) -> np.ndarray:
        values = watched[name].values
        return np.array([of(values[some]) for some in rows], float)

    variables = {
        "trajectory_length": table("phi", np.sum),
        "trajectory_max": table("phi", np.max),
        "bias_variance": table("bias_variance", lambda epoch: epoch[-1]),
        "distance_to_init": table("distance_to_init", lambda epoch: epoch[-1]),
        "update_sum": table("update", np.sum),
        "train_loss": table("train_loss", np.mean),
        "learning_rate": table("learning_rate", np.mean),
        "lipschitz_mean": table("lipschitz_mean", _last),
        "lipschitz_max": table("lipschitz_max", _last),
    }
    names = {**QUANTITIES, **STATISTICS}
    return xr.Dataset(
        {name: ("epoch", values, {"long_name": names[name][0], "units": names[name][1]}) for name, values in variables.items()},
        {"epoch": ("epoch", labels, {"long_name": "epoch, as it was marked", "units": "epoch"})},
        watched.attrs,
    )


def merged(watched: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put the records of the processes of one distributed training together, exactly.

    φ is that of all processes' samples, norms are over all of them. The bias, which is the same everywhere, and what was probed
    are those of the first.

    Parameters
    ----------
    watched : from `Watch.dataset`, one a process, in any order

    Raises
    ------
    ValueError
        If they are not the records of all processes of one training.
    """
    parts = sorted(watched, key=lambda part: part.attrs.get("rank", -1))
    for part in parts:
        _check(part)
    worlds = {part.attrs["processes"] for part in parts}
    if worlds != {len(parts)} or [part.attrs["rank"] for part in parts] != list(range(len(parts))):
        ranks = ", ".join(str(part.attrs["rank"]) for part in parts)
        raise ValueError(f"merged needs the record of every process of one training, ranks 0, 1, …; got ranks {ranks}")
    if any("gradient_sum" not in part or not np.array_equal(part.step, parts[0].step) for part in parts):
        raise ValueError("these records are not of the same steps of one training with DistributedDataParallel")
    if not all(np.array_equal(part.distance_to_init, parts[0].distance_to_init, equal_nan=True) for part in parts):
        raise ValueError("the processes do not have the same bias, so that their records are not of one training")
    every = xr.concat(parts, "process", join="override", combine_attrs="override", coords="minimal", compat="override")
    found = parts[0].drop_vars(("gradient_sum", "slope_sum", "neuron"), errors="ignore").copy()
    weights = every.samples / every.samples.sum("process")

    def put(name: str, values: xr.DataArray) -> None:
        found[name] = found[name].copy(data=values.transpose("step").values)

    gradient = np.linalg.norm(every.gradient_sum.sum("process").transpose("step", ...).values, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found["phi"] = found.phi.copy(data=gradient / every.slope_sum.sum("process").values)
    put("gradient_norm_mean", (every.gradient_norm_mean * weights).sum("process", skipna=False))
    put("gradient_norm_max", every.gradient_norm_max.max("process"))
    put("train_loss", (every.train_loss * weights).sum("process", skipna=False))
    put("samples", every.samples.sum("process"))
    put("passes", every.passes.sum("process"))
    return found.assign_attrs({**parts[0].attrs, "rank": -1})


def _last(values: np.ndarray) -> float:
    """The last value that there is."""
    there = values[~np.isnan(values)]
    return there[-1] if len(there) else math.nan


def _check(watched: Any) -> None:
    if (
        not isinstance(watched, xr.Dataset)
        or "phi" not in watched
        or "step" not in watched.dims
        or "every" not in watched.attrs
    ):
        raise ValueError("this is not the Dataset of one watched training, as Watch.dataset() returns it")
