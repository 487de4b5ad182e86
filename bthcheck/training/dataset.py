"""The results of an experiment as labelled arrays: how a Dataset is put together, and what it can do beyond xarray."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.experiments.definition import Experiment
from bthcheck.networks import Network, architecture
from bthcheck.tasks import Task
from bthcheck.training.runs import RunResult, load_parameters
from bthcheck.training.statistics import STATISTICS


@neutral()
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

    @neutral()
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
