"""What is trained: a task, levels to compare, a network, how it is trained, and the seeds it is repeated with."""

from bthcheck.experiments.definition import RESHAPING, Experiment, Setting
from bthcheck.experiments.paper import (
    BATCH_SIZE,
    CORRUPTED_CIFAR,
    CORRUPTED_CIFAR_AS_RUN,
    CORRUPTED_CIFAR_SMALL,
    CORRUPTED_CIFAR_SMALL_AS_RUN,
    DROPOUT,
    DROPOUT_DEPTH,
    DROPOUT_WIDTH,
    MNIST_ARCHITECTURES,
    MNIST_ARCHITECTURES_AS_RUN,
    MNIST_ARCHITECTURES_SMALL,
    MNIST_ARCHITECTURES_SMALL_AS_RUN,
    REGIONS,
    SINUSOIDS,
    TWO_CLUSTERS,
)
from bthcheck.experiments.profiles import at_profile, from_file
from bthcheck.experiments.training import DROPOUTS, DTYPES, OPTIMIZERS, SAMPLINGS, Training

__all__ = [
    "BATCH_SIZE", "CORRUPTED_CIFAR", "CORRUPTED_CIFAR_AS_RUN", "CORRUPTED_CIFAR_SMALL", "CORRUPTED_CIFAR_SMALL_AS_RUN",
    "DROPOUT", "DROPOUTS", "DROPOUT_DEPTH", "DROPOUT_WIDTH", "DTYPES", "MNIST_ARCHITECTURES", "MNIST_ARCHITECTURES_AS_RUN",
    "MNIST_ARCHITECTURES_SMALL", "MNIST_ARCHITECTURES_SMALL_AS_RUN", "OPTIMIZERS", "REGIONS", "RESHAPING", "SAMPLINGS",
    "SINUSOIDS", "TWO_CLUSTERS", "Experiment", "Setting", "Training", "at_profile", "from_file",
]  # fmt: skip
