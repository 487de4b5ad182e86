"""φ and ‖g‖ against autograd, sample by sample in float64, and bias gradients that autograd gives itself."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.tests.watching import situations

CONV1D = nn.Sequential(nn.Unflatten(1, (3, 4)), nn.Conv1d(3, 5, 2), nn.Tanh(), nn.Flatten(), nn.Linear(15, 10))
NETWORKS = {
    "ten classes": (lambda: nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 10)), "0"),
    "one output": (lambda: nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1)), "0"),
    "convolution": (situations.cnn, "1"),
    "one-dimensional convolution": (lambda: CONV1D, "1"),
    "BatchNorm behind": (situations.batch_norm, "0"),
    "embedding": (situations.Tokens, "embedding"),
    "sequence": (situations.Tokens, "encoder.layers.0.linear1"),
    "LayerNorm's own bias": (situations.Tokens, "encoder.layers.0.norm1"),
    "recurrent": (situations.Recurrent, "cell"),
}


def expected(model, layer, loss_of, x):
    """φ and the ‖g‖ of all samples, by gradients with respect to the bias and to a disturbance of z, one sample's at a time."""
    module = model.get_submodule(layer)
    shifts = []

    def disturb(_module, _args, z):
        shift = torch.zeros_like(z, requires_grad=True)
        shifts.append(shift)
        return z + shift

    handle = module.register_forward_hook(disturb)
    f = model(x)
    kept = f.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(loss_of(kept), kept)
    norms = []
    for sample in range(len(x)):  # of Σ_i f_i · G_i each sample's share of the disturbance alone
        share = torch.autograd.grad((f * slopes).sum(), shifts, retain_graph=True)
        squares = sum(float(one[sample].square().sum()) for one in share)
        norms.append(squares**0.5 / float(slopes[sample].norm()))
    handle.remove()
    bias = module._parameters.get("bias")
    total = sum(one.norm() for one in slopes)
    if bias is None:
        return None, norms
    (gradient,) = torch.autograd.grad(loss_of(model(x)), bias)
    return float(gradient.norm() / total), norms


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", NETWORKS)
def test_against_autograd(name, reduction):
    make, layer = NETWORKS[name]
    torch.manual_seed(1)
    model = make().double().eval() if name != "BatchNorm behind" else make().double()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def loss_of(f, y):
        if f.shape[1] == 1:
            return nn.functional.mse_loss(f[:, 0], y.double(), reduction=reduction)
        return nn.functional.cross_entropy(f, y, reduction=reduction)

    wanted = []
    with bthcheck.watch(model, optimizer, layer=layer) as w:
        for x, y in situations.batches(4, 7, torch.float64):
            w._recorder.paused = True
            wanted.append(expected(model, layer, partial(loss_of, y=y), x))
            w._recorder.paused = False
            optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()
    records = w.dataset()
    assert records.sizes["step"] == 4
    assert (records.samples == 7).all()
    np.testing.assert_allclose(records.gradient_norm_mean, [np.mean(norms) for _, norms in wanted], rtol=1e-12)
    np.testing.assert_allclose(records.gradient_norm_max, [np.max(norms) for _, norms in wanted], rtol=1e-12)
    if wanted[0][0] is not None:
        np.testing.assert_allclose(records.phi, [phi for phi, _ in wanted], rtol=1e-11)


def test_phi_without_a_bias_is_that_of_one_there_would_be():
    torch.manual_seed(1)
    biased = situations.mlp().double()
    nn.init.zeros_(biased[0].bias)
    model = nn.Sequential(nn.Linear(12, 12, bias=False), nn.ReLU(), nn.Linear(12, 4)).double()
    model.load_state_dict({name: value for name, value in biased.state_dict().items() if name != "0.bias"})
    found = []
    for one in (biased, model):
        optimizer = torch.optim.SGD(one.parameters(), 0.1)
        with bthcheck.watch(one, optimizer, layer="0") as w:
            x, y = next(situations.batches(1, 8, torch.float64))
            nn.functional.cross_entropy(one(x), y).backward()
            optimizer.step()
        found.append(w.dataset())
    assert float(found[0].phi[0]) == float(found[1].phi[0]) > 0
    assert found[1]["update"].isnull().all()
    assert float(found[0]["update"][0]) > 0


def test_phi_of_accumulated_batches_is_that_of_one_batch():
    def watched(parts):
        torch.manual_seed(1)
        model = situations.mlp().double()
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with bthcheck.watch(model, optimizer) as w:
            for x, y in situations.batches(3, 8, torch.float64):
                optimizer.zero_grad()
                for part in range(parts):
                    some = slice(part * 8 // parts, (part + 1) * 8 // parts)
                    (nn.functional.cross_entropy(model(x[some]), y[some]) / parts).backward()
                optimizer.step()
        return w.dataset()

    whole, halves, quarters = watched(1), watched(2), watched(4)
    for parts, found in ((2, halves), (4, quarters)):
        assert (found.passes == parts).all()
        assert (found.samples == 8).all()
        for name in ("phi", "gradient_norm_mean", "gradient_norm_max", "update", "bias_variance"):
            np.testing.assert_allclose(found[name], whole[name], rtol=1e-11, err_msg=name)


def test_factors_on_the_loss_and_what_comes_behind_it_cancel():
    """The same batches give the same φ in the first step, whatever becomes of the gradient."""

    def first(factor, optimizer, clip):
        torch.manual_seed(1)
        model = situations.mlp().double()
        trained = optimizer(model.parameters())
        with bthcheck.watch(model, trained) as w:
            x, y = next(situations.batches(1, 8, torch.float64))
            (factor * nn.functional.cross_entropy(model(x), y)).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
            trained.step()
        return w.dataset().isel(step=0)

    plain = first(1.0, situations.sgd, False)
    for factor, optimizer, clip in (
        (1e6, situations.sgd, True),
        (1e-6, situations.adamw, False),
        (0.5, situations.momentum, True),
    ):
        other = first(factor, optimizer, clip)
        assert float(other.phi) == pytest.approx(float(plain.phi), rel=1e-12)
        assert float(other.gradient_norm_mean) == pytest.approx(float(plain.gradient_norm_mean), rel=1e-12)
        assert float(other["update"]) != pytest.approx(float(plain["update"]), rel=1e-3)


def test_the_formula_of_minibatches_holds_with_residuals_of_either_sign():
    """φ is less than the largest ‖g‖ of the batch, and 0 where two samples cancel."""
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.zeros(2, 1, dtype=torch.float64)
    with bthcheck.watch(model, optimizer) as w:
        f = model(x)
        (f[0, 0] - f[1, 0]).backward()
        optimizer.step()
    records = w.dataset()
    assert float(records.phi[0]) == 0
    norm = float(model[1].weight.detach().norm())
    assert float(records.gradient_norm_mean[0]) == pytest.approx(norm)


def test_samples_whose_loss_is_flat_have_no_gradient_norm():
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    with bthcheck.watch(model, optimizer) as w:
        for flat in (False, True):
            f = model(torch.ones(2, 1, dtype=torch.float64))
            (0.0 * f.sum() if flat else f[0, 0]).backward()
            optimizer.step()
    records = w.dataset()
    norm = float(model[1].weight.detach().norm())
    assert records.gradient_norm_mean.values[0] == pytest.approx(norm)
    assert records.gradient_norm_max.values[0] == pytest.approx(norm)
    assert records.phi.values[0] == pytest.approx(norm)
    assert np.isnan(records.gradient_norm_mean.values[1])
    assert np.isnan(records.gradient_norm_max.values[1])
    assert np.isnan(records.phi.values[1])
