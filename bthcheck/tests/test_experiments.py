import json

import numpy as np
import pytest

from bthcheck.experiments import (
    BATCH_SIZE,
    CORRUPTED_CIFAR,
    CORRUPTED_CIFAR_AS_RUN,
    CORRUPTED_CIFAR_SMALL,
    CORRUPTED_CIFAR_SMALL_AS_RUN,
    DROPOUT,
    DROPOUT_DEPTH,
    MNIST_ARCHITECTURES,
    MNIST_ARCHITECTURES_AS_RUN,
    MNIST_ARCHITECTURES_SMALL,
    MNIST_ARCHITECTURES_SMALL_AS_RUN,
    SINUSOIDS,
    TWO_CLUSTERS,
    Experiment,
    at_profile,
)
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import Sinusoid


def test_the_papers_experiment_is_as_printed():
    assert SINUSOIDS.levels == (0.25, 0.5, 0.75, 1.0)
    assert SINUSOIDS.seeds == tuple(range(10))
    assert SINUSOIDS.network.widths == (10, 10, 32, 32, 32, 1)
    assert SINUSOIDS.network.first_layer == "identity"
    training = SINUSOIDS.training
    assert (training.epochs, training.batch_size, training.learning_rate, training.decay) == (3000, 1, 0.001, 1.0)
    assert (SINUSOIDS.task.train, SINUSOIDS.task.test, SINUSOIDS.task.inputs, SINUSOIDS.task.scale) == (100, 30, 10, 10.0)


def test_replace_reaches_into_training():
    changed = SINUSOIDS.replace(levels=(0.3, 0.9), seeds=range(3), epochs=200)
    assert (changed.levels, changed.seeds, changed.training.epochs) == ((0.3, 0.9), (0, 1, 2), 200)
    assert SINUSOIDS.training.epochs == 3000
    assert changed.at(0.9).task.frequency == 0.9


def test_levels_may_vary_the_training_or_the_network():
    rates = SINUSOIDS.replace(vary="learning_rate", levels=(0.1, 0.2))
    assert [rates.at(level).training.learning_rate for level in rates.levels] == [0.1, 0.2]
    kinds = SINUSOIDS.replace(vary="first_layer", levels=("identity", "trained"))
    assert kinds.at("trained").network.first_layer == "trained"


@pytest.mark.parametrize(
    "experiment",
    [SINUSOIDS, CORRUPTED_CIFAR, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES, BATCH_SIZE, DROPOUT, DROPOUT_DEPTH, TWO_CLUSTERS],
)
def test_json_holds_the_whole_experiment(experiment):
    assert Experiment.from_json(experiment.to_json()) == experiment
    theirs = experiment.to_json().replace(f'"{type(experiment.task).__name__}"', '"Theirs"')
    with pytest.raises(ValueError, match=r"the type of the task must be one of 'Sinusoid', .*'CorruptedImages', got 'Theirs'"):
        Experiment.from_json(theirs)


def test_levels_may_be_whole_networks():
    assert MNIST_ARCHITECTURES.at("CNN").network == CNN((1, 28, 28))
    assert MNIST_ARCHITECTURES.at("MLP").network.widths == (784, 784, 512, 1)
    json.loads(MNIST_ARCHITECTURES.to_json())
    with pytest.raises(ValueError, match="levels must be among the networks 'CNN', 'MLP', got 'RNN'"):
        MNIST_ARCHITECTURES.replace(levels=("CNN", "RNN"))
    for wrong in ({"vary": "corruption", "levels": (0.0,)}, {"network": MLP()}):
        with pytest.raises(ValueError, match="to vary the network, name vary='network'"):
            MNIST_ARCHITECTURES.replace(**wrong)


def test_the_experiments_on_images_are_as_printed():
    cifar, mnist = CORRUPTED_CIFAR, MNIST_ARCHITECTURES
    assert (cifar.levels, len(cifar.seeds), cifar.training.epochs) == ((0.0, 0.2, 0.4, 0.6), 8, 100)
    assert (cifar.task.train, cifar.task.test, cifar.task.classes) == (10_000, 2_000, ("airplane", "dog"))
    assert (cifar.network.channels, cifar.network.kernel, cifar.network.hidden) == ((96, 384), 5, 384)
    rates = cifar.training.learning_rates()
    assert rates[0] == 0.0025
    assert rates[50] == pytest.approx(0.00025)
    assert (mnist.task.train, mnist.task.test, mnist.task.classes) == (200, 1800, ("3", "6"))
    assert (mnist.training.learning_rate, mnist.training.epochs, len(mnist.seeds)) == (0.002, 100, 10)
    assert mnist.at("MLP").window_steps == 100
    assert BATCH_SIZE.training.batch_size == 16
    assert (BATCH_SIZE.levels, BATCH_SIZE.training.epochs) == ((0.25, 0.75), 3000)


@pytest.mark.parametrize(
    ("printed", "run"), [(CORRUPTED_CIFAR, CORRUPTED_CIFAR_AS_RUN), (MNIST_ARCHITECTURES, MNIST_ARCHITECTURES_AS_RUN)]
)
def test_what_was_run_is_what_was_printed_but_for_half_the_loss(printed, run):
    assert printed.training.loss_factor == 1
    assert run == printed.replace(name=f"{printed.name}, as run", loss_factor=0.5)


