"""What an architecture and a task of one's own must have, and how one that a file speaks of is found again.

Any frozen dataclass will do, its fields numbers, words, None or tuples of them, that has what `ArchitectureLike` or
`TaskLike` says.
"""

import dataclasses
import functools
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive_int
from bthcheck.networks import OUTPUTS, architecture
from bthcheck.tasks import CorruptedImages, Data, task_of

if TYPE_CHECKING:
    import torch
    from torch import nn
else:
    torch = faces.Later("torch")


class ArchitectureLike(Protocol):
    """A description of a network, frozen and a dataclass; `bthcheck.networks.MLP` is one.

    `first` may be a field or attribute, too: the name of the layer whose bias is followed, as in ``named_modules``.
    """

    @property
    def inputs(self) -> int:
        """The input dimension n: the module is given points (m, n)."""

    @property
    def output(self) -> str:
        """ "identity" where the module returns f, "sigmoid" where it returns the logit s and f is σ(s); (m,) or (m, 1)."""

    def build(self, seed: int) -> "nn.Module":
        """Return the network with initial weights drawn from the seed alone."""


class TaskLike(Protocol):
    """What is learned, frozen and a dataclass; `bthcheck.tasks.Sinusoid` is one.

    It may say of itself in attributes how many points and inputs it has (`train`, `test`, `inputs`) and which `output` a
    network for it must have; mistakes then show when the experiment is made, not when it is run.
    """

    def sample(self, generator: np.random.Generator) -> Data:
        """Draw the points and targets: (m, n), (m,), (k, n), (k,), floating-point and always of the same sizes."""


class Sizes(NamedTuple):
    """Numbers of training points, test points and inputs."""

    train: int
    test: int
    inputs: int


_OURS = ("bthcheck.networks", "bthcheck.tasks")
_known: dict[str, type] = {}


def is_own(part: object) -> bool:
    """Whether an architecture or a task is none of this package's."""
    return type(part).__module__ not in _OURS


def name_of(part: object) -> str:
    """Return the name of the type of an architecture or task, with its module if it is none of this package's."""
    kind = type(part)
    return f"{kind.__module__}:{kind.__qualname__}" if is_own(part) else kind.__name__


def check_architecture(value: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless `value` is what `ArchitectureLike` says."""
    _check_description("network", value, "build", "inputs, output and build(seed)", ("inputs", "output"))
    if is_own(value):
        positive_int(f"inputs of {type(value).__name__}", value.inputs)
        one_of(f"output of {type(value).__name__}", value.output, OUTPUTS)
        first = getattr(value, "first", None)
        if first is not None and not isinstance(first, str):
            raise ValueError(f"first of {type(value).__name__} must be the name of a layer, or None, got {first!r}")


def check_task(value: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless `value` is what `TaskLike` says."""
    _check_description("task", value, "sample", "sample(generator)", ())
    if is_own(value):
        for name, count in declared(value).items():
            if count is not None:
                positive_int(f"{name} of {type(value).__name__}", count)
        if getattr(value, "output", None) is not None:
            one_of(f"output of {type(value).__name__}", value.output, OUTPUTS)


def _check_description(role: str, value: Any, method: str, wanted: str, attributes: tuple[str, ...]) -> None:
    kind = type(value)
    frozen = dataclasses.is_dataclass(value) and not isinstance(value, type) and kind.__dataclass_params__.frozen
    if not frozen or not callable(getattr(value, method, None)) or not all(hasattr(value, name) for name in attributes):
        got = value.__name__ if isinstance(value, type) else kind.__name__
        raise TypeError(
            f"the {role} must be a frozen dataclass with {wanted}, got {got}{' itself' if got != kind.__name__ else ''}"
        )
    if is_own(value):
        for field in dataclasses.fields(value):
            if not _is_plain(getattr(value, field.name)):
                raise ValueError(
                    f"fields of {kind.__name__} must be numbers, words, None or tuples of them, by which runs are told apart,"
                    f" got {field.name}={getattr(value, field.name)!r}"
                )
        _known[name_of(value)] = kind


def _is_plain(value: object) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple) else value is None or isinstance(value, (int, float, str))


