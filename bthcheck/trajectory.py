"""Bias trajectories as labelled arrays: how a Dataset is put together, and what can be read off it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bthcheck.experiments import Experiment
from bthcheck.networks import MLP, Network
from bthcheck.training.runs import RunResult, load_parameters
from bthcheck.training.statistics import STATISTICS

def assemble(
    experiment: Experiment, results: Mapping[tuple[Any, int], RunResult], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Put the results of all runs into one Dataset with dimensions (level name, "seed", "epoch").

    The coordinate `diverged` (level, seed) marks runs that stopped being finite; it follows every array derived from the
    Dataset, and their statistics are infinite from that epoch on, so that no mean can skip them.
    """
    level, levels, seeds = experiment.vary, experiment.levels, experiment.seeds
    epochs = experiment.training.epochs
    grid = [[results[lv, seed] for seed in seeds] for lv in levels]

    def stack(pick: Any) -> np.ndarray:
        return np.array([[pick(result) for result in row] for row in grid])

    variables: dict[str, Any] = {
        name: (
            (level, "seed", "epoch"),
            stack(lambda result, name=name: result.statistics[name]),
            {"long_name": long_name, "units": units},
        )
        for name, (long_name, units) in STATISTICS.items()
    }
    rates = np.array([experiment.at(lv).training.learning_rates() for lv in levels])
    variables["learning_rate"] = (
        (level, "epoch"),
        rates,
        {"long_name": "learning rate α of the epoch", "units": "input² / loss"},
    )
    variables["parameters"] = (
        (level, "seed", "parameter"),
        stack(lambda result: result.parameters),
        {"long_name": "trained parameters, in the order of Network.parameters()", "units": "1"},
    )
    coords = {
        level: (level, list(levels), {"long_name": level}),
        "seed": ("seed", list(seeds), {"long_name": "seed of points, weights and order: the block of every test"}),
        "epoch": ("epoch", np.arange(1, epochs + 1), {"long_name": "epochs completed", "units": "epoch"}),
        "diverged": ((level, "seed"), stack(lambda result: result.diverged), {"long_name": "the run diverged"}),
    }
    training = experiment.training
    return xr.Dataset(
        variables,
        coords,
        {
            "experiment": experiment.to_json(),
            "level": level,
            "steps_per_epoch": -(-experiment.task.train // training.batch_size),
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

    def weights(self, level: Any, seed: int) -> Network:
        """Return the trained network of one run as an ``nn.Module`` in the type it was trained in.

        Raises
        ------
        KeyError
            If the Dataset holds no such level or seed.
        """
        configuration = self.configuration
        name = self._dataset.attrs["level"]
        vector = self._dataset["parameters"].sel({name: level, "seed": seed}).values
        architecture = dict(configuration["network"])
        if name in architecture:
            architecture[name] = level
        architecture["widths"] = tuple(architecture["widths"])
        network = MLP(**architecture).build().to(_torch_dtype(vector))
        load_parameters(network, vector)
        return network


def _torch_dtype(vector: np.ndarray) -> Any:
    import torch

    return getattr(torch, str(vector.dtype))
