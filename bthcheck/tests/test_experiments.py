import json

import numpy as np
import pytest

from bthcheck.experiments import SINUSOIDS, Experiment, at_profile
from bthcheck.networks import MLP
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
