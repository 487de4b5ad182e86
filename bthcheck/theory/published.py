"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each function computes one quantity both ways. What is known of the code is in docs/published-estimators.md; none of it is here.
"""

import warnings

import numpy as np
import xarray as xr
from scipy.optimize import OptimizeWarning, linprog
from torch import Tensor

from bthcheck.ambient import neutral
from bthcheck.geometry import regions
from bthcheck.geometry.lipschitz import local_lipschitz
from bthcheck.geometry.pursuit import NONZERO, BasisPursuit
from bthcheck.geometry.regions import Status
from bthcheck.networks import Network
from bthcheck.training import fused
from bthcheck.training.runs import Run, flat_parameters


@neutral()
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
        If the runs were trained in minibatches or windows or with Dropout.
    """
    experiment, level = runs.bthcheck.experiment, runs.attrs["level"]
    training = experiment.training
    if (training.batch_size, training.windows, training.dropout) != (1, 1, 0):
        raise ValueError(
            "steps are followed of runs with batch_size=1, windows=1 and dropout=0,"
            f" got {training.batch_size}, {training.windows} and {training.dropout:g}"
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


@neutral()
def lagged(steps: xr.Dataset) -> xr.DataArray:
    """The update of step t + 1 divided by ε of step t, ‖Δb_1^{t+1}‖/(α ε_t), where φ divides by ε_{t+1}; (…, step)."""
    moved = steps.phi * steps.epsilon
    return moved.isel(step=slice(1, None)) / steps.epsilon.isel(step=slice(None, -1))


@neutral()
def averaged_first(steps: xr.Dataset, seeds: int) -> xr.DataArray:
    """φ of biases averaged over the first `seeds` before norms are taken, ‖mean Δb_1‖/(α mean ε); (level, step)."""
    some = steps.isel(seed=slice(seeds))
    norm = np.sqrt((some.gradient.mean("seed") ** 2).sum("neuron"))
    return norm / some.epsilon.mean("seed")


@neutral()
def last_twice(steps: xr.Dataset) -> xr.DataArray:
    """Σφ with the last step's φ counted twice, (…)."""
    return steps.phi.sum("step") + steps.phi.isel(step=-1, drop=True)


@neutral()
def halved(published: xr.DataArray) -> xr.DataArray:
    """The same as `published_length`, but of a loss that is halved, of which the published ε knows nothing.

    Half the loss at twice the rate α makes the same steps. Its ε by definition is half as large too, which leaves φ as it is;
    |1 − y − f| stays, so that ‖Δb_1‖/(2α |1 − y − f|) is half of what it is for the loss as it stands.
    """
    return published / 2


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


@neutral()
def unchecked(network: Network, x_train: Tensor, x: Tensor, programs: int | None = None) -> xr.Dataset:
    """Theorem 2 at points as by programs whose answers are not looked at, beside `bthcheck.geometry.regions.pattern_bounds`.

    Parameters
    ----------
    network : fully connected, without a sigmoid
    x_train : (m, n) training points
    x : (r, n) points, one in each region
    programs : how many are solved by an interior-point method, in the order of `x`; all if None

    Returns
    -------
    xarray.Dataset
        Over "region": `lipschitz`, λ; `status`, `bound` and `nonzeros` as in `Bounds`. Where no bound exists,
        `drawn` is the cost of the cheapest of the combinations nearest to s(x): what a solver is left with that makes the
        violation small and then stops; else NaN. Where there is one without a training point in the region, `counted` and
        `above` are the coefficients that are not 0 and those beyond the tolerance in the solution of an interior-point method,
        which has a coefficient a training point and stops inside; else 0.

    Raises
    ------
    ValueError
        As `pattern_bounds`, and if the network has a sigmoid.
    """
    if network.sigmoid:
        raise ValueError("published bounds are computed for networks without a sigmoid")
    widths = regions.hidden_widths(network)
    patterns = regions.activation_patterns(network, x)
    bounds = regions.pattern_bounds(network, x_train, patterns)
    slopes = local_lipschitz(network, x_train).numpy()
    columns = regions.kronecker(regions.activation_patterns(network, x_train), widths).T
    targets = regions.kronecker(patterns, widths).T

    distinct, which = np.unique(columns, axis=1, return_inverse=True)
    lowest = np.full(distinct.shape[1], np.inf)
    np.minimum.at(lowest, which, slopes)
    hopeless = np.flatnonzero(bounds.status == Status.INFEASIBLE)
    nearest = distinct @ np.linalg.lstsq(distinct, targets[:, hopeless], rcond=None)[0]
    drawn = np.full(len(patterns), np.nan)
    drawn[hopeless] = BasisPursuit(distinct, lowest).solve(nearest).value

    counted, above = np.zeros((2, len(patterns)), int)
    for region in np.flatnonzero(bounds.status == Status.BOUNDED)[:programs]:
        k = _interior(columns, slopes, targets[:, region])
        counted[region], above[region] = np.count_nonzero(k), np.count_nonzero(np.abs(k) > NONZERO)
    variables = {
        "lipschitz": local_lipschitz(network, x).numpy(),
        "status": bounds.status,
        "bound": bounds.bound,
        "nonzeros": bounds.nonzeros,
        "drawn": drawn,
        "counted": counted,
        "above": above,
    }
    return xr.Dataset({name: ("region", values) for name, values in variables.items()})


def _interior(columns: np.ndarray, weights: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the coefficients that HiGHS's interior-point method ends with, not moved to a vertex."""
    options = {"run_crossover": "off", "presolve": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # SciPy hands options on that it does not know
        result = linprog(
            np.tile(weights / weights.max(), 2), A_eq=np.hstack([columns, -columns]), b_eq=target, method="highs-ipm",
            options=options,
        )  # fmt: skip
    return np.zeros(len(weights)) if result.x is None else np.subtract(*result.x.reshape(2, -1))
