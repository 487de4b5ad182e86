"""Whatever Lightning does in its loop, it trains to the bit as without the callback, and every step has its record."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.tests.integrations.lit import Adversaries, Lit, Manual, fit, loader
from bthcheck.tests.integrations.networks import assert_same_bits, assert_same_records, mlp, points
from bthcheck.watching.lightning import Watch

BATCHES = 7
"""Of an epoch; the last has two points instead of three."""


def adam():
    return Lit(optimizer=torch.optim.AdamW, lr=0.01, weight_decay=0.1)


def with_state():
    return Lit(mlp(nn.BatchNorm1d(6), nn.Dropout(0.3)))


class InSingle(Lit):
    """In float32, for mixed precision."""

    def __init__(self):
        super().__init__(mlp().float())

    def training_step(self, batch, index):
        return super().training_step([one.float() for one in batch], index)


class Scheduled(Lit):
    """With a learning rate that changes at every step."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), "interval": "step"}]


class SkipsTheSecond(Lit):
    """Returns no loss for one batch."""

    def training_step(self, batch, index):
        return None if index == 1 else super().training_step(batch, index)


CASES = {
    "SGD": (Lit, {}, 14),
    "AdamW": (adam, {}, 14),
    "batch normalisation and dropout": (with_state, {}, 14),
    "accumulation": (Lit, {"accumulate_grad_batches": 3}, 6),
    "clipping": (Lit, {"gradient_clip_val": 0.01}, 14),
    "accumulation and clipping": (adam, {"accumulate_grad_batches": 2, "gradient_clip_val": 0.01}, 8),
    "bf16-mixed": (InSingle, {"precision": "bf16-mixed"}, 14),
    "validation every second batch": (with_state, {"validation": True, "val_check_interval": 2}, 14),
    "sanity checking": (with_state, {"validation": True, "num_sanity_val_steps": 2}, 14),
    "fast_dev_run": (Lit, {"validation": True, "fast_dev_run": True}, 1),
    "fast_dev_run of 3": (Lit, {"fast_dev_run": 3}, 3),
    "max_steps": (Lit, {"max_steps": 5}, 5),
    "a scheduler": (Scheduled, {}, 14),
    "a batch without a loss": (SkipsTheSecond, {}, 14),
    "manual optimization": (Manual, {}, 14),
}


def options_of(options):
    validation = loader(seed=7) if options.get("validation") else None
    return {**options, "validation": validation, "num_sanity_val_steps": options.get("num_sanity_val_steps", 0)}


@pytest.mark.parametrize("case", CASES)
def test_training_is_the_same_to_the_bit(case):
    make, options, steps = CASES[case]
    alone, watched, callback = make(), make(), Watch(probe_every="epoch")
    without = fit(alone, **options_of(options))
    state = torch.random.get_rng_state()
    trainer = fit(watched, callback, **options_of(options))
    assert torch.equal(state, torch.random.get_rng_state())
    assert_same_bits(alone.state_dict(), watched.state_dict())
    assert_same_bits(without.optimizers[0].state_dict(), trainer.optimizers[0].state_dict())
    records = callback.dataset()
    assert records.sizes["step"] == trainer.global_step == steps
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in watched.modules())
    assert set(records.epoch.values) <= {1.0, 2.0}
    assert records.phi.notnull().sum() == (steps - 2 if make is SkipsTheSecond else steps)


@pytest.mark.parametrize(
    "case", ["SGD", "AdamW", "accumulation", "clipping", "accumulation and clipping", "manual optimization"]
)
def test_phi_is_that_of_per_sample_autograd(case):
    make, options, steps = CASES[case]
    module, callback = make(), Watch()
    module.by_hand = []
    fit(module, callback, **options_of(options))
    records = callback.dataset()
    assert len(module.by_hand) == steps
    np.testing.assert_allclose(records.phi, module.by_hand, rtol=1e-10)
    assert "clipping" in str(callback.reading()) or "gradient_clip_val" not in options


