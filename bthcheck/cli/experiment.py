"""From flags to an experiment."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from bthcheck.checks import one_of, seeds
from bthcheck.cli.flags import DATASETS, FLAGS, flag_of_field
from bthcheck.datasets import archives
from bthcheck.datasets.embedded import SUBSETS
from bthcheck.experiments import CORRUPTED_CIFAR, MNIST_ARCHITECTURES, RESHAPING, SINUSOIDS, Experiment
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages

Values = Mapping[str, tuple[Any, ...]]
"""Key of a flag → its values, none if it was not given."""

_BASES = {
    "sinusoids": SINUSOIDS.replace(levels=(0.5,)),
    "cifar10": CORRUPTED_CIFAR.replace(task=CorruptedImages(train=1000, test=500), levels=(0.0,)),
    "mnist": MNIST_ARCHITECTURES.replace(
        name="corrupted MNIST", vary="corruption", levels=(0.0,), windows=1, network=CNN((1, 28, 28))
    ),
}
"""Data set → what is trained if no flag says otherwise."""
_HIDDEN = {"sinusoids": (32, 32, 32), "cifar10": (512,), "mnist": (512,)}  # behind the first layer


def experiment_of(values: Values, *, cnn: bool = False, dataset: str | None = None) -> Experiment:
    """Return the experiment that flags describe.

    Raises
    ------
    ValueError
        If they contradict each other, or one has a value that it cannot have; the sentence names flags.
    """
    try:
        return _experiment(values, cnn, _dataset(values, cnn, dataset))
    except ValueError as error:
        raise ValueError(in_flags(str(error))) from error


def in_flags(sentence: str) -> str:
    """Return a sentence on fields of an experiment as one on the flags that set them."""
    fields = "|".join(sorted({flag.field for flag in FLAGS} - {"network"}, key=len, reverse=True))
    sentence = re.sub(rf"^({fields})\b(?! of)", lambda found: flag_of_field(found[1]), sentence)
    return re.sub(rf"\b({fields})='([\w-]+)'", lambda found: f"{flag_of_field(found[1])} {found[2]}", sentence)


def _dataset(values: Values, cnn: bool, dataset: str | None) -> str:
    """Return what is learned: what is named, or what the flags have a meaning for."""
    if dataset is not None:
        return one_of("--dataset", dataset, DATASETS)
    images = cnn or any(values.get(key) for key in ("corruption", "classes", "source", "data_file"))
    return "cifar10" if images else "sinusoids"


def _experiment(values: Values, cnn: bool, dataset: str) -> Experiment:
    base = _BASES[dataset]
    if values.get("seeds") and values.get("repeats"):
        raise ValueError("--seeds and --repeats say the same: give one of them")
    varied = [flag for flag in FLAGS if len(values.get(flag.key, ())) > 1 and flag.key not in ("classes", "seeds")]
    own: Any = base.task
    task = dataclasses.replace(own, **_fields("task", values, base.task, dataset), **_images(values, dataset))
    networks = _networks(values, cnn, dataset, task)
    names = [flag.name for flag in varied] + (["--cnn"] if len(networks) > 1 and not values.get("mlp", ("",))[1:] else [])
    if len(names) > 1:
        raise ValueError(f"the levels of an experiment are of one flag, got several values of {' and '.join(names)}")
    for flag in varied:
        if flag.field in RESHAPING or (flag.part == "" and flag.field != "network"):
            raise ValueError(f"{flag.name} must be one value for all levels, got {', '.join(map(str, values[flag.key]))}")
    training = dataclasses.replace(base.training, **_fields("training", values, base.training, dataset), **_decay(values))
    if len(networks) > 1:
        vary, levels = "network", tuple(networks)
    elif varied:
        vary, levels = varied[0].field, values[varied[0].key]
    else:
        vary, levels = base.vary, (getattr(task, base.vary),)
    return Experiment(
        name=base.name,
        task=task,
        vary=vary,
        levels=levels,
        network=networks if len(networks) > 1 else next(iter(networks.values())),
        training=training,
        seeds=_seeds(values),
    )


def _fields(part: str, values: Values, owner: Any, dataset: str) -> dict[str, Any]:
    """Return the fields of the task or the training that flags set, the first value of each."""
    given = {flag: values[flag.key][0] for flag in FLAGS if flag.part == part and values.get(flag.key)}
    known = {field.name for field in dataclasses.fields(owner)}
    for flag in given:
        if flag.field not in known:
            others = [other for other, base in _BASES.items() if hasattr(base.task, flag.field)]
            raise ValueError(f"{flag.name} has no meaning for --dataset {dataset}, only for {' and '.join(others)}")
    return {flag.field: value for flag, value in given.items()}


def _images(values: Values, dataset: str) -> dict[str, Any]:
    """Return classes and source of images: the full data set where the subset in the package does not have enough."""
    if dataset not in SUBSETS:
        for key in ("classes", "data_file"):
            if values.get(key):
                raise ValueError(f"--{key.replace('_', '-')} has no meaning for --dataset {dataset}, only for images")
        return {}
    subset = SUBSETS[dataset]
    classes = values.get("classes") or subset.classes
    if len(classes) != 2:
        raise ValueError(f"--classes must be two classes, got {', '.join(classes)}")
    if values.get("data_file"):
        if values.get("source"):
            raise ValueError("--source and --data-file both say where images are from: give one of them")
        held = archives.open_archive(values["data_file"][0]).classes
        both = held if held is not None and len(held) == 2 and not values.get("classes") else classes
        return {"source": values["data_file"][0], "classes": tuple(both)}
    if values.get("source"):
        return {"classes": tuple(classes)}
    base = _BASES[dataset].task
    train, test = (values.get(key) or (getattr(base, field),) for key, field in (("samples", "train"), ("test", "test")))
    enough = train[0] <= 2 * subset.train and test[0] <= 2 * subset.test and set(classes) == set(subset.classes)
    return {"classes": tuple(classes), "source": "embedded" if enough else "full"}


def _decay(values: Values) -> dict[str, Any]:
    """Return the factor from one epoch to the next: the authors' number is the epochs in which the rate falls tenfold."""
    if not values.get("decay"):
        return {}
    epochs = values["decay"][0]
    if not 0 <= epochs < float("inf"):
        raise ValueError(f"--decay must be a number of epochs from 0, got {epochs:g}")
    return {"decay": 0.1 ** (1 / epochs) if epochs else 1.0}


