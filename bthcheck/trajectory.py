"""Bias trajectories as labelled arrays: how a Dataset is put together, and what can be read off it."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from bthcheck.experiments import Experiment
from bthcheck.networks import Network, architecture
from bthcheck.tasks import Task
from bthcheck.training.runs import RunResult, load_parameters
from bthcheck.training.statistics import STATISTICS

THEOREM_1_ETA = 0.05
"""Probability with which the deviation of Theorem 1 may exceed its bound."""


def assemble(experiment: Experiment, results: Mapping[tuple[Any, int], RunResult], attrs: Mapping[str, Any]) -> xr.Dataset:
    """Put the results of all runs into one Dataset with dimensions (level name, "seed", "epoch").

    The coordinate `diverged` (level, seed) marks runs that stopped being finite; it follows every array derived from the
    Dataset, and their statistics are infinite from that epoch on, so that no mean can skip them.
    """
    level, levels, seeds = experiment.vary, experiment.levels, experiment.seeds
    setting = experiment.at(levels[0])
    training = setting.training
    ends = np.arange(1, training.rows + 1)
    epochs = ends if training.windows == 1 else ends / training.windows
    grid = [[results[lv, seed] for seed in seeds] for lv in levels]

    def stack(pick: Any) -> np.ndarray:
        return np.array([[pick(result) for result in row] for row in grid])

    longest = max(len(result.parameters) for result in results.values())
    variables: dict[str, Any] = {
        name: (
            (level, "seed", "epoch"),
            stack(lambda result, name=name: result.statistics[name]),
            {"long_name": long_name, "units": units},
        )
        for name, (long_name, units) in STATISTICS.items()
    }
    if level != "learning_rate":  # then it is a coordinate
        variables["learning_rate"] = (
            ("epoch",),
            np.array(training.learning_rates()),
            {"long_name": "learning rate α of the epoch", "units": "input² / loss"},
        )
    variables["parameters"] = (
        (level, "seed", "parameter"),
        stack(lambda result: np.pad(result.parameters, (0, longest - len(result.parameters)), constant_values=np.nan)),
        {"long_name": "trained parameters, in the order of Network.parameters(); NaN beyond a smaller network's", "units": "1"},
    )
    coords = {
        level: (level, list(levels), {"long_name": level}),
        "seed": ("seed", list(seeds), {"long_name": "seed of points, weights and order: the block of every test"}),
        "epoch": ("epoch", epochs, {"long_name": "epochs completed", "units": "epoch"}),
        "diverged": ((level, "seed"), stack(lambda result: result.diverged), {"long_name": "the run diverged"}),
    }
    return xr.Dataset(
        variables,
        coords,
        {
            "experiment": experiment.to_json(),
            "level": level,
            "steps_per_epoch": setting.window_steps * training.windows,
            "windows": training.windows,
            "lipschitz_every": training.lipschitz_every,
            **attrs,
        },
    )


def epochs_until(loss: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the first epoch after which `loss` is below `threshold`; one more than all epochs where it never is.

    Runs that never get there are censored at the same value, which ties them: a trend test then counts them as equal.
    """
    below = loss < threshold
    first = loss.epoch.where(below).min("epoch")
    result = first.fillna(loss.sizes["epoch"] + 1)
    result.attrs = {"long_name": f"epochs until the loss is below {threshold:g}", "units": "epoch"}
    return result


@xr.register_dataset_accessor("bthcheck")
class TrajectoryAccessor:
    """What a Dataset from `bthcheck.run` can do beyond xarray, as ``ds.bthcheck``."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def configuration(self) -> dict[str, Any]:
        """The experiment's full configuration."""
        return json.loads(self._dataset.attrs["experiment"])

    @property
    def experiment(self) -> Experiment:
        """The experiment whose results these are, if its task is one of this package's; a selection keeps it whole."""
        return Experiment.from_json(self._dataset.attrs["experiment"])

    def task(self, level: Any) -> Task:
        """Return what was learned at a level."""
        return self.experiment.at(level).task

    def weights(self, level: Any, seed: int) -> Network:
        """Return the trained network of one run as an ``nn.Module`` in the type it was trained in.

        Raises
        ------
        KeyError
            If the Dataset holds no such level or seed.
        """
        name = self._dataset.attrs["level"]
        vector = self._dataset["parameters"].sel({name: level, "seed": seed}).values
        fields = self.configuration["network"]
        fields = fields[level] if name == "network" else {**fields, name: level} if name in fields else fields
        network = architecture(fields).build().to(getattr(torch, str(vector.dtype)))
        load_parameters(network, vector[: sum(parameter.numel() for parameter in network.parameters())])
        return network


