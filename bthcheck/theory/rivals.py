"""Rivals of φ: what else is said to tell how well a network generalises, measured on the same runs.

Every function takes the Dataset that `bthcheck.run` returns, with dimensions (level, "seed", "epoch"), and gives one number a
run, (level, "seed"), with `long_name` and `units`. A run that diverged has ∞, as in its statistics, so that no mean skips it.
Most measures are expected to grow with the gap between test and training error; the learning rate and the number of parameters
are there as they are, to see what they alone would say.

Of the trained weights are norms, distance and number (`bthcheck.theory.capacity`) and PAC-Bayes sharpness
(`bthcheck.theory.sharpness`), for networks of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import positive, positive_int
from bthcheck.theory.capacity import distance, log_spectral_norms, parameter_count, path_norm
from bthcheck.theory.sharpness import DRAWS, LIMIT, sharpness
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bthcheck.networks import Network
    from bthcheck.tasks import Data
else:
    torch = faces.Later("torch")

SETTINGS = ("initial_rate", "parameter_count")
"""Measures that are set before training; a run that diverges has them, too."""
GAPS = ("error_gap", "loss_gap")
"""What the measures of a table are to predict."""


@neutral()
def sum_of_losses(ds: xr.Dataset, last: int | None = None) -> xr.DataArray:
    """Σ_e L_e over all epochs, or the last few: TSE, L_e the mean loss of the epoch's steps, each before its update.

    Ru et al., *Speedy Performance Estimation for Neural Architecture Search*, NeurIPS 2021: TSE and, with `last`, TSE-E. Lyle
    et al., *A Bayesian Perspective on Training Speed and Model Selection*, NeurIPS 2020, say why it should go with
    generalisation.

    Raises
    ------
    ValueError
        If `last` is no positive whole number of epochs that there are.
    """
    windows = _windows(ds)
    epochs = ds.sizes["epoch"] // windows
    if last is not None and positive_int("last", last) > epochs:
        raise ValueError(f"last must be at most the {epochs} epochs there are, got {last}")
    losses = ds.train_loss if last is None else ds.train_loss.isel(epoch=slice(-last * windows, None))
    which = "all epochs" if last is None else "the last epoch" if last == 1 else f"the last {last} epochs"
    return _named(losses.sum("epoch", skipna=False) / windows, f"sum of training losses over {which}", "loss epoch")


@neutral()
def common_epoch(*losses: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the first epoch at which every run that is compared within a seed has passed a common loss, ("seed",).

    Parameters
    ----------
    losses : training losses (…, "seed", "epoch"), of one experiment or of several with the same seeds; a run passes at the end
        of the first epoch whose loss is below `threshold`. Runs that diverged are left out.
    threshold : the common loss, above 0

    Returns
    -------
    NaN for a seed of which a run never passes.

    Raises
    ------
    ValueError
        If there is no loss, the threshold is not positive, or the seeds differ.
    """
    threshold = positive("threshold", threshold)
    if not losses:
        raise ValueError("there must be at least one experiment's losses to compare, got none")
    found = []
    for values in losses:
        passed = values.epoch.where(values < threshold).min("epoch")
        passed = passed.where(xr.apply_ufunc(np.isfinite, values).all("epoch"), 0).drop_vars("diverged", errors="ignore")
        found.append(passed.max([dim for dim in passed.dims if dim != "seed"], skipna=False))
    if any(not np.array_equal(one.seed, found[0].seed) for one in found):
        raise ValueError("experiments that are compared must have the same seeds in the same order")
    latest = xr.concat(found, "experiment", coords="minimal", compat="override").max("experiment", skipna=False)
    return _named(latest, f"epoch at which all runs of a seed have passed a training loss of {threshold:g}", "epoch")


@neutral()
def sum_of_losses_from(ds: xr.Dataset, start: xr.DataArray) -> xr.DataArray:
    """Σ_e L_e over the epochs from `start` on, itself included: `sum_of_losses` where speed is no longer compared.

    Parameters
    ----------
    start : ("seed",) epochs, such as `common_epoch` returns; NaN makes NaN

    Raises
    ------
    ValueError
        If `start` is of other seeds.
    """
    if start.dims != ("seed",) or not np.array_equal(start.seed, ds.seed):
        got = f"dimensions {start.dims}" if start.dims != ("seed",) else f"seeds {start.seed.values.tolist()}"
        raise ValueError(f"start must be one epoch for each seed {ds.seed.values.tolist()}, got {got}")
    after = ds.train_loss.where(ds.epoch >= start, 0.0).sum("epoch", skipna=False) / _windows(ds)
    return _named(after.where(start.notnull()), "sum of training losses from the common epoch on", "loss epoch")


