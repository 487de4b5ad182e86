from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from bthcheck.networks import MLP


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
    torch.testing.assert_close(network(x), network.rest(linear(x)).squeeze(-1))
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
