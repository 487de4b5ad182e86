"""PAC-Bayes sharpness, against what it is exactly for a linear network, with either criterion."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import nn

from bthcheck.networks import CNN, MLP, Network
from bthcheck.theory import sharpness as module
from bthcheck.theory.sharpness import sharpness


def linear(sigmoid, seed=0):
    """f(x) = w·x + b, or its sigmoid, without a hidden neuron, and points of three inputs with targets."""
    generator = torch.Generator().manual_seed(seed)
    network = Network(nn.Linear(3, 1), nn.Sequential(), sigmoid).double()
    with torch.no_grad():
        network.first.weight.copy_(torch.randn(1, 3, generator=generator))
        network.first.bias.fill_(0.1)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    logit = (x @ network.first.weight.T + network.first.bias).squeeze(1).detach()
    return network, x, logit


def noise():
    return np.random.default_rng(5)


@pytest.mark.parametrize(("limit", "factor"), [(0.1, 1.0), (0.03, 0.5)], ids=["whole", "half"])
def test_with_the_squared_loss_a_linear_network_bears_what_the_quadratic_form_says(limit, factor):
    """E of the rise of factor · (f − y)²/2 is factor · σ² mean(‖x‖² + 1)/2, whatever the weights and the targets are."""
    network, x, logit = linear(sigmoid=False)
    y = logit + torch.randn(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    squared = 2 * limit / factor / float((x.square().sum(1) + 1).mean())
    found = sharpness(network, x, y, noise(), criterion="loss", limit=limit, draws=3000, loss_factor=factor)
    assert found == pytest.approx(1 / squared, rel=0.06)  # Monte Carlo, and twice the tolerance


def test_a_linear_classifier_errs_where_noise_turns_its_sign():
    """The share of points on the wrong side is mean Φ(−|s| / (σ √(‖x‖² + 1))) for points that are on the right one."""
    network, x, logit = linear(sigmoid=True)
    y = (logit > 0).double()
    scale = (x.square().sum(1) + 1).sqrt().numpy()
    margin = logit.abs().numpy()
    sigma = brentq(lambda sigma: norm.cdf(-margin / (sigma * scale)).mean() - 0.1, 1e-3, 10)
    found = sharpness(network, x, y, noise(), draws=3000)
    assert found == pytest.approx(sigma**-2, rel=0.06)


def test_what_is_wrong_already_does_not_count_against_the_noise():
    network, x, logit = linear(sigmoid=True)
    y = (logit > 0).double()
    y[:8] = 1 - y[:8]  # a training error of 0.2 before any noise
    scale = (x.square().sum(1) + 1).sqrt().numpy()
    signed = (torch.where(y > 0.5, 1.0, -1.0) * logit).numpy()
    sigma = brentq(lambda sigma: norm.cdf(-signed / (sigma * scale)).mean() - 0.2 - 0.1, 1e-3, 10)
    assert sharpness(network, x, y, noise(), draws=3000) == pytest.approx(sigma**-2, rel=0.06)


def separated(description):
    """A network with some points, half of them on either side of 1/2, and their classes."""
    network = description.build(2)
    x = torch.randn(30, description.inputs, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        network.rest[-1].bias -= network.logit(network.first(x)).quantile(0.5)
    y = (network(x) > 0.5).float().detach()
    assert 0.4 < y.mean() < 0.6
    return network, x, y


def rise(network, x, y, sigma, draws):
    """The mean rise of the training error over noise and its negative, draw by draw."""
    weights = nn.utils.parameters_to_vector(network.parameters()).detach()
    generator, errors = noise(), []
    for draw in generator.standard_normal((draws, len(weights))):
        for sign in (1, -1):
            nn.utils.vector_to_parameters(weights + sign * sigma * torch.from_numpy(draw).to(weights), network.parameters())
            errors.append(float(((network(x) > 0.5) != (y > 0.5)).double().mean()))
    nn.utils.vector_to_parameters(weights, network.parameters())
    return np.mean(errors) - float(((network(x) > 0.5) != (y > 0.5)).double().mean())


@pytest.mark.parametrize(
    "description", [MLP((4, 4, 6, 1), output="sigmoid"), CNN((1, 12, 12), (4, 6), 3, 2, 16)], ids=["connected", "convolution"]
)
def test_sigma_is_where_the_rise_crosses_the_limit(description):
    network, x, y = separated(description)
    found = sharpness(network, x, y, noise(), draws=8)
    sigma = found**-0.5
    assert rise(network, x, y, sigma, 8) <= 0.1
    assert rise(network, x, y, sigma * math.exp(module.TOLERANCE), 8) > 0.1
    assert sharpness(network, x, y, noise(), draws=8) == found  # the network is as it was


def test_a_part_of_the_draws_at_a_time_is_the_same(monkeypatch):
    network, x, y = separated(MLP((4, 4, 6, 1), output="sigmoid"))
    whole = sharpness(network, x, y, noise(), draws=7)
    monkeypatch.setattr(module, "_MOST_NUMBERS", 3 * (16 * 120 + 39))
    assert sharpness(network, x, y, noise(), draws=7) == whole


def test_noise_is_drawn_from_a_generator_that_stays_as_it_is():
    network, x, logit = linear(sigmoid=True)
    y = (logit > 0).double()
    generator = noise()
    assert sharpness(network, x, y, generator, draws=4) == sharpness(network, x, y, generator, draws=4)
    assert sharpness(network, x, y, np.random.default_rng(6), draws=4) != sharpness(network, x, y, generator, draws=4)


def test_beyond_the_interval_sigma_is_at_its_end():
    network, x, logit = linear(sigmoid=False)
    for limit, end in ((1e-30, module.SMALLEST), (1e30, module.LARGEST)):
        found = sharpness(network, x, logit + 1, noise(), criterion="loss", limit=limit)
        assert found**-0.5 == pytest.approx(end, rel=module.TOLERANCE)


def test_what_makes_no_sense_is_said():
    network, x, logit = linear(sigmoid=False)
    for options, message in (
        ({}, "the criterion 'error' is for classifiers, with output='sigmoid'; use criterion='loss'"),
        ({"criterion": "risk"}, "criterion must be one of 'error', 'loss', got 'risk'"),
        ({"criterion": "loss", "limit": 0}, "limit must be a finite number above 0, got 0"),
        ({"criterion": "loss", "draws": 0}, "draws must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            sharpness(network, x, logit, noise(), **options)
