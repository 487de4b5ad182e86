"""What the code makes of the steps of a training: which ε it divides by, when it averages, and where it begins and ends."""

from typing import Any

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.experiments.definition import Experiment
from bthcheck.protocols import sizes
from bthcheck.training import fused
from bthcheck.training.runs import Run, flat_parameters


@neutral()
def next_steps(runs: xr.Dataset, epochs: int) -> xr.Dataset:
    """Follow every run for the epochs that would have come next, step by step.

    Parameters
    ----------
    runs : what `bthcheck.run` returned, trained at batch size 1 in whole epochs

    Returns
    -------
    xarray.Dataset
        Dimensions (level, "seed", "step") and "neuron" of the first layer: `phi`, `epsilon`, `gradient` (∂ℓ/∂b_1, which is
        −Δb_1/α) before the update of each step, and `lipschitz_after`, λ at its point after it. ``attrs`` has `level`,
        `epoch_steps`, the steps of an epoch, and `loss_factor`.

    Raises
    ------
    ValueError
        If the runs were trained in minibatches or windows, with Dropout, or by another optimizer than plain SGD.
    """
    experiment, level = runs.bthcheck.experiment, runs.attrs["level"]
    training, points = experiment.training, sizes(experiment.task).train
    _check(experiment, windows=1)
    longer = experiment.replace(epochs=training.epochs + epochs)
    levels, seeds = runs[level].values.tolist(), runs.seed.values.tolist()
    rates = np.repeat(longer.training.learning_rates()[training.epochs :], points)
    orders = {seed: Run(longer, levels[0], seed).order()[training.epochs :].ravel() for seed in seeds}  # at any level
    followed = []
    for value in levels:
        for seed in seeds:
            parameters = flat_parameters(runs.bthcheck.weights(value, seed))
            followed.append(fused.follow(Run(longer, value, seed), parameters, orders[seed], rates))
    variables = {}
    for name, array in followed[0].items():
        table = np.stack([one[name] for one in followed]).reshape(len(levels), len(seeds), *array.shape)
        variables[name] = ((level, "seed", "step", "neuron")[: table.ndim], table)
    return xr.Dataset(variables, {level: levels, "seed": seeds}, _attrs(experiment))


@neutral()
def single_steps(runs: xr.Dataset) -> xr.Dataset:
    """Return `phi` and `epsilon` of every step of runs whose windows are single steps, as `next_steps` has them.

    Parameters
    ----------
    runs : what `bthcheck.run` returned, trained at batch size 1 in as many windows an epoch as there are training points

    Raises
    ------
    ValueError
        If the runs were trained otherwise.
    """
    experiment = runs.bthcheck.experiment
    _check(experiment, windows=sizes(experiment.task).train)
    factor = experiment.training.loss_factor
    loss = runs.train_loss / factor
    regression = experiment.at(experiment.levels[0]).network.output == "identity"
    slope = (2 * loss) ** 0.5 if regression else np.exp(loss)  # the loss is |f − y|²/2, or −log|1 − y − f|
    variables = {"phi": runs.trajectory_length, "epsilon": factor * slope}
    table = xr.Dataset({name: values.drop_vars("epoch") for name, values in variables.items()})
    return table.rename(epoch="step").assign_attrs(_attrs(experiment))


def _check(experiment: Experiment, windows: int) -> None:
    training = experiment.training
    if (training.batch_size, training.windows, training.dropout) != (1, windows, 0):
        raise ValueError(
            f"steps are followed of runs with batch_size=1, windows={windows} and dropout=0,"
            f" got {training.batch_size}, {training.windows} and {training.dropout:g}"
        )
    if not training.plain:
        raise ValueError(f"steps are followed of runs of plain SGD, got {training.departures()}")


def _attrs(experiment: Experiment) -> dict[str, Any]:
    return {
        "level": experiment.vary, "epoch_steps": sizes(experiment.task).train, "loss_factor": experiment.training.loss_factor,
    }  # fmt: skip


@neutral()
def lagged(steps: xr.Dataset) -> xr.DataArray:
    """The update of step t + 1 divided by ε of step t, ‖Δb_1^{t+1}‖/(α ε_t), where φ divides by ε_{t+1}; (…, step)."""
    moved = steps.phi * steps.epsilon
    return moved.isel(step=slice(1, None)) / steps.epsilon.isel(step=slice(None, -1))


