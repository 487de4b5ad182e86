"""From flags to an experiment, and what is wrong with flags in a sentence."""

import re

import numpy as np
import pytest

from bthcheck.cli.experiment import experiment_of
from bthcheck.experiments import CORRUPTED_CIFAR, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES, SINUSOIDS
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages
from bthcheck.training.cache import run_key
from bthcheck.training.runs import Run


def test_the_paper_is_what_flags_leave_out():
    assert experiment_of({}) == SINUSOIDS.replace(levels=(0.5,), seeds=(0,))
    paper = experiment_of({"frequency": (0.25, 0.5, 0.75, 1.0), "repeats": (10,)})
    assert (paper.vary, paper.levels, paper.seeds, paper.training) == (
        "frequency",
        SINUSOIDS.levels,
        SINUSOIDS.seeds,
        SINUSOIDS.training,
    )
    ours, theirs = (Run(experiment, 0.75, 3) for experiment in (paper, SINUSOIDS))
    assert run_key(ours, "fused", "cpu") == run_key(theirs, "fused", "cpu")  # what was trained for claims is found


def test_the_authors_command_on_sinusoids():
    values = {
        "frequency": (0.5,),
        "samples": (100,),
        "epochs": (3000,),
        "batch_size": (1,),
        "learning_rate": (0.001,),
        "repeats": (1,),
    }
    assert experiment_of(values) == experiment_of({})


def test_the_authors_command_on_images():
    experiment = experiment_of({"corruption": (0.0,), "decay": (50.0,)}, cnn=True)
    assert experiment.training == CORRUPTED_CIFAR.training
    assert experiment.network == CNN() == CORRUPTED_CIFAR.network
    assert experiment.task == CorruptedImages(train=1000, test=500)
    rates = experiment.replace(epochs=51).training.learning_rates()
    assert rates[50] == pytest.approx(rates[0] / 10)
    whole = experiment_of({"corruption": (0.0, 0.2, 0.4, 0.6), "samples": (10_000,), "test": (2_000,), "repeats": (8,)})
    assert whole == CORRUPTED_CIFAR  # the full data set, because the embedded one does not have as many


def test_the_small_sibling():
    values = {
        "corruption": (0.0, 0.2, 0.4, 0.6), "samples": (400,), "channels": ("8-16",), "hidden": (32,), "epochs": (60,),
        "learning_rate": (0.02,), "seeds": ("8",),
    }  # fmt: skip
    assert experiment_of(values, cnn=True) == CORRUPTED_CIFAR_SMALL


def test_mnist_and_two_architectures():
    experiment = experiment_of({"mlp": ("",), "repeats": (10,), "windows": (2,)}, cnn=True, dataset="mnist")
    assert experiment.replace(name=MNIST_ARCHITECTURES.name) == MNIST_ARCHITECTURES


def test_widths_are_levels():
    experiment = experiment_of({"mlp": ("10-10-8-1", "10-10-16-1")})
    assert experiment.vary == "network"
    assert experiment.network == {"10-10-8-1": MLP((10, 10, 8, 1)), "10-10-16-1": MLP((10, 10, 16, 1))}
    trained = experiment_of({"mlp": ("10-16-1",), "first_layer": ("trained",)})
    assert trained.network == MLP((10, 16, 1), "trained")


def test_any_one_flag_may_have_levels():
    experiment = experiment_of({"learning_rate": (0.001, 0.002), "frequency": (1.0,)})
    assert (experiment.vary, experiment.levels, experiment.task.frequency) == ("learning_rate", (0.001, 0.002), 1.0)
    assert experiment_of({"seeds": ("0", "3", "7")}).seeds == (0, 3, 7)
    assert experiment_of({"seeds": ("3",)}).seeds == (0, 1, 2)
    assert experiment_of({"decay": (0.0,)}, cnn=True).training.decay == 1.0
    assert experiment_of({"classes": ("dog", "airplane")}).task.classes == ("dog", "airplane")
    assert experiment_of({"classes": ("cat", "dog")}).task.source == "full"