def restored(name: str, fields: Mapping[str, Any], method: str) -> Any:
    """Return the architecture or task that ``dataclasses.asdict`` made `fields` of, possibly by way of JSON.

    A name with a module is looked for among the classes that this process has; nothing is ever imported for it, since a file
    could name any module.

    Parameters
    ----------
    name : what `name_of` gave
    method : "build" for an architecture, "sample" for a task

    Raises
    ------
    ValueError
        If there is no such class in this process, or it has other fields by now.
    """
    if ":" not in name:
        return architecture(dict(fields)) if method == "build" else task_of(name, dict(fields))
    kind = _known.get(name) or _imported(name)
    if kind is None or not dataclasses.is_dataclass(kind) or not callable(getattr(kind, method, None)):
        raise ValueError(f"{name} is no class of this process; import its module first, which no file can ask for")
    given = {
        field.name: _tuples(fields[field.name]) for field in dataclasses.fields(kind) if field.init and field.name in fields
    }
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} has changed since: {error}") from error


def _imported(name: str) -> type | None:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):  # not by getattr, which may run code
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) else None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def fields_of(part: Any) -> dict[str, Any]:
    """Return the fields of an architecture or a task by which runs are told apart: of a file what is in it, not where it is."""
    fields = dataclasses.asdict(part)
    if isinstance(part, CorruptedImages) and part.content is not None:
        fields["source"] = part.content
    return fields


def declared(task: Any) -> dict[str, int | None]:
    """Return what a task says of its sizes itself; None for what it does not say."""
    return {name: getattr(task, name, None) for name in Sizes._fields}


@neutral()
def sizes(task: Any) -> Sizes:
    """Return the sizes of a task's data: as it says them itself or, if it does not, those of a sample."""
    found = declared(task)
    return _sampled(task) if None in found.values() else Sizes(**found)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=64)
def _sampled(task: Any) -> Sizes:
    data = drawn(task, np.random.default_rng(0))
    return Sizes(len(data.x_train), len(data.x_test), data.x_train.shape[1])


def drawn(task: Any, generator: np.random.Generator) -> Data:
    """Draw the data of a task of one's own and check them.

    Raises
    ------
    ValueError
        If drawing fails, sizes or types do not fit together or are not what the task says itself, or a number is not finite.
    """
    who = type(task).__name__
    try:
        data = task.sample(generator)
    except Exception as error:
        raise ValueError(f"{who}.sample failed with {type(error).__name__}: {error}") from error
    if not isinstance(data, tuple) or len(data) != 4 or not all(isinstance(part, torch.Tensor) for part in data):
        raise ValueError(
            f"{who}.sample must return Data(x_train, y_train, x_test, y_test) of tensors, got a {type(data).__name__}"
        )
    data = Data(*(part.detach() for part in data))
    for split in ("train", "test"):
        x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
            shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
            raise ValueError(f"{who}.sample must return x_{split} (m, n) and y_{split} (m,), got shapes {shapes}")
        for name, part in ((f"x_{split}", x), (f"y_{split}", y)):
            if not part.is_floating_point():
                raise ValueError(f"{who}.sample must return floating-point tensors, got {name} of {part.dtype}")
            bad = int((~part.isfinite()).sum())
            if bad:
                raise ValueError(f"{who}.sample must return finite numbers, got {bad} in {name} that are not")
    found = Sizes(len(data.x_train), len(data.x_test), data.x_train.shape[1])
    if data.x_test.shape[1] != found.inputs:
        raise ValueError(
            f"{who}.sample must return as many inputs to test as to train, got {data.x_test.shape[1]} and {found.inputs}"
        )
    for name, said in declared(task).items():
        if said is not None and said != getattr(found, name):
            raise ValueError(f"{who} says {name}={said}, but its sample has {getattr(found, name)}")
    return data


def check_labels(who: str, data: Data) -> None:
    """Raise ``ValueError`` unless all targets are 0 or 1, as a sigmoid output needs them."""
    for name in ("y_train", "y_test"):
        y = getattr(data, name)
        odd = y[(y != 0) & (y != 1)]
        if len(odd):
            raise ValueError(
                f"labels of {who} must be 0 or 1 for a network with output='sigmoid', got {odd[0].item():g} in {name}"
            )


def same_data(one: Data, other: Data) -> bool:
    """Whether two draws are the same to the bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
