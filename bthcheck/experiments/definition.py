"""What is trained: a task, levels to compare, a network, how it is trained, and the seeds it is repeated with."""

import dataclasses
import json
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from bthcheck.checks import distinct
from bthcheck.experiments.training import Training
from bthcheck.networks import MLP, Architecture, architecture
from bthcheck.tasks import Task, task_of

RESHAPING = (
    "epochs",
    "batch_size",
    "dtype",
    "decay",
    "loss_factor",
    "lipschitz_every",
    "windows",
    "train",
    "test",
    "inputs",
    "widths",
    "shape",
    "dataset",
    "classes",
    "source",
)
"""Fields that levels may not set: they change the shape or meaning of the result arrays."""


class Setting(NamedTuple):
    """What one run is made of, apart from its seed."""

    task: Task
    network: Architecture
    training: Training

    @property
    def window_steps(self) -> int:
        """Steps of a window, the last of them perhaps on fewer points than the others."""
        return -(-(self.task.train // self.training.windows) // self.training.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.training.rows * self.window_steps


@dataclass(frozen=True)
class Experiment:
    """Levels to compare, each trained with every seed.

    One seed gives the same points, initial weights and sampling order at every level, so that levels are compared within
    seeds (blocks).

    Parameters
    ----------
    name : a word for reports
    task : what is learned
    vary : the field of `task`, `network` or `training` that the levels set, none of `RESHAPING`, or "network" itself; it names
        the dimension of the results
    levels : its values, in order of complexity
    network, training : who learns and how; to vary the network, `network` is a dict of level → architecture
    seeds : whole numbers from 0

    Raises
    ------
    ValueError
        If levels or seeds are empty or repeat, `vary` names no field, or a level is not a value that field may have.
    """

    name: str
    task: Task
    vary: str
    levels: tuple[Any, ...]
    network: Architecture | dict[str, Architecture] = field(default_factory=MLP)
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = field(default=tuple(range(10)))

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", distinct("levels", _tuple("levels", self.levels)))
        object.__setattr__(self, "seeds", distinct("seeds", [_seed(s) for s in _tuple("seeds", self.seeds)]))
        self._varied_part()
        for level in self.levels:
            setting = self.at(level)
            if setting.task.train % setting.training.windows:
                raise ValueError(
                    f"windows must divide the {setting.task.train} training points, got {setting.training.windows}"
                )
            if setting.network.inputs != setting.task.inputs:
                raise ValueError(f"the network takes {setting.network.inputs} inputs but the task has {setting.task.inputs}")
            if setting.training.dropout and not isinstance(setting.network, MLP):
                raise ValueError(f"dropout is for fully connected networks (MLP), got {type(setting.network).__name__}")
            pictures = [part.shape for part in (setting.network, setting.task) if hasattr(part, "shape")]
            if len(pictures) == 2 and pictures[0] != pictures[1]:
                raise ValueError(f"the network takes images of shape {pictures[0]} but the task has {pictures[1]}")
            if setting.network.output != setting.task.output:
                raise ValueError(
                    f"{type(setting.task).__name__} needs a network with output={setting.task.output!r},"
                    f" got {setting.network.output!r}"
                )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; fields of `training` may be named directly, e.g. ``epochs=200``.

        Raises
        ------
        ValueError
            If a name is a field of neither `Experiment` nor `Training`.
        """
        own = {f.name for f in dataclasses.fields(self)}
        nested = {f.name for f in dataclasses.fields(self.training)}
        unknown = sorted(changes.keys() - own - nested)
        if unknown:
            raise ValueError(f"an experiment has no field {', '.join(unknown)}; it has {', '.join(sorted(own | nested))}")
        training = {name: changes.pop(name) for name in nested & changes.keys()}
        if training:
            changes["training"] = dataclasses.replace(changes.get("training", self.training), **training)
        return dataclasses.replace(self, **changes)

    def at(self, level: Any) -> Setting:
        """Return task, network and training with `vary` set to `level`."""
        part = self._varied_part()
        if part == "whole network":
            return Setting(self.task, self._network_of(level), self.training)
        assert not isinstance(self.network, dict)  # for mypy; _varied_part has seen to it
        setting = Setting(self.task, self.network, self.training)
        return setting._replace(**{part: dataclasses.replace(getattr(self, part), **{self.vary: level})})

    def to_json(self) -> str:
        """Return the full configuration as JSON."""
        fields = {**dataclasses.asdict(self), "training": self.training.described()}
        return json.dumps({**fields, "task_type": type(self.task).__name__}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the experiment that `to_json` described.

        Raises
        ------
        ValueError
            If its task is not one of this package's.
        """
        fields = json.loads(text)
        network = fields.pop("network")
        one = "widths" in network or "shape" in network
        return cls(
            task=task_of(fields.pop("task_type"), fields.pop("task")),
            network=architecture(network) if one else {name: architecture(part) for name, part in network.items()},
            training=Training(**fields.pop("training")),
            **fields,
        )

    def _varied_part(self) -> str:
        if self.vary in RESHAPING:
            raise ValueError(f"levels cannot set {self.vary!r}, which changes the shape of the results; use an experiment each")
        if (self.vary == "network") != isinstance(self.network, dict):
            raise ValueError("to vary the network, name vary='network' and give network as a dict of level → architecture")
        if self.vary == "network":
            return "whole network"
        for part in ("task", "network", "training"):
            if self.vary in {f.name for f in dataclasses.fields(getattr(self, part))}:
                return part
        raise ValueError(f"vary must name a field of task, network or training, got {self.vary!r}")

    def _network_of(self, level: Any) -> Architecture:
        assert isinstance(self.network, dict)
        if level not in self.network:
            raise ValueError(f"levels must be among the networks {', '.join(map(repr, self.network))}, got {level!r}")
        return self.network[level]


def _tuple(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, (str, int, float)):
        raise ValueError(f"{name} must be a sequence of values, got {values!r}")
    return tuple(values)


def _seed(value: object) -> int:
    try:
        seed = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        seed = -1
    if seed < 0 or isinstance(value, bool):
        raise ValueError(f"seeds must be whole numbers from 0, got {value!r}")
    return seed