@neutral()
def update_sum(ds: xr.Dataset) -> xr.DataArray:
    """Σ_t ‖b_1^{t+1} − b_1^t‖ over all steps of the training: the length of the path of the first bias."""
    return _named(ds.update_sum.sum("epoch", skipna=False), "sum of ‖Δb_1‖ over all steps", "input")


@neutral()
def phi_sum(ds: xr.Dataset) -> xr.DataArray:
    """Σ_t φ_t over all steps of the training, φ as in `bthcheck.training.statistics`."""
    return _named(ds.trajectory_length.sum("epoch", skipna=False), "sum of φ over all steps", "output / input")


@neutral()
def mean_phi_below(ds: xr.Dataset, threshold: float) -> xr.DataArray:
    """Mean φ a step over the epochs whose training loss is below a common loss: Σ_{e: L_e < c} Σ_{t∈e} φ_t / their steps.

    Each epoch counts or does not by its own loss L_e, the mean over its steps, also where an earlier one was lower; epochs that
    count differ from run to run. (With ``Training.windows`` it is windows that count.) NaN for a run without such an epoch.

    Raises
    ------
    ValueError
        If the threshold is not positive.
    """
    below = ds.train_loss < positive("threshold", threshold)
    steps = ds.attrs["steps_per_epoch"] // _windows(ds)
    visited = below.sum("epoch") * steps
    mean = ds.trajectory_length.where(below, 0.0).sum("epoch", skipna=False) / visited.where(visited > 0)
    name = f"mean φ over the epochs with a training loss below {threshold:g}"
    return _named(_diverged_to_infinity(mean, ds), name, "output / input")


@neutral()
def final_lipschitz(ds: xr.Dataset, statistic: str = "mean") -> xr.DataArray:
    """The "mean" or the "max" over the training points of the local Lipschitz constant λ after the last epoch."""
    name = f"lipschitz_{statistic}"
    return _named(ds[name].isel(epoch=-1, drop=True), f"{statistic} λ over the training points at the end", "output / input")


@neutral()
def recorded(ds: xr.Dataset, common_loss: float, start: xr.DataArray | None = None) -> xr.Dataset:
    """Return the measures that the statistics of a run suffice for, of networks of one's own, too; see `measures`."""
    if start is None:
        start = common_epoch(ds.train_loss, threshold=common_loss)
    found = {
        "loss_sum": sum_of_losses(ds),
        "loss_last": sum_of_losses(ds, last=1),
        "loss_from_common": sum_of_losses_from(ds, start),
        "update_sum": update_sum(ds),
        "phi_sum": phi_sum(ds),
        "phi_below": mean_phi_below(ds, common_loss),
        "lipschitz_mean": final_lipschitz(ds, "mean"),
        "lipschitz_max": final_lipschitz(ds, "max"),
    }
    return xr.Dataset(found, attrs={"level": ds.attrs["level"]})


@neutral()
def measures(
    ds: xr.Dataset,
    common_loss: float,
    *,
    start: xr.DataArray | None = None,
    draws: int | None = DRAWS,
    limit: float = LIMIT,
    fresh: int | None = None,
) -> xr.Dataset:
    """Return all measures of all runs and the gaps that they are to predict, each (level, "seed").

    loss_sum, loss_last, loss_from_common : sum of training losses over all epochs, over the last one, and from the first at
        which all runs of a seed have passed `common_loss` (`sum_of_losses`, `sum_of_losses_from`)
    update_sum, phi_sum, phi_below : Σ‖Δb_1‖, Σφ, and the mean φ below `common_loss` (`mean_phi_below`)
    lipschitz_mean, lipschitz_max : λ over the training points at the end
    log_spectral, path_norm, weight_distance : of the trained weights, see `bthcheck.theory.capacity`; the distance is that of
        all parameters to their initial values
    sharpness : 1/σ², see `bthcheck.theory.sharpness`: of the training error with a sigmoid output, else of the training loss
    initial_rate, parameter_count : settings alone, the first epoch's α; diverged runs have them, too
    error_gap, loss_gap : test minus training error (NaN in regression) and loss, both of the trained weights

    Parameters
    ----------
    common_loss : a training loss that all runs are to pass, in units of the optimised loss, `Training.loss_factor` and all
    start : ("seed",) the common epoch where several experiments are compared, see `common_epoch`; else that of this one
    draws, limit : of the sharpness, which `draws` of None leaves out: of convolutions it can take longer than training. Noise
        comes from the stream "perturbation" of the seed, and is the same for all networks
        of a seed that have the same number of parameters.

    fresh : how many points the gaps are to be of, drawn anew by the task's `fresh` from the stream "fresh" of the seed; the
        task's test points unless it is said

    Raises
    ------
    ValueError
        If the common loss is not positive, a network is a module of one's own, whose layers are not known, or fresh points are
        asked of a task that has no `fresh`.
    """
    found = recorded(ds, common_loss, start)
    dims = (ds.attrs["level"], "seed")
    asked = {name: one for name, one in _OF_WEIGHTS.items() if draws is not None or name != "sharpness"}
    values = {name: np.full([ds.sizes[dim] for dim in dims], np.inf) for name in asked}
    for run in _runs(ds, fresh):
        for name, one in asked.items():
            if name in SETTINGS or not run.diverged:
                values[name][run.place] = one.of(run, draws or 0, limit)
    for name, (_, long_name, units) in asked.items():
        found[name] = (dims, values[name], {"long_name": long_name, "units": units})
    return found