@neutral()
def averaged_first(steps: xr.Dataset, seeds: int) -> xr.DataArray:
    """φ of biases averaged over the first `seeds` before norms are taken, ‖mean Δb_1‖/(α mean ε); (level, step)."""
    some = steps.isel(seed=slice(seeds))
    return _norm(some.gradient.mean("seed")) / some.epsilon.mean("seed")


@neutral()
def combined(steps: xr.Dataset, seeds: int) -> xr.DataArray:
    """The MLP's trajectory as in the figure: ‖mean Δb_1^{t+1}‖/(α mean ε_t), means over the first `seeds`; (level, step).

    It is `lagged` and `averaged_first` at once, and neither of them alone is near it.
    """
    some = steps.isel(seed=slice(seeds))
    moved = _norm(some.gradient.mean("seed"))
    return moved.isel(step=slice(1, None)) / some.epsilon.mean("seed").isel(step=slice(None, -1))


@neutral()
def reciprocal(steps: xr.Dataset) -> xr.DataArray:
    """φ with |1 − y − f| for ε, which is the reciprocal of the slope of the cross-entropy; (…, step)."""
    return steps.phi * steps.epsilon**2 / steps.attrs["loss_factor"]


@neutral()
def combined_reciprocal(steps: xr.Dataset) -> xr.DataArray:
    """The CNN's trajectory as in the figure: ‖Δb_1^{t+1}‖/(α |1 − y_t − f_t|) without each epoch's first step; (…, step)."""
    moved = steps.phi * steps.epsilon
    published = steps.attrs["loss_factor"] / steps.epsilon  # |1 − y − f|, which knows nothing of a factor on the loss
    values = moved.isel(step=slice(1, None)) / published.isel(step=slice(None, -1))
    later = np.arange(1, steps.sizes["step"]) % steps.attrs["epoch_steps"] != 0
    return values.isel(step=np.flatnonzero(later))


@neutral()
def last_twice(steps: xr.Dataset) -> xr.DataArray:
    """Σφ with the last step's φ counted twice, (…)."""
    return steps.phi.sum("step") + steps.phi.isel(step=-1, drop=True)


@neutral()
def variance_after(steps: xr.Dataset) -> xr.Dataset:
    """Variance of b_1 within each epoch, divided by α²: `before`, over the biases before each step, and `after`, after each.

    Over (level, "seed", "epoch"); the learning rate is constant within an epoch.
    """
    size = steps.attrs["epoch_steps"]
    numbers = np.arange(steps.sizes["step"])
    split = steps.gradient.assign_coords(epoch=("step", numbers // size), visit=("step", numbers % size))
    moves = split.set_index(step=("epoch", "visit")).unstack("step")
    path = moves.cumsum("visit")  # from the epoch's first bias, in units of −α
    return xr.Dataset({name: values.var("visit").sum("neuron") for name, values in (("before", path - moves), ("after", path))})


@neutral()
def absolute_error(steps: xr.Dataset) -> xr.DataArray:
    """Mean |f − y| of each epoch's steps in regression, where it is ε without the factor of the loss; (…, epoch)."""
    error = steps.epsilon / steps.attrs["loss_factor"]
    epoch = xr.DataArray(np.arange(steps.sizes["step"]) // steps.attrs["epoch_steps"], dims="step", name="epoch")
    return error.groupby(epoch).mean("step")


@neutral()
def running_mean(values: xr.DataArray) -> xr.DataArray:
    """The mean of each epoch's value and all before it, (…, epoch)."""
    return values.cumsum("epoch") / xr.DataArray(np.arange(1, values.sizes["epoch"] + 1), dims="epoch")


@neutral()
def distance_from_first_step(runs: xr.Dataset) -> xr.DataArray:
    """‖b_1 − b_1^1‖ after training, from the bias after the first step instead of b_1^0; (level, "seed")."""
    level, experiment = runs.attrs["level"], runs.bthcheck.experiment.replace(epochs=1)
    distance = xr.zeros_like(runs.distance_to_init.isel(epoch=-1, drop=True))
    for value in runs[level].values.tolist():
        for seed in runs.seed.values.tolist():
            first = fused.trace(Run(experiment, value, seed), 1)["bias"][1]
            last = runs.bthcheck.weights(value, seed).first.bias.detach().double().numpy()
            distance.loc[{level: value, "seed": seed}] = np.linalg.norm(last - first)
    return distance


def _norm(vectors: xr.DataArray) -> xr.DataArray:
    return (vectors**2).sum("neuron") ** 0.5