def test_small_siblings_of_what_was_run():
    cifar, mnist = (at_profile(one, "laptop") for one in (CORRUPTED_CIFAR_AS_RUN, MNIST_ARCHITECTURES_AS_RUN))
    assert (cifar, mnist) == (CORRUPTED_CIFAR_SMALL_AS_RUN, MNIST_ARCHITECTURES_SMALL_AS_RUN)
    assert cifar.training.loss_factor == mnist.training.loss_factor == 0.5
    for one, printed in ((cifar, CORRUPTED_CIFAR_SMALL), (mnist, MNIST_ARCHITECTURES_SMALL)):
        assert (one.task, one.network, one.levels, one.seeds) == (printed.task, printed.network, printed.levels, printed.seeds)
        assert one.training.learning_rate == printed.training.learning_rate
    rates = cifar.training.learning_rates()
    assert (len(rates), rates[50] / rates[0]) == (80, pytest.approx(10**-0.5))  # tenfold in twice as many epochs


def test_profiles_size_the_papers_experiments_and_no_others():
    assert at_profile(CORRUPTED_CIFAR, "paper") is CORRUPTED_CIFAR
    small = at_profile(CORRUPTED_CIFAR, "laptop")
    assert small is CORRUPTED_CIFAR_SMALL
    assert (small.task.source, small.levels, small.seeds) == ("embedded", CORRUPTED_CIFAR.levels, CORRUPTED_CIFAR.seeds)
    assert small.training.decay == CORRUPTED_CIFAR.training.decay
    quick = at_profile(CORRUPTED_CIFAR, "quick")
    assert (quick.task, quick.seeds, quick.training.epochs) == (small.task, (0, 1, 2, 3), 50)
    mine = CORRUPTED_CIFAR.replace(epochs=7)
    assert at_profile(mine, "laptop") is mine
    assert at_profile(MNIST_ARCHITECTURES, "laptop").network["CNN"].channels == (8, 16)


def test_numpy_values_are_as_good_as_pythons():
    assert SINUSOIDS.replace(seeds=np.arange(2), levels=np.array([0.5])).seeds == (0, 1)
    json.loads(SINUSOIDS.replace(seeds=np.arange(2), levels=np.array([0.5])).to_json())


def test_decay_is_a_factor_an_epoch():
    rates = SINUSOIDS.replace(epochs=3, learning_rate=0.1, decay=0.5).training.learning_rates()
    assert rates == pytest.approx([0.1, 0.05, 0.025])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": ()}, "levels must name at least one value"),
        ({"levels": (0.5, 0.5)}, r"levels must be distinct, got 0.5 more than once"),
        ({"levels": 0.5}, "levels must be a sequence of values, got 0.5"),
        ({"levels": (0.5, -1.0)}, "frequency must be a finite number above 0, got -1.0"),
        ({"seeds": []}, "seeds must name at least one value"),
        ({"seeds": [1, 1]}, "seeds must be distinct"),
        ({"seeds": [-1]}, "seeds must be whole numbers from 0, got -1"),
        ({"seeds": [0.5]}, "seeds must be whole numbers from 0, got 0.5"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": -2}, "batch_size must be a whole number of at least 1, got -2"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"decay": float("inf")}, "decay must be a finite number above 0"),
        ({"sampling": "sorted"}, "sampling must be one of 'reshuffle', 'replacement', got 'sorted'"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"vary": "colour"}, "vary must name a field of task, network or training, got 'colour'"),
        ({"vary": "epochs"}, "levels cannot set 'epochs'"),
        ({"widht": 3}, "an experiment has no field widht"),
        ({"network": MLP((8, 8, 1))}, "the network takes 8 inputs but the task has 10"),
        ({"network": MLP((10, 10, 1), output="sigmoid")}, "Sinusoid needs a network with output='identity', got 'sigmoid'"),
    ],
)
def test_bad_experiments_are_refused_in_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        SINUSOIDS.replace(**changes)
    assert "\n" not in str(error.value)


def test_images_of_another_shape_with_as_many_numbers_are_refused():
    with pytest.raises(ValueError, match=r"images of shape \(1, 48, 64\) but the task has \(3, 32, 32\)"):
        CORRUPTED_CIFAR_SMALL.replace(network=CNN((1, 48, 64), (4, 4), hidden=3))


def test_profiles():
    quick = at_profile(SINUSOIDS, "quick")
    assert len(quick.seeds) < len(SINUSOIDS.seeds)
    assert quick.training.epochs < SINUSOIDS.training.epochs
    assert at_profile(SINUSOIDS, "laptop") == at_profile(SINUSOIDS, "paper") == SINUSOIDS
    with pytest.raises(ValueError, match="profile must be one of"):
        at_profile(SINUSOIDS, "huge")


def test_an_experiment_of_ones_own():
    own = Experiment("own", Sinusoid(inputs=3), "frequency", (1, 2), MLP((3, 3, 1)))
    assert own.at(2).task.frequency == 2
