"""What the code repeats and records: data that levels do not share, labels that repeats do, and half of an epoch."""

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.tasks import Labels


@neutral()
def independent_data(values: xr.DataArray, along: str) -> xr.DataArray:
    """Put runs of different seeds into each block, as if the data had been drawn anew for every run; (`along`, "seed").

    A block is labelled with the seed at its first level; at the level after it is the next seed's run, and so on in a circle.

    Raises
    ------
    ValueError
        If there are fewer seeds than levels: then two runs of a block would share a seed.
    """
    levels, seeds = values.sizes[along], values.sizes["seed"]
    if seeds < levels:
        raise ValueError(f"{levels} levels need as many seeds to share none, got {seeds}")
    parts = [values.isel({along: [number]}).roll(seed=-number) for number in range(levels)]
    return xr.concat([part.drop_vars("diverged", errors="ignore") for part in parts], along).transpose(*values.dims)


@neutral()
def redrawn_labels(clean: np.ndarray, corruption: float, seed: int) -> Labels:
    """Redraw each label where a uniform draw is at most `corruption`, from one fixed `seed` for all repeats.

    Sets of redrawn labels are nested, but what they are redrawn to is drawn for the set and so changes with the level. In
    `bthcheck.tasks.CorruptedImages` the number of redrawn labels is exact, repeats differ and labels stay.
    """
    generator = np.random.default_rng(seed)
    redrawn = generator.random(len(clean)) <= corruption
    used = clean.copy()
    used[redrawn] = generator.integers(0, 2, int(redrawn.sum()), dtype=clean.dtype)
    return Labels(clean, redrawn, used)


@neutral()
def recorded(runs: xr.Dataset) -> xr.Dataset:
    """The windows that the code records of runs with several an epoch: the first of each epoch, and none after it."""
    return runs.isel(epoch=slice(None, None, runs.attrs["windows"]))
