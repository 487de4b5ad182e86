"""The scale of an experiment: everything at the paper's, what a laptop verifies in minutes, or a first look."""

import dataclasses
import os

from bthcheck.checks import one_of
from bthcheck.choices import PROFILES
from bthcheck.experiments.definition import Experiment
from bthcheck.experiments.paper import (
    CORRUPTED_CIFAR,
    CORRUPTED_CIFAR_AS_RUN,
    CORRUPTED_CIFAR_SMALL,
    CORRUPTED_CIFAR_SMALL_AS_RUN,
    MNIST_ARCHITECTURES,
    MNIST_ARCHITECTURES_AS_RUN,
    MNIST_ARCHITECTURES_SMALL,
    MNIST_ARCHITECTURES_SMALL_AS_RUN,
)
from bthcheck.tasks import CorruptedImages

FILE_DATASET = "cifar10"
"""The full data set that a file may take the place of."""

_LAPTOP = (
    (CORRUPTED_CIFAR, CORRUPTED_CIFAR_SMALL),
    (CORRUPTED_CIFAR_AS_RUN, CORRUPTED_CIFAR_SMALL_AS_RUN),
    (MNIST_ARCHITECTURES, MNIST_ARCHITECTURES_SMALL),
    (MNIST_ARCHITECTURES_AS_RUN, MNIST_ARCHITECTURES_SMALL_AS_RUN),
)


def at_profile(experiment: Experiment, profile: str) -> Experiment:
    """Return the size of `experiment` that a profile asks for.

    "paper" leaves an experiment as it is. "laptop" replaces the paper's on images by their small siblings and leaves the rest,
    which 2 cores train at full scale. "quick" is a first look with half the seeds of "laptop" and five sixths of the epochs:
    the highest frequency is fit after about 2200 of 3000, and with fewer a claim about convergence would be outside its scope.

    Raises
    ------
    ValueError
        If `profile` is not one of `PROFILES`.
    """
    one_of("profile", profile, PROFILES)
    if profile == "paper":
        return experiment
    small = next((small for paper, small in _LAPTOP if experiment == paper), experiment)
    if profile == "laptop":
        return small
    return small.replace(seeds=small.seeds[: max(2, len(small.seeds) // 2)], epochs=small.training.epochs * 5 // 6)


def from_file(experiment: Experiment, path: str | os.PathLike[str]) -> Experiment:
    """Return the experiment with the images of the full CIFAR-10 taken from a file instead; any other as it is.

    Parameters
    ----------
    path : an archive as `bthcheck.datasets.archives` reads it

    Raises
    ------
    ValueError
        If the file cannot be read, or has other images, classes or fewer than the experiment asks for.
    """
    task = experiment.task
    if not isinstance(task, CorruptedImages) or (task.source, task.dataset) != ("full", FILE_DATASET):
        return experiment
    replaced = dataclasses.replace(task, source=os.fspath(path))
    if replaced.shape != task.shape:
        raise ValueError(f"images of {FILE_DATASET} must be of shape {task.shape}, got {replaced.shape} in {os.fspath(path)}")
    return experiment.replace(task=replaced)
