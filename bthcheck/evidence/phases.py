"""Where T1 holds: the order of trajectories over width, training points, learning rate and epochs, cell by cell.

A cell is one network, number of points and learning rate after so many epochs. Within it every seed says whether the higher of
two frequencies has the longer normalised trajectory. One training shows all cells of its epochs. Exploratory: a cell has an
effect with its interval, never a verdict.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import scipy
import xarray as xr

import bthcheck.training.engines as engines
from bthcheck.ambient import neutral
from bthcheck.evidence.findings import CONFIDENCE
from bthcheck.experiments import SINUSOIDS, Experiment
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid

AXES = ("width", "points", "learning_rate", "epochs")
FIT = 0.0125
"""Mean training loss of a window, in loss, below which a run counts as fit: a tenth of the loss of answering 0."""
STATES = ("not fit", "reversed", "undecided", "supported")


@dataclass(frozen=True)
class Grid:
    """The cells of a phase diagram, as many as the product of its axes.

    widths : of both hidden layers behind the first, whose W_1 is the identity
    points : of training
    learning_rates : α, constant
    epochs : after which a cell is looked at; φ and loss are means over the last tenth of them
    frequencies : the two of the sinusoid that are compared
    """

    widths: tuple[int, ...] = (6, 12, 24, 48)
    points: tuple[int, ...] = (20, 40, 80)
    learning_rates: tuple[float, ...] = (0.004, 0.008, 0.016)
    epochs: tuple[int, ...] = (25, 50, 100, 200, 300, 400, 600, 800, 1200)
    frequencies: tuple[float, float] = (0.25, 0.75)

    def __post_init__(self) -> None:
        if not all((self.widths, self.points, self.learning_rates, self.epochs)) or len(set(self.frequencies)) != 2:
            raise ValueError(f"a phase diagram needs at least one value on every axis and two frequencies, got {self}")

    def experiment(self, width: int, points: int, rate: float, seeds: Sequence[int]) -> Experiment:
        """Return what is trained for all cells of a width, number of points and learning rate."""
        training = replace(SINUSOIDS.training, epochs=max(self.epochs), learning_rate=rate, lipschitz_every=max(self.epochs))
        return replace(
            SINUSOIDS, name=f"phases, width {width}, {points} points, α {rate:g}", task=Sinusoid(train=points, test=1),
            levels=tuple(self.frequencies), network=MLP((10, 10, width, width, 1)), training=training, seeds=tuple(seeds),
        )  # fmt: skip


@neutral()
def phase_diagram(
    seeds: Iterable[int],
    grid: Grid | None = None,
    *,
    executor: Executor | None = None,
    cache: Any = None,
) -> xr.Dataset:
    """Train a grid and return mean φ and training loss of every cell.

    Parameters
    ----------
    seeds : of the runs in every cell
    executor, cache : as for `bthcheck.run`

    Returns
    -------
    xarray.Dataset
        `phi` and `loss` over (width, points, learning_rate, epochs, frequency, seed): means over the last tenth of the epochs,
        at least one. A run that diverged has infinite ones.
    """
    grid = Grid() if grid is None else grid
    seeds = [int(seed) for seed in seeds]
    settings = list(product(grid.widths, grid.points, grid.learning_rates))
    phi: list[np.ndarray] = []
    loss: list[np.ndarray] = []
    for width, points, rate in settings:
        runs = engines.run(grid.experiment(width, points, rate, seeds), cache=cache, progress=False, executor=executor)
        for into, values in ((phi, runs.trajectory_length / runs.steps_per_epoch), (loss, runs.train_loss)):
            into.append(np.stack([_window(values.transpose("epoch", "frequency", "seed").values, end) for end in grid.epochs]))
    sizes = [len(values) for values in (grid.widths, grid.points, grid.learning_rates)]
    coords = dict(zip((*AXES, "frequency", "seed"), (grid.widths, grid.points, grid.learning_rates, grid.epochs,
                  grid.frequencies, seeds), strict=True))  # fmt: skip
    shape = (*sizes, len(grid.epochs), len(grid.frequencies), len(seeds))
    variables = {
        name: (tuple(coords), np.reshape(values, shape), {"long_name": text, "units": units})
        for name, values, text, units in (
            ("phi", phi, "mean φ over the last tenth of the epochs", "output / input"),
            ("loss", loss, "mean training loss over the last tenth of the epochs", "loss"),
        )
    }
    return xr.Dataset(variables, {name: list(values) for name, values in coords.items()})


def _window(values: np.ndarray, end: int) -> np.ndarray:
    return values[end - max(1, end // 10) : end].mean(0)


@neutral()
def fit_pairs(cells: xr.Dataset, fit: float = FIT) -> xr.DataArray:
    """Return in which cells and seeds the loss of both runs is below `fit`, of what `phase_diagram` returned."""
    return (cells.loss < fit).all("frequency")


@neutral()
def phases(cells: xr.Dataset, fit: float = FIT) -> xr.Dataset:
    """Return what each cell says, of what `phase_diagram` returned.

    Returns
    -------
    xarray.Dataset
        Over `AXES`: `tau`, the mean over seeds of whether φ grows with the frequency (1), falls (−1) or is the same (0); its
        95 % interval `low`, `high`, by Clopper and Pearson from the seeds that are not tied; `fit`, whether in at least half
        of the seeds both runs are fit; and `state`, an index into `STATES`: not fit, or else on which side of 0 the
        interval lies.
    """
    signs = np.sign(cells.phi.isel(frequency=-1) - cells.phi.isel(frequency=0))
    up, down = ((signs == side).sum("seed") for side in (1, -1))
    low, high = _interval(up.values, down.values)
    fitted = fit_pairs(cells, fit).mean("seed") >= 0.5
    numbers = [STATES.index(name) for name in ("not fit", "supported", "reversed")]
    state = np.select([~fitted.values, low > 0, high < 0], numbers, STATES.index("undecided"))
    dims = up.dims
    return xr.Dataset(
        {"tau": signs.mean("seed"), "low": (dims, low), "high": (dims, high), "fit": fitted, "state": (dims, state)}
    ).transpose(*AXES)


def _interval(up: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of 2p − 1, p the probability of `up` against `down`; −1 and 1 where there are neither."""
    tail = (1 - CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(up > 0, scipy.stats.beta.ppf(tail, up, down + 1), 0.0)
        high = np.where(down > 0, scipy.stats.beta.ppf(1 - tail, up + 1, down), 1.0)
    return 2 * low - 1, 2 * high - 1


@neutral()
def counted(found: xr.Dataset) -> dict[str, int]:
    """Return how many cells are in each of `STATES`."""
    return {name: int((found.state == number).sum()) for number, name in enumerate(STATES)}


@neutral()
def boundary(found: xr.Dataset) -> xr.Dataset:
    """Return where the boundary of `fit` is, of what `phases` returned, over (width, points, learning_rate).

    Returns
    -------
    xarray.Dataset
        `epochs`, the first number of epochs from which on every cell is fit, NaN where the last is not; and mean τ of the cells
        `before` and `after` it, NaN where there are none.
    """
    fitted = found.fit.transpose(..., "epochs")
    lasting = fitted.copy(data=np.logical_and.accumulate(fitted.values[..., ::-1], axis=-1)[..., ::-1])
    return xr.Dataset(
        {
            "epochs": found.epochs.where(lasting).min("epochs"),
            "before": found.tau.where(~lasting).mean("epochs"),
            "after": found.tau.where(lasting).mean("epochs"),
        }
    )
