"""What is wrong with a network or task of one's own is said in one sentence before anything is trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.experiments import Experiment, Training
from bthcheck.networks import MLP
from bthcheck.tasks import Data
from bthcheck.tests.training.samples_own import Convolved, Normalised, Residual, Wave, WaveSign
from bthcheck.training import fused, reference, stacked

TRAINING = Training(epochs=1, batch_size=6)


def experiment(task=None, network=None, vary="frequency", levels=(1.0, 2.0), training=TRAINING):
    return Experiment("own", task or Wave(), vary, levels, network or Residual(), training, (0, 1))


@pytest.fixture
def refused(monkeypatch):
    """A function that makes and runs an experiment and returns the sentence that it was refused with."""
    for engine in (fused, reference, stacked):
        monkeypatch.setattr(engine, "train", lambda *_: pytest.fail("it trained"))

    def sentence(**parts):
        with pytest.raises((ValueError, TypeError)) as error:
            bthcheck.run(experiment(**parts), progress=False)
        assert "\n" not in str(error.value)
        return str(error.value)

    return sentence


def networks(build, **more):
    """Return a network whose module `build` makes after the seed is set."""

    @dataclass(frozen=True)
    class Own:
        inputs: int = 3
        output: str = more.pop("output", "identity")
        first: str | None = more.pop("first", None)

        def build(self, seed):
            torch.manual_seed(seed)
            return build()

    return Own(**more)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        return self.two(self.one(self.one(x)))


class Total(Twice):
    def forward(self, x):
        return self.two(x).sum()


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3))

    def forward(self, x):
        return x @ self.scale


class Deaf(Twice):
    def forward(self, x):
        self.one(x)
        return self.two(x)


def frozen():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    module[0].bias.requires_grad_(False)
    return module


def silent():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    return module.requires_grad_(False)


def infinite():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    nn.init.constant_(module[1].bias, float("inf"))
    return module


MODULES = {
    "no bias": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 1)),
        "the first layer '0' of Own must have a bias, whose path during training is what is measured; give it one, or name",
    ),
    "no bias, BatchNorm later": (
        lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
        "the first layer '0' of Own must have a bias",
    ),
    "frozen bias": (frozen, "the bias of the first layer '0' of Own must be trained, but it does not require a gradient"),
    "twice": (Twice, "the first layer 'one' of Own must run once a forward pass, got 2 times"),
    "unused": (Deaf, "what the module of Own returns must depend on its first layer, but it does not"),
    "two outputs": (
        lambda: nn.Linear(3, 2),
        "the module of Own must return one number a point, (m,) or (m, 1), got shape (3, 2) of torch.float32 for 3 points",
    ),
    "a sum over points": (
        Total,
        "the module of Own must return one number a point, (m,) or (m, 1), got shape () of torch.float32 for 3 points",
    ),
    "infinite": (infinite, "the module of Own must return finite numbers, but at its initial weights it does not"),
    "another width": (
        lambda: nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1)),
        "the module of Own fails on 3 points in evaluation mode, with RuntimeError: ",
    ),
    "no module": (lambda: 3, "Own.build must return a torch.nn.Module, got int"),
    "lazy": (
        lambda: nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1)),
        "Own.build must return a module whose parameters have shapes, got lazy ones; run it once on a point",
    ),
    "nothing to train": (silent, "Own.build must return a module with parameters to train, got none"),
    "an error": (lambda: 1 / 0, "Own.build failed with ZeroDivisionError: division by zero"),
    "no seed": (
        lambda: (torch.manual_seed(7), nn.Linear(3, 1))[1],
        "Own.build must draw its weights from the seed, but networks of different seeds are the same",
    ),
    "no forward": (
        lambda: nn.ParameterList([torch.randn(3)]),
        "the module of Own fails on 3 points in evaluation mode, with RuntimeError: ParameterList should not be called.",
    ),
    "no layer": (Bare, "Own has no layer with weights that runs, so that there is no first layer whose bias could be followed"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_trained(name, refused):
    build, sentence = MODULES[name]
    assert refused(network=networks(build)).startswith(sentence)


def test_a_first_layer_that_is_named(refused):
    module = MODULES["no bias"][0]
    said = refused(network=networks(module, first="3"))
    assert said == "layer must name a layer of the model, such as '0', '2', got '3'"
    assert refused(network=networks(module, first=2)) == "first of Own must be the name of a layer, or None, got 2"
    assert "the first layer '0' of Own must have a bias" in refused(network=networks(module, first="0"))


def test_a_first_layer_that_is_named_is_followed():
    own = experiment(network=networks(MODULES["no bias"][0], first="2"), levels=(1.0,))
    assert bthcheck.trace(own, 1.0, 0, 2).sizes["neuron"] == 1
    assert bthcheck.run(own, progress=False).attrs["engine"] == "stacked"
    assert bthcheck.trace(experiment(network=Normalised()), 1.0, 0, 2).sizes["neuron"] == 6


def test_a_build_that_ignores_its_seed_draws_from_the_process(refused):
    @dataclass(frozen=True)
    class Own:
        inputs: int = 3
        output: str = "identity"

        def build(self, seed):
            return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))

    assert refused(network=Own()).startswith(
        "Own.build must draw its weights from the seed, but two networks of one seed differ; begin with torch.manual_seed(seed)"
    )


def test_a_batch_that_a_module_cannot_have(refused):
    said = refused(network=Normalised(), training=Training(epochs=1, batch_size=19))
    assert said.startswith("the module of Normalised fails on a batch of 1, as in training, with ValueError: Expected more")


def test_a_logit_is_no_probability(refused):
    ending = (nn.Sigmoid(), nn.Flatten(0))
    own = networks(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1), *ending), output="sigmoid")
    assert refused(task=WaveSign(), network=own) == (
        "with output='sigmoid' the module of Own must return the logit, but it ends in a Sigmoid"
    )


@dataclass(frozen=True)
class Altered(Wave):
    """The wave with one thing changed."""

    change: str = ""
    frequency: float = 1.0

    def sample(self, generator):
        data = super().sample(generator)
        match self.change:
            case "nan":
                data.x_test[2, 1] = data.x_test[3, 0] = float("nan")
            case "infinite":
                data.y_train[0] = float("inf")
            case "labels":
                return data._replace(y_train=torch.sign(data.y_train), y_test=torch.zeros(8))
            case "whole":
                return data._replace(y_train=data.y_train.long())
            case "column":
                return data._replace(y_train=data.y_train[:, None])
            case "empty":
                return data._replace(x_test=data.x_test[:0], y_test=data.y_test[:0])
            case "narrow":
                return data._replace(x_test=data.x_test[:, :2])
            case "pair":
                return data[:2]
            case "arrays":
                return Data(*(part.numpy() for part in data))
            case "raises":
                raise KeyError("x")
            case "chance":
                return data._replace(x_train=data.x_train + torch.rand(()))
            case "sizes":
                return Wave(points=int(generator.integers(10, 1000))).sample(generator)
        return data


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("nan", "Altered.sample must return finite numbers, got 2 in x_test that are not"),
        ("infinite", "Altered.sample must return finite numbers, got 1 in y_train that are not"),
        ("whole", "Altered.sample must return floating-point tensors, got y_train of torch.int64"),
        ("column", "Altered.sample must return x_train (m, n) and y_train (m,), got shapes (20, 3) and (20, 1)"),
        ("empty", "Altered.sample must return x_test (m, n) and y_test (m,), got shapes (0, 3) and (0,)"),
        ("narrow", "Altered.sample must return as many inputs to test as to train, got 2 and 3"),
        ("pair", "Altered.sample must return Data(x_train, y_train, x_test, y_test) of tensors, got a tuple"),
        ("arrays", "Altered.sample must return Data(x_train, y_train, x_test, y_test) of tensors, got a Data"),
        ("raises", "Altered.sample failed with KeyError: 'x'"),
        ("chance", "Altered.sample must draw from the generator that it is given alone, but two draws of one seed differ"),
        ("sizes", "Altered.sample must always draw data of the same sizes, got "),
    ],
)
def test_data_that_cannot_be_learned(change, sentence, refused):
    assert refused(task=Altered(change=change)).startswith(sentence)


def test_labels_of_a_sigmoid_are_0_or_1(refused):
    sentence = "labels of Altered must be 0 or 1 for a network with output='sigmoid', got -1 in y_train"
    assert refused(task=Altered(change="labels"), network=Residual(output="sigmoid")) == sentence
    assert refused(task=Altered(change="labels"), network=MLP((3, 3, 1), output="sigmoid")) == sentence


def test_levels_that_change_sizes(refused):
    said = refused(task=Wave(), network=Residual(), vary="dimension", levels=(3, 5))
    assert said == ("levels must not change the input size, got a task of 3 inputs at 3 and of 5 at 5; use an experiment each")
    said = refused(task=WaveSign(dimension=16), network=Convolved(), vary="side", levels=(4, 5))
    assert said == (
        "levels must not change the input size, got a network of 16 inputs at 4 and of 25 at 5; use an experiment each"
    )
    said = refused(vary="points", levels=(20, 30))
    assert said == (
        "levels must not change the numbers of training and test points, got (20, 8) at 20 and (30, 8) at 30;"
        " use an experiment each"
    )


def test_sizes_that_do_not_fit(refused):
    assert refused(task=Wave(dimension=4)) == "the network takes 3 inputs but the task has 4"
    assert refused(training=Training(epochs=1, windows=3)) == "windows must divide the 20 training points, got 3"


def test_a_task_that_says_its_sizes_is_held_to_it(refused):
    @dataclass(frozen=True)
    class Said(Wave):
        train: int = 21
        inputs: int = 3
        output: str = "identity"

    assert refused(task=Said()) == "Said says train=21, but its sample has 20"
    assert refused(task=Said(inputs=4)) == "the network takes 3 inputs but the task has 4"
    assert refused(task=Said(train=0)).startswith("train of Said must be a whole number of at least 1")
    assert refused(task=Said(), network=Residual(output="sigmoid")) == (
        "Said needs a network with output='identity', got 'sigmoid'"
    )
    assert refused(task=Said(output="softmax")).startswith("output of Said must be one of")


@dataclass
class Thawed:
    inputs: int = 3
    output: str = "identity"

    def build(self, seed):
        return nn.Linear(3, 1)


@dataclass(frozen=True)
class Unnamed:
    inputs: int = 3

    def build(self, seed):
        return nn.Linear(3, 1)


@dataclass(frozen=True)
class Listed(Residual):
    sizes: list = field(default_factory=lambda: [1, 2])


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"network": Thawed()}, "the network must be a frozen dataclass with inputs, output and build(seed), got Thawed"),
        ({"network": Unnamed()}, "the network must be a frozen dataclass with inputs, output and build(seed), got Unnamed"),
        ({"network": nn.Linear(3, 1)}, "the network must be a frozen dataclass with inputs, output and build(seed), got Linea"),
        ({"network": Residual}, "the network must be a frozen dataclass with inputs, output and build(seed), got Residual its"),
        ({"network": Wave()}, "the network must be a frozen dataclass with inputs, output and build(seed), got Wave"),
        ({"task": Residual()}, "the task must be a frozen dataclass with sample(generator), got Residual"),
        ({"network": Residual(inputs=0)}, "inputs of Residual must be a whole number of at least 1, got 0"),
        ({"network": Residual(output="softmax")}, "output of Residual must be one of 'identity', 'sigmoid', got 'softmax'"),
        (
            {"network": Listed()},
            "fields of Listed must be numbers, words, None or tuples of them, by which runs are told apart, got sizes=[1, 2]",
        ),
        (
            {"task": Wave(frequency=np.ones(2))},
            "fields of Wave must be numbers, words, None or tuples of them, by which runs are told apart, got frequency=array(",
        ),
        (
            {"training": Training(epochs=1, dropout=0.5)},
            "dropout is for fully connected networks (MLP), got Residual",
        ),
    ],
)
def test_what_is_no_network_or_task(parts, sentence, refused):
    assert refused(**parts).startswith(sentence)
