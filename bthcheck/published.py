"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each function computes one quantity both ways. What is known of the code is in docs/published-estimators.md; none of it is here.
"""

import numpy as np
import xarray as xr

from bthcheck.training import fused
from bthcheck.training.runs import Run, flat_parameters


def next_steps(runs: xr.Dataset, epochs: int) -> xr.Dataset:
    """Follow every run for the epochs that would have come next, step by step, at the learning rate of the first of them.

    Parameters
    ----------
    runs : what `bthcheck.run` returned, trained at batch size 1 in whole epochs

    Returns
    -------
    xarray.Dataset
        Dimensions (level, "seed", "step") and "neuron" of the first layer: `phi`, `epsilon`, `gradient` (∂ℓ/∂b_1, which is
        −Δb_1/α) before the update of each step, and `lipschitz_after`, λ at its point after it.

    Raises
    ------
    ValueError
        If the runs were trained in minibatches or windows.
    """
    experiment, level = runs.bthcheck.experiment, runs.attrs["level"]
    training = experiment.training
    if (training.batch_size, training.windows) != (1, 1):
        raise ValueError(
            f"steps are followed of runs at batch size 1 with windows=1, got {training.batch_size} and {training.windows}"
        )
    longer = experiment.replace(epochs=training.epochs + epochs)
    levels, seeds = runs[level].values.tolist(), runs.seed.values.tolist()
    rate = longer.training.learning_rates()[training.epochs]
    orders = {seed: Run(longer, levels[0], seed).order()[training.epochs :].ravel() for seed in seeds}  # at any level
    followed = []
    for value in levels:
        for seed in seeds:
            parameters = flat_parameters(runs.bthcheck.weights(value, seed))
            followed.append(fused.follow(Run(longer, value, seed), parameters, orders[seed], rate))
    variables = {}
    for name, array in followed[0].items():
        table = np.stack([one[name] for one in followed]).reshape(len(levels), len(seeds), *array.shape)
        variables[name] = ((level, "seed", "step", "neuron")[: table.ndim], table)
    return xr.Dataset(variables, {level: levels, "seed": seeds})


def lagged(steps: xr.Dataset) -> xr.DataArray:
    """The update of step t + 1 divided by ε of step t, ‖Δb_1^{t+1}‖/(α ε_t), where φ divides by ε_{t+1}; (…, step)."""
    moved = steps.phi * steps.epsilon
    return moved.isel(step=slice(1, None)) / steps.epsilon.isel(step=slice(None, -1))


def averaged_first(steps: xr.Dataset, seeds: int) -> xr.DataArray:
    """φ of biases averaged over the first `seeds` before norms are taken, ‖mean Δb_1‖/(α mean ε); (level, step)."""
    some = steps.isel(seed=slice(seeds))
    norm = np.sqrt((some.gradient.mean("seed") ** 2).sum("neuron"))
    return norm / some.epsilon.mean("seed")


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
