"""What the claims beyond the paper train, and the networks that their searches generate."""

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from torch import nn

import bthcheck
from bthcheck.evidence.generated import modules
from bthcheck.evidence.measures import above_sigma_1_of_any
from bthcheck.evidence.search import Example
from bthcheck.experiments import extensions
from bthcheck.experiments.extensions import ActivatedMLP
from bthcheck.networks import MLP
from bthcheck.training.runs import Run, load_parameters

FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "gelu": lambda z: z * (1 + scipy.special.erf(z / np.sqrt(2))) / 2,
}
NORMS = {
    "none": lambda z: z,
    "batch": lambda z: (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5),
    "layer": lambda z: (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5),
}


@pytest.mark.parametrize("activation", extensions.ACTIVATIONS)
@pytest.mark.parametrize("normalisation", extensions.NORMALISATIONS)
def test_networks_compute_what_they_are_called(activation, normalisation):
    network = ActivatedMLP((3, 4, 5, 1), activation, normalisation).build(7).double()
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layers = [(w.numpy(), b.numpy()) for w, b in network.layers()]
    h = NORMS[normalisation](x.numpy() @ layers[0][0].T + layers[0][1])
    for weight, bias in layers[1:]:
        h = FUNCTIONS[activation](h) @ weight.T + bias
    np.testing.assert_allclose(network(x).detach().numpy(), h[:, 0], rtol=1e-10, atol=1e-12)


def test_with_relu_a_network_is_that_of_the_package():
    mine, theirs = ActivatedMLP((4, 5, 6, 1)).build(3), MLP((4, 5, 6, 1), "trained").build(3)
    assert all(torch.equal(one, other) for one, other in zip(mine.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"activation": "swish"}, "activation must be one of 'relu', 'gelu', 'leaky_relu', 'tanh', got 'swish'"),
        ({"normalisation": "group"}, "normalisation must be one of 'none', 'batch', 'layer', got 'group'"),
        ({"widths": (3, 1)}, "at least one hidden width"),
        ({"widths": (3, 4, 2)}, "a last width of 1"),
        ({"widths": (3, 0, 1)}, "each width must be a whole number of at least 1, got 0"),
        ({"output": "sigmoid"}, "output must be"),
    ],
)
def test_what_cannot_be_built_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        ActivatedMLP(**fields)


def test_every_experiment_can_be_drawn():
    every = [extensions.MOMENTUM, extensions.ADAM, *extensions.SMOOTH.values(), extensions.LEARNING_RATES, extensions.WIDTHS]
    assert len({experiment.name for experiment in every}) == len(every)
    for experiment in every:
        for level in experiment.levels:
            run = Run(experiment, level, 0)
            assert run.data().x_train.shape == (100, 10)
            assert isinstance(run.module(), nn.Module)


@pytest.mark.parametrize("normalisation", extensions.NORMALISATIONS)
def test_generated_networks_are_what_was_asked_for(normalisation):
    sizes = []

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(modules(activation="gelu", normalisation=normalisation))
    def look(example):
        network, x = example
        kinds = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.GELU}
        assert type(network.rest[0]) is kinds[normalisation]
        assert x.dtype == torch.float64
        assert len(x) >= 2
        assert network(x).isfinite().all()
        sizes.append(max(float(parameter.detach().abs().max()) for parameter in network.parameters()))

    look()
    assert max(sizes) > 50 * min(sizes)  # weights of many scales


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu", "tanh"])
def test_engines_agree_on_other_activations(activation):
    """In float64, three runs side by side by hand-written derivatives against one at a time by autograd."""
    experiment = extensions.SMOOTH[activation].replace(
        epochs=3, dtype="float64", seeds=range(3), levels=(0.5, 1.0), network=ActivatedMLP((10, 10, 7, 1), activation)
    )
    mine, theirs = (bthcheck.run(experiment, engine=engine, progress=False) for engine in ("stacked", "reference"))
    assert bthcheck.run(experiment.replace(seeds=(0,)), progress=False).attrs["engine"] == "stacked"  # is what auto chooses
    for name in (
        "trajectory_length",
        "bias_variance",
        "distance_to_init",
        "train_loss",
        "test_loss",
        "lipschitz_mean",
        "parameters",
    ):
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_norm_that_underflows_is_no_counterexample():
    """With g of two numbers of 1e-200 ‖g‖ is 0 in float64, and λ, which has one, is 2e-200."""
    network = ActivatedMLP((1, 2, 1), "tanh").build().double()
    load_parameters(network, np.array([1.0, 1.0, 0.0, 0.0, 1e-200, 1e-200, 0.0]))
    found = above_sigma_1_of_any(Example(network, torch.zeros(2, 1, dtype=torch.float64)))
    assert (found.larger == 0).all()
    assert (found.smaller > 0).all()
    assert (found.smaller - found.larger <= found.tolerance).all()
    assert (found.tolerance < 1e-150).all()