def _networks(values: Values, cnn: bool, dataset: str, task: Any) -> dict[str, Any]:
    """Return the networks that flags name, by the names of their levels; the data set's own if none does."""
    given = {key: values[key] for key in ("channels", "hidden") if values.get(key)}
    if given and not (cnn or (dataset != "sinusoids" and not values.get("mlp"))):
        raise ValueError(f"--{next(iter(given))} is for --cnn, which was not given")
    if cnn and not isinstance(task, CorruptedImages):
        raise ValueError(f"--cnn is for images, --dataset {' or '.join(SUBSETS)}, got {dataset}")
    multilayer = values.get("mlp") or (() if isinstance(task, CorruptedImages) else ("",))
    first = values.get("first_layer") or ("identity",)
    if values.get("first_layer") and not multilayer:
        raise ValueError("--first-layer is for --mlp, which was not given")
    networks: dict[str, Any] = {}
    if cnn or not multilayer:
        fields: dict[str, Any] = {"channels": _widths("--channels", given["channels"][0])} if "channels" in given else {}
        fields |= {"hidden": given["hidden"][0]} if "hidden" in given else {}
        networks["CNN"] = CNN(task.shape, **fields)
    for text in multilayer:
        widths = _widths("--mlp", text) if text else (task.inputs, task.inputs, *_HIDDEN[dataset], 1)
        name = "-".join(map(str, widths)) if len(multilayer) > 1 else "MLP"
        if name in networks:
            raise ValueError(f"levels must be distinct, got --mlp {name} more than once")
        networks[name] = MLP(widths, first[0], output=task.output)
    return networks


def _widths(name: str, text: str) -> tuple[int, ...]:
    example = "10-10-32-1" if name == "--mlp" else "8-16"
    if not re.fullmatch(r"\d+(-\d+)+", text, re.ASCII):
        raise ValueError(f"{name} must be widths such as {example}, got {text!r}")
    return tuple(map(int, text.split("-")))


def _seeds(values: Values) -> tuple[int, ...]:
    if values.get("repeats"):
        repeats = values["repeats"]
        if len(repeats) > 1 or repeats[0] < 1:
            raise ValueError(f"--repeats must be one whole number of at least 1, got {', '.join(map(str, repeats))}")
        return tuple(range(repeats[0]))
    return seeds("--seeds", ",".join(values["seeds"])) if values.get("seeds") else (0,)
