import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from bthcheck.networks import CNN, MLP, architecture


def test_weights_are_pytorchs_default_initialisation():
    network = MLP((3, 5, 4, 1), "trained").build(seed=11)
    torch.manual_seed(11)
    plain = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    for ours, theirs in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    x = torch.randn(6, 3)
    assert torch.equal(network(x), plain(x).squeeze(-1))


def test_identity_first_layer_is_a_linear_layer_with_the_identity_for_weight():
    network = MLP((4, 4, 3, 1)).build(seed=2)
    linear = nn.Linear(4, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(4))
        linear.bias.copy_(network.first.bias)
    x = torch.randn(6, 4)
    torch.testing.assert_close(network(x), network.logit(linear(x)))
    assert [tuple(p.shape) for p in network.parameters()] == [(4,), (3, 4), (3,), (1, 3), (1,)]
    assert float(network.first.bias.detach().abs().max()) <= 0.5  # nn.Linear's bound 1/√4


def test_building_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    MLP().build(seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_threads_build_the_same_networks():
    """A shared random state would mix the draws of networks built at once."""
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: MLP().build(seed).first.bias, range(200)))
    assert all(torch.equal(bias, MLP().build(seed).first.bias) for seed, bias in enumerate(together))


def test_the_papers_convolutional_network():
    network = CNN().build(seed=3)
    torch.manual_seed(3)
    bias = (torch.rand(3072) * 2 - 1) / 3072**0.5
    plain = nn.Sequential(
        nn.ReLU(), nn.Unflatten(1, (3, 32, 32)), nn.Conv2d(3, 96, 5), nn.ReLU(), nn.MaxPool2d(3), nn.Conv2d(96, 384, 5),
        nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(384, 384), nn.ReLU(), nn.Linear(384, 1), nn.Sigmoid(),
    )  # fmt: skip
    torch.testing.assert_close(network.first.bias.detach(), bias)
    for ours, theirs in zip(network.rest.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    x = torch.randn(2, 3072)
    torch.testing.assert_close(network(x), plain(x + network.first.bias).squeeze(-1))


def test_sizes_of_convolutional_networks():
    assert CNN((1, 28, 28)).feature_shape == (1, 1)
    assert CNN((1, 28, 28), channels=(4, 5), kernel=3, pool=2, hidden=6).feature_shape == (5, 5)
    assert CNN((1, 28, 28), (4, 5), 3, 2, 6).build()(torch.zeros(3, 784)).shape == (3,)


@pytest.mark.parametrize("spec", [MLP((4, 4, 3, 1)), MLP((4, 5, 1), "trained", "sigmoid"), CNN((1, 28, 28), (4, 5))])
def test_an_architecture_survives_json(spec):
    assert architecture(json.loads(json.dumps(dataclasses.asdict(spec)))) == spec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (3, 16, 16)}, "an image of 16 × 16 is too small for two convolutions and pools"),
        ({"shape": (32, 32)}, "shape must be 3 numbers"),
        ({"channels": (96, 0)}, "each number of channels must be a whole number of at least 1"),
        ({"hidden": 0}, "hidden must be a whole number of at least 1"),
        ({"output": "softmax"}, "output must be one of"),
    ],
)
def test_bad_convolutional_networks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CNN(**arguments)


def test_sigmoid_output_squashes():
    linear, sigmoid = (MLP((3, 5, 1), "trained", output).build(seed=1) for output in ("identity", "sigmoid"))
    x = torch.randn(6, 3)
    torch.testing.assert_close(torch.sigmoid(linear(x)), sigmoid(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 1),), "at least one hidden width"),
        (((4, 4, 2),), "last width of 1"),
        (((4, 0, 1),), "each width must be a whole number of at least 1, got 0"),
        (((4, 5, 1),), "an identity first layer must be as wide as its input, got 5 for 4"),
        (((4, 5, 1), "frozen"), "first_layer must be one of 'identity', 'trained', got 'frozen'"),
        (((4, 5, 1), "trained", "softmax"), "output must be one of"),
    ],
)
def test_bad_architectures_are_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(*arguments)
