"""The beginning of a training, where the same seeds still give the same digits on any processor, or nearly.

Chaos takes time: after a few hundred steps the median run differs by 10⁻⁷ between processors, and between float32 and float64.
So whatever changes what is trained shows here at once, whether or not it changes the distribution of what comes out in the end.
docs/explanation/noticing.md has the measurements.
"""

from typing import Any

import numpy as np
import scipy
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.evidence.agreement import Agreement, check_level

STATISTICS = ("train_loss", "test_loss", "trajectory_length")
"""What is kept: of these one at least is moved by whatever changes the data, the network, the loss or the steps."""
ROWS, STEPS, SEEDS, DIGITS = 3, 1000, 5, 7
"""Kept of the third epoch or window, an earlier one if that is after more steps; of the first seeds; to so many digits."""
TOLERANCE = 1e-4
"""Relative difference beyond which a run has moved."""
CHAOTIC = 0.25
"""Share of the runs that chaos alone may have moved that early.

Measured: at most 0.22, after 1200 steps of the small CNN, and less before."""


@neutral()
def beginning(dataset: xr.Dataset) -> dict[str, Any]:
    """Return what is kept of the beginning of an experiment.

    Parameters
    ----------
    dataset : from `bthcheck.run`, dimensions (level, "seed", "epoch")

    Returns
    -------
    dict
        "after", the number of the epoch or window; "levels", as text; "seeds"; and for every one of `STATISTICS` a row a seed
        and a column a level, None where there is no finite number; a statistic that has none at all is left out.
    """
    level = str(dataset.attrs["level"])
    steps = max(1, dataset.attrs["steps_per_epoch"] // dataset.attrs["windows"])
    after = max(1, min(ROWS, STEPS // steps, dataset.sizes["epoch"]))
    first = dataset[list(STATISTICS)].isel(epoch=after - 1, seed=slice(SEEDS)).transpose("seed", level, ...)
    measured = [name for name in STATISTICS if np.isfinite(first[name].values).any()]
    return {
        "after": after,
        "levels": [str(value) for value in dataset[level].values.tolist()],
        "seeds": first["seed"].values.tolist(),
        **{name: [[_kept(value) for value in row] for row in first[name].values.tolist()] for name in measured},
    }


@neutral()
def same_beginning(recorded: dict[str, Any], new: dict[str, Any], *, level: float, experiment: str = "") -> Agreement:
    """Test whether more runs have moved than chaos can have, so early: the binomial test of a share above `CHAOTIC`.

    A run has moved if one of its numbers differs by more than `TOLERANCE`, relative to the larger, or if it is finite in one
    alone. Runs of levels and seeds that are common to both are compared.

    Parameters
    ----------
    recorded, new : as from `beginning`
    level : significance level
    experiment : its name, for the sentence

    Raises
    ------
    ValueError
        If the level is not between 0 and 1.
    """
    check_level(level)
    of = f"{experiment}: " if experiment else ""
    old, now = _runs(recorded), _runs(new)
    common = [run for run in now if run in old]
    if recorded["after"] != new["after"] or not common:
        return Agreement(False, f"{of}there is no beginning to compare", level=level, noticeable=False)
    worst = {run: max(_relative(a, b) for a, b in zip(old[run], now[run], strict=True)) for run in common}
    moved = [run for run in common if worst[run] > TOLERANCE]
    p = float(scipy.stats.binom.sf(len(moved) - 1, len(common), CHAOTIC))
    middle = float(np.median(list(worst.values())))
    sentence = (
        f"{of}{len(moved)} of {len(common)} runs differ by more than rounding by epoch or window {new['after']},"
        f" by {100 * middle:.2g} % in the median (p = {p:.2g} at level {level:.2g})"
    )
    return Agreement(
        differs=p <= level,
        sentence=sentence,
        p=p,
        effect_name="share of runs that moved",
        effect=len(moved) / len(common),
        level=level,
        noticeable=CHAOTIC ** len(common) <= level,
    )


def _kept(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def _runs(kept: dict[str, Any]) -> dict[tuple[Any, str], list[float | None]]:
    """Return (seed, level) → the numbers of that run."""
    return {
        (seed, level): [kept[name][i][j] if name in kept else None for name in STATISTICS]
        for i, seed in enumerate(kept["seeds"])
        for j, level in enumerate(kept["levels"])
    }


def _relative(first: float | None, second: float | None) -> float:
    """Return |a − b| / max(|a|, |b|); 0 where both are missing, 1 where one is."""
    if first is None or second is None:
        return float((first is None) != (second is None))
    size = max(abs(first), abs(second))
    return abs(first - second) / size if size else 0.0
