"""Results of an experiment as a file: netCDF, which any tool reads and which can hold no code."""

import io
import os
from pathlib import Path
from typing import Literal

import xarray as xr

from bthcheck.experiments.definition import Experiment
from bthcheck.files import write_whole
from bthcheck.training import dataset as accessor  # its accessor is what a Dataset that is read has, too
from bthcheck.training.statistics import STATISTICS

_ENGINE: Literal["scipy"] = "scipy"  # netCDF 3, which needs no further library
LARGEST_SEED = 2**31 - 1
"""The largest whole number of netCDF 3."""


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a Dataset from `bthcheck.run` as netCDF, whole or not at all.

    Raises
    ------
    ValueError
        If a seed is above `LARGEST_SEED`.
    OSError
        If the file cannot be written; the one that was there before still is.
    """
    if int(dataset["seed"].max()) > LARGEST_SEED:
        raise ValueError(f"seeds must be at most {LARGEST_SEED} to be saved as netCDF, got {int(dataset['seed'].max())}")
    content = dataset.to_netcdf(engine=_ENGINE)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, bytes(content))


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the Dataset that `save` wrote.

    Raises
    ------
    ValueError
        If the file is none of those.
    OSError
        If it cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        dataset = xr.load_dataset(io.BytesIO(content), engine=_ENGINE)
        _check(dataset)
    except Exception as error:  # whatever a file holds that somebody else wrote
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{os.fspath(path)} is no file of results that bthcheck saved: {why}") from error
    return dataset


def _check(dataset: xr.Dataset) -> None:
    """Raise ``ValueError`` unless a Dataset holds what its experiment says."""
    text = dataset.attrs.get("experiment")
    if not isinstance(text, str):
        raise ValueError("it names no experiment")
    experiment: Experiment = accessor.TrajectoryAccessor(dataset).experiment
    sizes = {experiment.vary: len(experiment.levels), "seed": len(experiment.seeds), "epoch": experiment.training.rows}
    for name in STATISTICS:
        if name not in dataset or dict(dataset[name].sizes) != sizes:
            raise ValueError(f"it has no {name} of every level, seed and epoch")
    missing = [name for name in ("level", "windows", "steps_per_epoch", "engine", "device") if name not in dataset.attrs]
    if missing or "diverged" not in dataset.coords or dataset.attrs["level"] != experiment.vary:
        raise ValueError("it does not say how it was trained")
