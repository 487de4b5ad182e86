"""The results of an experiment as labelled arrays: how a Dataset is put together, and what it can do beyond xarray."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.experiments.definition import Experiment
from bthcheck.protocols import TaskLike, is_own, restored
from bthcheck.training.runs import RunResult, built, load_parameters, state_size
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
    shape = (len(levels), len(seeds))
    longest = max(len(result.parameters) for result in results.values())
    diverged = np.empty(shape, bool)
    measured = {name: np.empty((*shape, training.rows)) for name in STATISTICS}
    parameters = np.empty((*shape, longest), results[levels[0], seeds[0]].parameters.dtype)
    for i, j in np.ndindex(shape):  # one by one: no number is in memory more often than here and in its result
        place, result = (i, j), results[levels[i], seeds[j]]
        diverged[place] = result.diverged
        for name, array in measured.items():
            array[place] = result.statistics[name]
        parameters[place][: len(result.parameters)] = result.parameters
        parameters[place][len(result.parameters) :] = np.nan
    variables: dict[str, Any] = {
        name: ((level, "seed", "epoch"), measured[name], {"long_name": long_name, "units": units})
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
        parameters,
        {"long_name": "trained parameters, in the order of Network.parameters(); NaN beyond a smaller network's", "units": "1"},
    )
    coords = {
        level: (level, list(levels), {"long_name": level}),
        "seed": ("seed", list(seeds), {"long_name": "seed of points, weights and order: the block of every test"}),
        "epoch": ("epoch", epochs, {"long_name": "epochs completed", "units": "epoch"}),
        "diverged": ((level, "seed"), diverged, {"long_name": "the run diverged"}),
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
        """The experiment's full configuration.

        Raises
        ------
        ValueError
            If the Dataset has lost it, as where results with different attributes are put together.
        """
        text = self._dataset.attrs.get("experiment")
        if not isinstance(text, str):
            raise ValueError(
                "this Dataset has lost its attribute 'experiment', as where results of different experiments are put together"
            )
        return json.loads(text)

    @property
    def experiment(self) -> Experiment:
        """The experiment whose results these are, if this process has the classes of its task and network.

        A selection keeps it whole; results that were put together have the levels and the seeds of all of them.
        """
        experiment = Experiment.from_json(json.dumps(self.configuration))
        levels, seeds = self._values(experiment.vary), self._values("seed")
        if set(levels) <= set(experiment.levels) and set(seeds) <= set(experiment.seeds):
            return experiment
        return experiment.replace(levels=tuple(levels), seeds=tuple(seeds))

    def task(self, level: Any) -> TaskLike:
        """Return what was learned at a level."""
        return self.experiment.at(level).task

    @neutral()
    def weights(self, level: Any, seed: int) -> Any:
        """Return the trained network of one run in the type it was trained in: a `Network`, or one's own module.

        A module of one's own is in evaluation mode, with the buffers that it had after training.

        Raises
        ------
        KeyError
            If the Dataset holds no such level or seed.
        ValueError
            If the network is of a class that this process does not have: none is imported because a file names it.
        """
        import torch

        name = str(self._dataset.attrs["level"])
        parameters = self._dataset["parameters"]
        for dim, value in ((name, level), ("seed", seed)):
            held = self._values(dim)
            if value not in held:
                raise KeyError(f"the Dataset holds {dim} {', '.join(map(str, held))}, got {value!r}")
            if dim in parameters.dims:
                parameters = parameters.isel({dim: held.index(value)})
        vector = parameters.values
        fields, kind = self.configuration["network"], self.configuration.get("network_type", "")
        kind = kind[level] if isinstance(kind, dict) else kind
        fields = fields[level] if name == "network" else {**fields, name: level} if name in fields else fields
        described = restored(kind, fields, "build")
        network = (built(described, 0, 0).eval() if is_own(described) else described.build()).to(
            getattr(torch, str(vector.dtype))
        )
        longest = state_size(network)
        load_parameters(network, vector[:longest] if np.isnan(vector[longest:]).all() else vector)
        return network

    def _values(self, dim: str) -> list[Any]:
        """Return the levels or seeds of the Dataset, one where it was selected."""
        return np.atleast_1d(self._dataset[dim].values).tolist()
