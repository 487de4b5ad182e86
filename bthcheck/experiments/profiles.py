"""The scale of an experiment: everything at the paper's, what a laptop verifies in minutes, or a first look."""

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