def first_singular_values(trace: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return σ_1 and σ_min of W_1 before every step of a trace, (step,) each; σ_min is that of min(n_1, n) values."""
    sigma = np.linalg.svd(trace.first_weight.values, compute_uv=False)
    return sigma[:, 0], sigma[:, -1]


class Chain(NamedTuple):
    """Quantities that ought not to increase from left to right, with what rounding may add to each comparison."""

    terms: tuple[np.ndarray, ...]
    tolerance: np.ndarray


def variance_chain(trace: xr.Dataset, biases: int) -> Chain:
    """Corollary 2 over every window of `biases` consecutive biases: Var ≥ (1/4m) Σ‖Δb_1‖² ≥ (1/4m) Σ(α ε λ/σ_1)².

    Terms are (lower, middle, variance), one a window. The first step is ‖u − v‖² ≤ 2‖u‖² + 2‖v‖² on deviations from the mean
    of m biases, the second Lemma 1. The printed Ω() form mixes units, so that only this chain can be tested.
    """
    sigma, _ = first_singular_values(trace)
    scale = trace.learning_rate.values * trace.epsilon.values
    moves = (scale * trace.phi.values) ** 2
    steep = (scale * trace.lipschitz.values / sigma) ** 2
    path = trace.bias.values
    windows = np.lib.stride_tricks.sliding_window_view(path, biases, axis=0)
    variance = windows.var(axis=-1).sum(axis=-1)
    count = len(variance)
    middle, lower = (
        np.lib.stride_tricks.sliding_window_view(values, biases - 1).sum(axis=-1)[:count] / (4 * biases)
        for values in (moves, steep)
    )
    # A stored bias errs by u‖b_1‖, a difference of two by twice that, its square by 2‖Δb_1‖ times as much.
    error = 4 * _unit(path) * np.abs(path).max() * np.sqrt(path.shape[1])
    tolerance = 2 * error * np.sqrt(variance + middle) + error**2 + biases * _unit(path) * (middle + variance)
    return Chain((lower, middle, variance), tolerance)


def distance_chain(trace: xr.Dataset) -> Chain:
    """Corollary 3 after every step: ‖b_1^τ − b_1^0‖ ≤ Σ α ε ‖g‖ ≤ Σ α ε λ/σ_min; the last needs n_1 ≤ n.

    Terms are (distance, path, upper), one a step; `upper` is infinite where σ_min is 0.
    """
    _, sigma = first_singular_values(trace)
    scale = trace.learning_rate.values * trace.epsilon.values
    path = trace.bias.values
    distance = np.linalg.norm(path[1:] - path[0], axis=1)
    moved = np.cumsum(scale * trace.phi.values)
    with np.errstate(divide="ignore"):
        upper = np.cumsum(scale * trace.lipschitz.values / sigma)
    steps = np.arange(1, len(moved) + 1)
    # Every stored bias adds u‖b_1‖, and a sum of k terms errs by k u.
    tolerance = steps * _unit(path) * (np.linalg.norm(path, axis=1).max() + 4 * moved)
    return Chain((distance, moved, upper), tolerance)


def deviation_scores(trace: xr.Dataset) -> tuple[float, float, float, float]:
    """Theorem 1 over the steps of one trace: (deviation, bound at η, largest R_t, standardised deviation) with η = 0.05.

    The deviation is \\|avg_t φ_t − avg_t avg_{x∈X}‖g_t(x)‖\\| and the bound sqrt(Σ R_t² ln(2/η)/2)/\\|T\\| with
    R_t = max_x‖g_t(x)‖. Under sampling with replacement φ_t − avg_x‖g_t(x)‖ are martingale differences of variance
    var_x‖g_t(x)‖, so that their sum over the root of the summed variances is nearly standard normal.
    """
    norms = trace.gradient_norm.values
    differences = trace.phi.values - norms.mean(axis=1)
    largest = norms.max(axis=1)
    bound = math.sqrt(float((largest**2).sum()) * math.log(2 / THEOREM_1_ETA) / 2) / len(differences)
    score = float(differences.sum() / math.sqrt(float(norms.var(axis=1).sum())))
    return abs(float(differences.mean())), bound, float(largest.max()), score


def _unit(array: np.ndarray) -> float:
    return float(np.finfo(array.dtype).eps) / 2
