"""What is trained: a task, levels to compare, a network, how it is trained, and the seeds it is repeated with."""

import dataclasses
import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from bthcheck.checks import distinct
from bthcheck.experiments.training import Training
from bthcheck.networks import MLP
from bthcheck.protocols import (
    ArchitectureLike,
    Sizes,
    TaskLike,
    check_architecture,
    check_task,
    declared,
    is_own,
    name_of,
    restored,
    sizes,
)

RESHAPING = (
    "epochs",
    "batch_size",
    "dtype",
    "decay",
    "loss_factor",
    "lipschitz_every",
    "test_every",
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

    task: TaskLike
    network: ArchitectureLike
    training: Training

    @property
    def sizes(self) -> Sizes:
        """Numbers of training points, test points and inputs."""
        return sizes(self.task)

    @property
    def window_steps(self) -> int:
        """Steps of a window, the last of them perhaps on fewer points than the others."""
        return -(-(self.sizes.train // self.training.windows) // self.training.batch_size)

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
    task : what is learned, one of `bthcheck.tasks` or of your own, see `bthcheck.protocols.TaskLike`
    vary : the field of `task`, `network` or `training` that the levels set, none of `RESHAPING`, or "network" itself; it names
        the dimension of the results
    levels : its values, in order of complexity
    network : who learns, one of `bthcheck.networks` or of your own, see `bthcheck.protocols.ArchitectureLike`; to vary it, a
        dict of level → architecture
    training : how
    seeds : whole numbers from 0

    Raises
    ------
    ValueError
        If levels or seeds are empty or repeat, `vary` names no field, or a level is not a value that field may have.
    TypeError
        If the task or the network is no frozen dataclass of its kind.
    """

    name: str
    task: TaskLike
    vary: str
    levels: tuple[Any, ...]
    network: ArchitectureLike | dict[str, ArchitectureLike] = field(default_factory=MLP)
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = field(default=tuple(range(10)))

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", distinct("levels", _tuple("levels", self.levels)))
        object.__setattr__(self, "seeds", distinct("seeds", [_seed(s) for s in _tuple("seeds", self.seeds)]))
        check_task(self.task)
        for network in self.network.values() if isinstance(self.network, dict) else [self.network]:
            check_architecture(network)
        self._varied_part()
        settings = [self.at(level) for level in self.levels]
        for role in ("network", "task"):
            same_inputs(role, self.levels, [getattr(getattr(setting, role), "inputs", None) for setting in settings])
        for setting in settings:
            said = declared(setting.task)
            if said["train"] is not None and said["train"] % setting.training.windows:
                raise ValueError(f"windows must divide the {said['train']} training points, got {setting.training.windows}")
            if said["inputs"] not in (None, setting.network.inputs):
                raise ValueError(f"the network takes {setting.network.inputs} inputs but the task has {said['inputs']}")
            if setting.training.dropout and type(setting.network) is not MLP:
                raise ValueError(f"dropout is for fully connected networks (MLP), got {type(setting.network).__name__}")
            pictures = [part.shape for part in (setting.network, setting.task) if hasattr(part, "shape")]
            if len(pictures) == 2 and pictures[0] != pictures[1]:
                raise ValueError(f"the network takes images of shape {pictures[0]} but the task has {pictures[1]}")
            needed = getattr(setting.task, "output", None)
            if needed not in (None, setting.network.output):
                raise ValueError(
                    f"{type(setting.task).__name__} needs a network with output={needed!r}, got {setting.network.output!r}"
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
        fields = {**dataclasses.asdict(self), "training": self.training.described(), "task_type": name_of(self.task)}
        networks = self.network if isinstance(self.network, dict) else {"": self.network}
        if any(map(is_own, networks.values())):
            names = {key: name_of(network) for key, network in networks.items()}
            fields["network_type"] = names if isinstance(self.network, dict) else names[""]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the experiment that `to_json` described.

        Raises
        ------
        ValueError
            If its task or network is neither one of this package's nor of a class that this process has.
        """
        fields = json.loads(text)
        network, names = fields.pop("network"), fields.pop("network_type", "")
        if isinstance(names, str) and (names or "widths" in network or "shape" in network):
            whole: Any = restored(names, network, "build")
        else:
            whole = {key: restored(names[key] if names else "", part, "build") for key, part in network.items()}
        return cls(
            task=restored(fields.pop("task_type"), fields.pop("task"), "sample"),
            network=whole,
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

    def _network_of(self, level: Any) -> ArchitectureLike:
        assert isinstance(self.network, dict)
        if level not in self.network:
            raise ValueError(f"levels must be among the networks {', '.join(map(repr, self.network))}, got {level!r}")
        return self.network[level]


def same_inputs(role: str, levels: Sequence[Any], widths: Sequence[int | None]) -> None:
    """Raise ``ValueError`` if levels change the number of inputs of what plays a role; None is not known."""
    for level, width in zip(levels, widths, strict=True):
        if None not in (width, widths[0]) and width != widths[0]:
            raise ValueError(
                f"levels must not change the input size, got a {role} of {widths[0]} inputs at {levels[0]!r}"
                f" and of {width} at {level!r}; use an experiment each"
            )


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