@dataclass(frozen=True)
class _Trained:
    """One run after its training; `place` among the levels and seeds."""

    place: tuple[int, int]
    run: Run
    network: Network
    data: Data
    diverged: bool

    @cached_property
    def gaps(self) -> dict[str, float]:
        """How much larger the mean error and loss are over the test points than over the training points."""
        test = self._means(self.data.x_test, self.data.y_test)
        trained = self._means(self.data.x_train, self.data.y_train)
        return {name: one - other for name, one, other in zip(GAPS, test, trained, strict=True)}

    def _means(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        values, wrong = _losses(self.network, x, y, self.run.setting.training.loss_factor)
        return float(wrong.double().mean()), float(values.double().mean())


class _Measure(NamedTuple):
    of: Callable[[_Trained, int, float], float]
    long_name: str
    units: str


def _runs(ds: xr.Dataset, fresh: int | None) -> Iterator[_Trained]:
    """Yield every run with its trained network, and perhaps with points drawn anew in the place of its test points."""
    from bthcheck.networks import Network

    level, experiment = ds.attrs["level"], ds.bthcheck.experiment
    for i, value in enumerate(ds[level].values.tolist()):
        for j, seed in enumerate(ds.seed.values.tolist()):
            network = ds.bthcheck.weights(value, seed)
            if not isinstance(network, Network):
                raise ValueError(
                    f"measures of weights are for networks of bthcheck.networks, such as MLP, got {type(network).__name__};"
                    " bthcheck.theory.rivals.recorded has those that need none"
                )
            diverged = bool(ds.diverged.transpose(level, "seed").values[i, j])
            run = Run(experiment, value, seed)
            data = run.data()
            if fresh is not None:
                if not hasattr(run.setting.task, "fresh"):
                    raise ValueError(f"fresh points must be of a task that draws them, got {type(run.setting.task).__name__}")
                x, y = run.setting.task.fresh(stream(seed, "data"), stream(seed, "fresh"), positive_int("fresh", fresh))
                data = data._replace(x_test=x, y_test=y)
            yield _Trained((i, j), run, network, data, diverged)


def _losses(network: Network, x: Tensor, y: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Return loss and whether the class is wrong of every point, (m,) each."""
    from bthcheck.training.stacked.losses import loss

    kind = network.first.bias.dtype
    with torch.no_grad():
        values, _, _, wrong = loss(network.sigmoid, factor, network.logit(network.first(x.to(kind))), y.to(kind))
    return values, wrong


def _sharpness(run: _Trained, draws: int, limit: float) -> float:
    criterion = "error" if run.network.sigmoid else "loss"
    factor = run.run.setting.training.loss_factor
    return sharpness(
        run.network, run.data.x_train, run.data.y_train, stream(run.run.seed, "perturbation"),
        criterion=criterion, limit=limit, draws=draws, loss_factor=factor,
    )  # fmt: skip


_OF_WEIGHTS = {
    "log_spectral": _Measure(lambda run, *_: log_spectral_norms(run.network), "Σ log ‖W_l‖₂", "1"),
    "path_norm": _Measure(lambda run, *_: path_norm(run.network), "path norm: squared weights, an input of ones", "1"),
    "weight_distance": _Measure(
        lambda run, *_: distance(run.network, run.run.network()), "distance of all parameters to their initial values", "1"
    ),
    "sharpness": _Measure(_sharpness, "PAC-Bayes sharpness 1/σ²", "1"),
    "initial_rate": _Measure(
        lambda run, *_: run.run.setting.training.learning_rate, "learning rate α of the first epoch", "input² / loss"
    ),
    "parameter_count": _Measure(lambda run, *_: parameter_count(run.network), "number of trained parameters", "1"),
    "error_gap": _Measure(lambda run, *_: run.gaps["error_gap"], "test error minus training error at the end", "1"),
    "loss_gap": _Measure(lambda run, *_: run.gaps["loss_gap"], "test loss minus training loss at the end", "loss"),
}


def _windows(ds: xr.Dataset) -> int:
    return int(ds.attrs.get("windows", 1))


def _named(values: xr.DataArray, long_name: str, units: str) -> xr.DataArray:
    return values.assign_attrs(long_name=long_name, units=units)


def _diverged_to_infinity(values: xr.DataArray, ds: xr.Dataset) -> xr.DataArray:
    return values.where(~ds.diverged, np.inf)