@pytest.mark.parametrize(
    ("values", "more", "sentence"),
    [
        ({"frequency": (1.0, 2.0), "learning_rate": (1.0, 2.0)}, {}, "several values of --frequency and --learning-rate"),
        ({"mlp": ("",), "corruption": (0.0, 0.5)}, {"cnn": True}, "several values of --corruption and --cnn"),
        ({"epochs": (10, 20)}, {}, "--epochs must be one value for all levels, got 10, 20"),
        ({"decay": (10.0, 20.0)}, {}, "--decay must be one value for all levels, got 10.0, 20.0"),
        ({"samples": (0,)}, {}, "--samples must be a whole number of at least 1, got 0"),
        ({"samples": (7,)}, {"cnn": True}, "--samples must be even, half of each class, got 7"),
        (
            {"samples": (2000,), "source": ("embedded",)}, {"cnn": True},
            "--samples must be at most 1000 for the embedded subset of cifar10, got 2000; --source full has more",
        ),
        ({"learning_rate": (float("nan"),)}, {}, "--learning-rate must be a finite number above 0, got nan"),
        ({"frequency": (-1.0,)}, {}, "--frequency must be a finite number above 0, got -1.0"),
        ({"frequency": (1.0, 1.0)}, {}, "levels must be distinct, got 1.0 more than once"),
        ({"corruption": (2.0,)}, {}, "--corruption must be a number from 0 to 1, got 2.0"),
        ({"frequency": (1.0,)}, {"cnn": True}, "--frequency has no meaning for --dataset cifar10, only for sinusoids"),
        ({"corruption": (0.0,)}, {"dataset": "sinusoids"}, "--corruption has no meaning for --dataset sinusoids, only for cif"),
        ({"classes": ("a", "b")}, {"dataset": "sinusoids"}, "--classes has no meaning for --dataset sinusoids, only for"),
        ({}, {"cnn": True, "dataset": "sinusoids"}, "--cnn is for images, --dataset cifar10 or mnist, got sinusoids"),
        ({}, {"dataset": "svhn"}, "--dataset must be one of 'sinusoids', 'cifar10', 'mnist', got 'svhn'"),
        ({"channels": ("8-16",)}, {}, "--channels is for --cnn, which was not given"),
        ({"first_layer": ("trained",)}, {"cnn": True}, "--first-layer is for --mlp, which was not given"),
        ({"channels": ("8-16-32",)}, {"cnn": True}, "--channels must be 2 numbers, got (8, 16, 32)"),
        ({"channels": ("8x16",)}, {"cnn": True}, "--channels must be widths such as 8-16, got '8x16'"),
        ({"mlp": ("wide",)}, {}, "--mlp must be widths such as 10-10-32-1, got 'wide'"),
        ({"mlp": ("10-10-1", "10-10-1")}, {}, "levels must be distinct, got --mlp 10-10-1 more than once"),
        ({"mlp": ("10-16-1",)}, {}, "as wide as its input, got 16 for 10; use --first-layer trained"),
        ({"mlp": ("8-8-1",)}, {}, "the network takes 8 inputs but the task has 10"),
        ({"classes": ("dog",)}, {"cnn": True}, "--classes must be two classes, got dog"),
        ({"classes": ("dog", "yeti")}, {"cnn": True}, "--classes must be two different ones of 'airplane', "),
        ({"source": ("full",), "data_file": ("x.npz",)}, {}, "--source and --data-file both say where images are"),
        ({"source": ("moon",)}, {}, "--source must be one of 'embedded', 'full'"),
        ({"decay": (-1.0,)}, {}, "--decay must be a number of epochs from 0, got -1"),
        ({"repeats": (0,)}, {}, "--repeats must be one whole number of at least 1, got 0"),
        ({"repeats": (1, 2)}, {}, "--repeats must be one whole number of at least 1, got 1, 2"),
        ({"seeds": ("1", "1")}, {}, "--seeds must be distinct, got 1 more than once"),
        ({"seeds": ("x",)}, {}, "--seeds must be a number of seeds or a list such as 0,3,7, got 'x'"),
        ({"seeds": ("1",), "repeats": (1,)}, {}, "--seeds and --repeats say the same: give one of them"),
        ({"dropout": (0.3,)}, {}, "--dropout must be 0 or 0.5, got 0.3"),
        ({"dropout": (0.5,)}, {"cnn": True}, "--dropout is for fully connected networks (MLP), got CNN"),
        ({"windows": (7,)}, {}, "--windows must divide the 100 training points, got 7"),
        ({"dtype": ("int8",)}, {}, "--dtype must be one of 'float32', 'float64', got 'int8'"),
        ({"sampling": ("none",)}, {}, "--sampling must be one of 'reshuffle', 'replacement', got 'none'"),
        ({"loss_factor": (0.0,)}, {}, "--loss-factor must be a finite number above 0, got 0.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_on_flags(values, more, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        experiment_of(values, **more)
    assert "\n" not in str(raised.value)


def test_the_optimizer_is_one_of_training():
    experiment = experiment_of({"optimizer": ("adamw",), "weight_decay": (0.1,), "clip": (1.0,)})
    assert (experiment.training.optimizer, experiment.training.weight_decay, experiment.training.clip) == ("adamw", 0.1, 1.0)
    assert experiment_of({"momentum": (0.0, 0.9)}).vary == "momentum"
    assert experiment_of({"optimizer": ("sgd",)}) == experiment_of({})


def test_images_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{part}_{kind}": values
        for part in ("train", "test")
        for kind, values in (
            ("images", rng.integers(0, 255, (8, 1, 28, 28), np.uint8)),
            ("labels", np.arange(8, dtype=np.uint8) % 2),
        )
    }
    path = str(tmp_path / "own.npz")
    np.savez(path, **arrays, classes=np.array(["cat", "cow"]))
    experiment = experiment_of({"data_file": (path,), "samples": (4,), "test": (2,)})
    assert (experiment.task.source, experiment.task.classes) == (path, ("cat", "cow"))
    assert experiment.network == CNN((1, 28, 28))
    assert experiment_of({"data_file": (path,), "samples": (4,), "test": (2,), "mlp": ("",)}).network.widths == (
        784,
        784,
        512,
        1,
    )
    with pytest.raises(ValueError, match="cow"):
        experiment_of({"data_file": (path,), "classes": ("dog", "cow"), "samples": (4,)})
    with pytest.raises(ValueError, match=r"none\.npz"):
        experiment_of({"data_file": ("none.npz",)})