@pytest.mark.parametrize("validation", [False, True])
def test_records_are_those_of_a_plain_loop(validation):
    x, _ = points(4, seed=9)
    module, callback = Lit(), Watch(probe=x, probe_every=3)
    fit(module, callback, validation=loader(seed=7) if validation else None, max_epochs=2)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with bthcheck.watch(net, optimizer, probe=x, probe_every=3) as w:
        for epoch in range(2):
            w.mark(epoch=epoch + 1)
            for x, y in loader():
                optimizer.zero_grad()
                loss = module.loss(net(x), y)
                w.mark(loss=loss)
                loss.backward()
                optimizer.step()
    plain, found = w.dataset(), callback.dataset()
    assert found.lipschitz_mean.notnull().sum() == 5
    assert_same_records(plain, found)
    assert {**found.attrs, "model": "", "layer": "", "reading": ""} == {**plain.attrs, "model": "", "layer": "", "reading": ""}
    assert (found.attrs["model"], found.attrs["layer"]) == ("Lit", "net.0")
    assert found.attrs["reading"] == plain.attrs["reading"].replace("'0'", "'net.0'")


@pytest.mark.parametrize(("count", "steps"), [(1, 14), (2, 8), (3, 6)])
def test_a_loss_is_the_mean_of_its_batches(count, steps):
    module, callback = Lit(), Watch()
    fit(module, callback, accumulate_grad_batches=count)
    epochs = np.array(module.losses).reshape(2, BATCHES)
    wanted = [epoch[first : first + count].mean() for epoch in epochs for first in range(0, BATCHES, count)]
    assert len(wanted) == steps
    np.testing.assert_allclose(callback.dataset().train_loss, wanted, rtol=1e-12)


def test_in_manual_optimization_a_loss_of_several_passes_is_not_known():
    module, callback = Manual(), Watch()
    fit(module, callback, max_epochs=1)
    records = callback.dataset()
    assert records.passes.values.tolist() == [1, 2, 1, 2, 1, 2, 1]
    wanted = [module.losses[first] if first is not None else math.nan for first in (0, None, 3, None, 6, None, 9)]
    np.testing.assert_allclose(records.train_loss, wanted, rtol=1e-12)


@pytest.mark.parametrize(("network", "optimizer"), [("generator", 0), ("critic", 1)])
def test_of_two_networks_one_is_watched(network, optimizer):
    alone, module = Adversaries(), Adversaries()
    callback = Watch(model=network, optimizer=optimizer)
    without, trainer = fit(alone), fit(module, callback)
    assert_same_bits(alone.state_dict(), module.state_dict())
    for one, other in zip(without.optimizers, trainer.optimizers, strict=True):
        assert_same_bits(one.state_dict(), other.state_dict())
    records = callback.dataset()
    assert records.sizes["step"] == 14
    assert records.phi.notnull().all()
    if network == "generator":  # whose gradients come through the critic
        np.testing.assert_allclose(records.train_loss, module.losses, rtol=1e-12)
        assert set(records.passes.values) == {1}


def test_what_is_compiled_has_the_same_records_but_for_single_samples():
    norms = ["gradient_norm_mean", "gradient_norm_max"]
    plain, whole, part = Watch(), Watch(), Watch(model="net")
    fit(Lit(), plain)
    fit(torch.compile(Lit(), backend="eager"), whole)
    fit(Lit(torch.compile(mlp(), backend="eager")), part)
    for compiled in (whole, part):
        assert_same_records(compiled.dataset().drop_vars(norms), plain.dataset().drop_vars(norms))
        assert all(compiled.dataset()[name].isnull().all() for name in norms)


def test_a_validation_that_takes_gradients_leaves_no_record():
    class Differentiates(Lit):
        def validation_step(self, batch, index):
            with torch.enable_grad():
                self.loss(self(batch[0]), batch[1]).backward()
            self.zero_grad()

    records = []
    for validation in (None, loader(seed=7)):
        callback = Watch()
        module = Differentiates()
        fit(module, callback, validation=validation, val_check_interval=2, inference_mode=False)
        records.append(callback.dataset())
    assert_same_records(*records)
    assert records[1].attrs["discarded"] == 0
