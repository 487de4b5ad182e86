"""Records in bounded memory, and the numbers that are made of what hooks kept."""

import math

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.tests.watching import situations
from bthcheck.tests.watching.conftest import steps
from bthcheck.watching.observed import Pass, Step
from bthcheck.watching.records import EpochPath, Records, reduced
from bthcheck.watching.situation import Given


def step(number, passes, before=None, after=None, rate=0.1, epoch=1.0, found=None, losses=()):
    return Step(number, passes, before, after, None, rate, found, float(number), epoch, list(losses))


def one(slopes, norms, sums, fresh=False):
    numbers = (torch.tensor(values, dtype=torch.float64) for values in (slopes, norms, sums))
    return Pass(*numbers, torch.tensor(fresh) if fresh is not False else False)


def test_quotients_by_hand():
    passes = [one([1.0, 3.0], [2.0, 3.0], [3.0, 0.0]), one([4.0], [20.0], [0.0, 4.0])]
    block, discarded = reduced([step(1, passes), step(2, passes[:1])], None, EpochPath(), vectors=True)
    assert discarded == 0
    assert block["phi"].tolist() == [5 / 8, 3 / 4]
    assert block["gradient_norm_mean"].tolist() == [(2 + 1 + 5) / 3, 1.5]
    assert block["gradient_norm_max"].tolist() == [5, 2]
    assert block["samples"].tolist() == [3, 2]
    assert block["passes"].tolist() == [2, 1]
    assert block["gradient_sum"].tolist() == [[3, 4], [3, 0]]
    assert block["slope_sum"].tolist() == [8, 4]
    assert np.isnan(block["update"]).all()


def test_passes_before_gradients_were_set_to_zero_do_not_count():
    stale, now = one([1.0], [5.0], [7.0]), one([2.0], [4.0], [6.0], fresh=True)
    block, discarded = reduced([step(1, [stale, now]), step(2, [stale, stale])], None, EpochPath())
    assert discarded == 1
    assert block["phi"].tolist() == [3, 7]
    assert block["passes"].tolist() == [1, 2]
    # A gradient that is zero because those before were is no sign of it.
    dead = one([1.0], [0.0], [0.0])
    block, discarded = reduced([step(1, [dead, now])], None, EpochPath())
    assert discarded == 0
    assert block["phi"].tolist() == [2]


def test_a_step_that_a_scaler_made_none_is_left_out():
    passes = [one([1.0], [1.0], [1.0])]
    steps = [step(number, passes, found=torch.tensor(float(number == 2))) for number in (1, 2, 3)]
    block, discarded = reduced(steps, None, EpochPath())
    assert block["step"].tolist() == [1, 3]
    assert discarded == 1
    assert reduced(steps[1:2], None, EpochPath()) == ({}, 1)


def test_losses_of_one_step_are_averaged_and_may_be_tensors():
    given = [[torch.tensor(1.0), 3.0], [], [torch.tensor([2.0])]]
    block, _ = reduced([step(i + 1, [], losses=losses) for i, losses in enumerate(given)], None, EpochPath())
    assert block["train_loss"].tolist()[::2] == [2, 2]
    assert math.isnan(block["train_loss"][1])
    assert np.isnan(block["phi"]).all()
    assert block["samples"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cuts", [[], [1], [4], [2, 3, 7]])
def test_variance_within_an_epoch_so_far(cuts):
    """Against NumPy's, with blocks and epochs that end where they like."""
    generator = np.random.default_rng(0)
    biases, rates = 100 + generator.normal(size=(9, 3)), generator.uniform(0.1, 1, 9)
    epochs = np.array([math.nan, math.nan, 1, 1, 1, 2, 2, 2, 2])
    path = EpochPath()
    parts = zip([0, *cuts], [*cuts, 9], strict=True)
    found = np.concatenate([path.variances(epochs[a:b], biases[a:b], rates[a:b]) for a, b in parts])
    begins = [0, 0, 2, 2, 2, 5, 5, 5, 5]
    wanted = [biases[a : i + 1].var(0).sum() / rates[a : i + 1].mean() ** 2 for i, a in enumerate(begins)]
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_memory_is_bounded_and_that_is_said():
    records = Records(limit=10, every=1)

    def fill():
        for number in range(1, 101):
            if records.wants(number) or number == 50:
                probed = np.array([1.0 if number == 50 else math.nan])
                records.add({"step": np.array([number]), "lipschitz_mean": probed, "phi": np.array([float(number)])})

    with pytest.warns(UserWarning, match="more than 10 steps are recorded; from now on every second of them is kept") as said:
        fill()
    assert len(said) == 1
    table = records.table()
    assert records.every == 16
    assert table["step"].tolist() == [1, 17, 33, 49, 50, 65, 81, 97]  # and what was probed
    assert table["phi"].tolist() == table["step"].tolist()


def test_a_long_training_is_thinned_by_a_watch(training):
    w = bthcheck.watch(*training, limit=20)
    with pytest.warns(UserWarning, match="more than 20 steps"), w:
        steps(*training, 200)
    found = w.dataset()
    assert found.sizes["step"] <= 40
    assert found.attrs["every"] > 1
    assert found.attrs["steps"] == 200
    assert found.step.values[0] == 1
    assert (np.diff(found.step) == found.attrs["every"]).all()
    with bthcheck.watch(*training) as again:
        steps(*training, 200)
    assert again.dataset().sizes["step"] == 200


def test_no_block_is_waited_for_in_a_step(training, monkeypatch):
    """Nothing is fetched to the host but once a block."""
    fetched = []
    for name in ("item", "numpy", "tolist", "__float__", "__bool__", "cpu"):
        original = getattr(torch.Tensor, name)

        def counting(self, *args, _original=original, _name=name, **kwargs):
            fetched.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counting)
    with bthcheck.watch(*training) as w:
        steps(*training, 15, w)
        assert not fetched
        steps(*training, 1, w)
        assert fetched
    assert w.dataset().sizes["step"] == 16


def test_whether_gradients_were_changed_before_the_step():
    def seen(ratios, scaled=False):
        given = Given()
        block = {"learning_rate": np.array([0.1, 0.1]), "phi": np.array([2.0, 2.0]), "slope_sum": np.array([3.0, 3.0])}
        given.add(6.0 * np.array(ratios), block)
        return given.clipped(scaled)

    assert not seen([1.0, math.nan])
    assert seen([1.0, 0.5])
    assert not seen([2.0**-16, 2.0**-15], scaled=True)
    assert seen([2.0**-16, 0.7 * 2.0**-16], scaled=True)
    assert not seen([0.0, 1.0])


def test_learning_rates_may_be_tensors():
    torch.manual_seed(0)
    model = situations.mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=torch.tensor(0.01), capturable=False, foreach=False)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    with bthcheck.watch(model, optimizer) as w:
        for _ in range(3):
            steps(model, optimizer, 1)
            scheduler.step()
    np.testing.assert_allclose(w.dataset().learning_rate, [0.01, 0.005, 0.0025], rtol=1e-6)


def test_the_learning_rate_is_that_of_the_bias():
    model = situations.mlp()
    groups = [{"params": model[0].weight}, {"params": [model[2].bias, model[0].bias], "lr": 0.5, "weight_decay": 0.25}]
    optimizer = torch.optim.SGD(groups, 0.1)
    with bthcheck.watch(model, optimizer) as w:
        steps(model, optimizer)
    assert (w.dataset().learning_rate == 0.5).all()
    assert "weight decay of 0.25" in str(w.reading().of("bias"))
