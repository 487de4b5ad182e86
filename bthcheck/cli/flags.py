"""The flags of ``bthcheck train`` that say what is trained: names that users of the authors' command recognise."""

from dataclasses import dataclass
from typing import Any

import click

from bthcheck.cli.spelling import Takes
from bthcheck.datasets import CLASSES, SOURCES

DATASETS = ("sinusoids", *CLASSES)


@dataclass(frozen=True)
class Flag:
    """A flag that sets a field of an experiment; several values of it are levels.

    name : as "--learning-rate"
    part : of the experiment, "task", "network" or "training"; "" where it is no field of it as it stands
    field : of that part
    """

    name: str
    part: str
    field: str
    type: Any
    metavar: str
    help: str

    @property
    def key(self) -> str:
        """The name under which click hands over its values."""
        return self.name.removeprefix("--").replace("-", "_")


FLAGS = (
    Flag("--frequency", "task", "frequency", float, "F", "frequency of the sinusoid (default: 0.5)"),
    Flag("--samples", "task", "train", int, "N", "training points or images (default: 100 points, 1000 images, 200 of MNIST)"),
    Flag("--test", "task", "test", int, "N", "test points or images (default: 30 points, 500 images, 1800 of MNIST)"),
    Flag("--corruption", "task", "corruption", float, "C", "share of the training labels that is redrawn (default: 0)"),
    Flag("--classes", "", "classes", str, "A B", "two classes of images (default: airplane dog, or 3 6)"),
    Flag("--source", "task", "source", str, "|".join(SOURCES), "where images are from (default: embedded if it has enough)"),
    Flag("--data-file", "", "source", str, "FILE", "images of your own, an .npz archive"),
    Flag("--epochs", "training", "epochs", int, "N", "passes over the training set (default: 3000, on images 100)"),
    Flag("--batch-size", "training", "batch_size", int, "N", "points a step (default: 1)"),
    Flag("--learning-rate", "training", "learning_rate", float, "A", "α (default: 0.001, CIFAR-10 0.0025, MNIST 0.002)"),
    Flag(
        "--decay", "", "decay", float, "N",
        "the learning rate falls tenfold every N epochs, a little after each; 0 keeps it constant (default: 0, CIFAR-10 50)",
    ),
    Flag("--optimizer", "training", "optimizer", str, "sgd|adam|adamw", "how steps are made (default: sgd)"),
    Flag("--momentum", "training", "momentum", float, "M", "of sgd (default: 0)"),
    Flag("--weight-decay", "training", "weight_decay", float, "W", "of all parameters (default: 0)"),
    Flag("--clip", "training", "clip", float, "C", "largest norm of the gradient (default: none)"),
    Flag("--dropout", "training", "dropout", float, "P", "0, or 0.5 as in Theorem 3 (default: 0)"),
    Flag("--sampling", "training", "sampling", str, "reshuffle|replacement", "order of points (default: reshuffle)"),
    Flag("--loss-factor", "training", "loss_factor", float, "L", "of the loss; on images the authors have 0.5 (default: 1)"),
    Flag("--dtype", "training", "dtype", str, "float32|float64", "type of numbers (default: float32)"),
    Flag("--lipschitz-every", "training", "lipschitz_every", int, "N", "epochs between Lipschitz constants (default: 10)"),
    Flag("--test-every", "training", "test_every", int, "N", "epochs between looks at the test points (default: 1)"),
    Flag("--windows", "training", "windows", int, "N", "equal parts of an epoch that statistics are kept of (default: 1)"),
    Flag("--mlp", "", "network", str, "[WIDTHS]", "a fully connected network, as 10-10-32-1 (default: the paper's)"),
    Flag("--first-layer", "", "first_layer", str, "identity|trained", "of --mlp: W_1 = I, or trained too (default: identity)"),
    Flag("--channels", "", "channels", str, "A-B", "of --cnn (default: 96-384)"),
    Flag("--hidden", "", "hidden", int, "N", "width of the last hidden layer of --cnn (default: 384)"),
    Flag("--seeds", "", "seeds", str, "N", "number of seeds, or a list such as 0,3,7 (default: 1)"),
)  # fmt: skip

TAKES: dict[str, Takes] = {
    **{flag.name: "several" for flag in FLAGS},
    "--mlp": "perhaps",
    "--cnn": "nothing",
    "--repeats": "several",
    "--dataset": "one",
    "--data-root": "one",
    "--engine": "one",
    "--device": "one",
    "--threads": "one",
    "--cache-dir": "one",
    "--no-cache": "nothing",
    "--output": "one",
    "--overwrite": "nothing",
    "--load": "one",
    "--help": "nothing",
}
"""Every flag of train → how many values it has."""

ELSEWHERE = {
    "--load-data": "--load FILE draws what was trained before, and --data-file FILE trains on images of your own",
    "--load-model": "--load FILE draws what was trained before, and ds.bthcheck.weights(level, seed) in Python is its network",
}
"""Flags of the authors' command that have no counterpart of the same meaning → what there is."""


def flag_of_field(field: str) -> str:
    """Return the flag that sets a field, or the field's own name."""
    return next((flag.name for flag in FLAGS if flag.field == field and flag.name != "--data-file"), field)


def options() -> list[click.Option]:
    """Return the options that `FLAGS` stand for, each of which may be given several times."""
    return [
        click.Option([flag.name, flag.key], type=flag.type, multiple=True, metavar=flag.metavar, help=flag.help)
        for flag in FLAGS
    ]
