"""The life of a watch: attaching, leaving, copies and pickles of what is watched, marks, logs."""

import copy
import gc
import io
import pickle
import subprocess
import sys
import warnings
import weakref

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import bthcheck
from bthcheck.evidence import trend
from bthcheck.tests.watching import situations
from bthcheck.tests.watching.conftest import clean, steps
from bthcheck.watching import by_epoch, unwatch
from bthcheck.watching.layers import inner_optimizer


def test_hooks_are_gone_after_an_exception_and_records_stay(training):
    w = bthcheck.watch(*training)
    with pytest.raises(KeyError, match="in the block"), w:  # noqa: PT012
        steps(*training)
        raise KeyError("in the block")
    assert clean(*training)
    assert w.dataset().sizes["step"] == 3
    steps(*training)
    assert w.dataset().sizes["step"] == 3


def test_an_exception_in_the_forward_pass_leaves_no_trace(training):
    model, _ = training
    with bthcheck.watch(*training) as w:
        steps(*training)
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, 11))
        model[2].weight.data = model[2].weight.data.double()
        with pytest.raises(RuntimeError):
            model(torch.zeros(2, 12))
        model[2].weight.data = model[2].weight.data.float()
        steps(*training)
    found = w.dataset()
    assert found.sizes["step"] == 6
    assert found.phi.notnull().all()
    assert (found.samples == 8).all()


def test_no_with_is_needed(training):
    w = bthcheck.watch(*training)
    steps(*training)
    w.detach()
    w.detach()
    assert clean(*training)
    assert w.dataset().sizes["step"] == 3


def test_one_model_is_watched_once(training):
    model, optimizer = training
    w = bthcheck.watch(*training)
    with pytest.raises(ValueError, match=r"already being watched; leave that block, call detach\(\) on what watches it"):
        bthcheck.watch(*training)
    unwatch(model)
    assert clean(*training)
    assert not w.attached
    with bthcheck.watch(*training) as w:
        steps(*training)
    assert w.dataset().sizes["step"] == 3
    del optimizer


def test_a_copy_of_a_watched_model_is_a_model_of_its_own(training):
    model, _ = training
    with bthcheck.watch(*training) as w:
        other = copy.deepcopy(model)
        again = copy.deepcopy(other)
        optimizer = torch.optim.SGD(again.parameters(), 0.1)
        steps(again, optimizer)
        assert w.dataset().sizes["step"] == 0
        with bthcheck.watch(again, optimizer) as its:
            steps(again, optimizer)
        assert its.dataset().sizes["step"] == 3
        steps(*training)
    assert w.dataset().sizes["step"] == 3
    averaged = torch.optim.swa_utils.AveragedModel(model)
    assert torch.equal(averaged.module[0].bias, model[0].bias)


def test_a_pickled_model_needs_nothing_of_this_package(training, tmp_path):
    model, optimizer = training
    with bthcheck.watch(*training):
        steps(*training)
        model(torch.zeros(2, 12)).sum().backward()
        torch.save({"model": model, "optimizer": optimizer.state_dict()}, tmp_path / "model.pt")
        content = pickle.dumps(optimizer)
    assert b"bthcheck" not in (tmp_path / "model.pt").read_bytes() + content
    program = (
        "import sys, torch; sys.modules['bthcheck'] = None; m = torch.load(sys.argv[1], weights_only=False)['model'];"
        "m(torch.ones(2, 12)).sum().backward(); print(float(m[0].bias.detach().sum()))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.pt")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(output) == pytest.approx(float(model[0].bias.detach().sum()))


def test_graphs_are_not_kept(training):
    model, optimizer = training
    with bthcheck.watch(*training) as w:
        kept = []
        handle = model[0].register_forward_hook(lambda _module, _args, z: kept.append(weakref.ref(z)))
        x, y = next(situations.batches(1))
        f = model(x)
        kept.append(weakref.ref(f))
        nn.functional.cross_entropy(f, y).backward()
        optimizer.step()
        handle.remove()
        del f
        gc.collect()
        assert [one() for one in kept] == [None, None]
    assert w.dataset().sizes["step"] == 1


def test_marks_say_epoch_and_loss(training):
    model, optimizer = training
    given = []
    with bthcheck.watch(*training) as w:
        for epoch in (1, 2):
            w.mark(epoch=epoch)
            for number, (x, y) in enumerate(situations.batches(3)):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                if number == 0:
                    w.mark(loss=loss)  # before the step
                optimizer.step()
                if number == 1:
                    w.mark(loss=float(loss.detach()))  # after it
                given.append(float(loss.detach()) if number < 2 else np.nan)
    found = w.dataset()
    assert found.epoch.values.tolist() == [1, 1, 1, 2, 2, 2]
    np.testing.assert_allclose(found.train_loss, given, rtol=1e-6)
    assert (np.diff(found.wall_time) > 0).all()
    table = by_epoch(found)
    assert table.epoch.values.tolist() == [1, 2]
    np.testing.assert_allclose(table.trajectory_length, found.phi.values.reshape(2, 3).sum(1))
    assert table.train_loss.isnull().all()  # one of each three is not known


def test_records_of_every_so_many_steps(training):
    with bthcheck.watch(*training) as whole:
        steps(*training, 7)
    torch.manual_seed(0)
    model = situations.mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with bthcheck.watch(model, optimizer, every=3, probe=torch.zeros(2, 12), probe_every=5) as some:
        steps(model, optimizer, 7)
    found = some.dataset()
    assert found.step.values.tolist() == [1, 4, 5, 7]  # the fifth for its probe
    for name in ("phi", "update", "distance_to_init", "gradient_norm_max"):
        np.testing.assert_array_equal(found[name], whole.dataset()[name].sel(step=[1, 4, 5, 7]))
    assert found.lipschitz_mean.notnull().values.tolist() == [False, False, True, True]  # and the last
    with pytest.raises(ValueError, match=r"sums over an epoch need a record of every step"):
        by_epoch(found.assign_coords(epoch=("step", np.ones(4))))


def test_several_trainings_go_straight_into_a_test():
    def trained(width, seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))
        with torch.no_grad():
            model[2].weight.mul_(width)  # what is behind z is steeper
        optimizer = torch.optim.SGD(model.parameters(), 1e-3)
        with bthcheck.watch(model, optimizer, probe=torch.randn(4, 12), probe_every="epoch") as w:
            w.mark(epoch=1)
            steps(model, optimizer)
        return w.dataset()

    by_width = [
        xr.concat([trained(width, seed) for seed in range(8)], xr.DataArray(range(8), dims="seed", name="seed"))
        for width in (1.0, 2.0, 4.0)
    ]
    runs = xr.concat(by_width, xr.DataArray([1.0, 2.0, 4.0], dims="width", name="width"))
    for values in (runs.phi.mean("step"), runs.gradient_norm_mean.mean("step"), runs.lipschitz_max.max("step")):
        finding = trend(values, "width")
        assert finding.verdict.value == "supported"
    assert runs.phi.attrs["units"] == "output / input"


def test_netcdf_gives_back_what_it_was_given(training, tmp_path):
    with bthcheck.watch(*training, probe=torch.zeros(2, 12), probe_every=1) as w:
        w.mark(epoch=1)
        steps(*training, w=w)
    found = w.dataset()
    found.to_netcdf(tmp_path / "records.nc", engine="scipy")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "records.nc", engine="scipy"), found)


def test_a_log_is_told_every_record(training):
    told = []
    with bthcheck.watch(*training, log=lambda values, step: told.append((step, values))) as w:
        steps(*training, 20, w)
    found = w.dataset()
    assert [step for step, _ in told] == list(range(1, 21))
    assert [values["phi"] for _, values in told] == found.phi.values.tolist()
    assert all(isinstance(value, float) for _, values in told for value in values.values())
    assert "lipschitz_mean" not in told[0][1]
    assert told[0][1].keys() >= {"phi", "gradient_norm_mean", "update", "train_loss", "learning_rate", "wall_time"}


def test_a_log_that_fails_is_said_once_and_harms_nothing(training):
    def log(values, step):
        raise OSError(f"no space at {step}")

    w = bthcheck.watch(*training, log=log)
    with pytest.warns(UserWarning, match="log failed, and is not called again: OSError: no space at 1") as said, w:
        steps(*training, 40)
    assert len(said) == 1
    assert w.dataset().sizes["step"] == 40


def test_an_import_costs_nothing():
    program = "import sys, bthcheck.watching; sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'xarray')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_wrapped_optimizers_are_looked_into(training):
    class Wrapped(torch.optim.Optimizer):
        """As accelerate wraps them: derived from Optimizer, without its __init__."""

        def __init__(self, optimizer):
            self.optimizer = optimizer

    model, optimizer = training
    assert inner_optimizer(Wrapped(Wrapped(optimizer))) is optimizer
    with bthcheck.watch(model, Wrapped(optimizer)) as w:
        steps(*training)
    assert w.dataset().sizes["step"] == 3


def test_nothing_is_said_where_nothing_is_wrong(training):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with bthcheck.watch(*training):
            steps(*training, 5)


def test_a_figure_can_be_saved(training):
    with bthcheck.watch(*training, probe=torch.zeros(2, 12), probe_every=1) as w:
        steps(*training, 5, w)
    drawn = io.BytesIO()
    w.plot().savefig(drawn, format="svg")
    assert drawn.getvalue().count(b"<path") > 10


def test_what_others_do_to_the_bias_is_no_update(training):
    model, _ = training
    with bthcheck.watch(*training) as w:
        steps(*training, 2)
        with torch.no_grad():
            model[0].bias.add_(1.0)
        before = model[0].bias.detach().clone()
        steps(*training, 1)
        moved = float((model[0].bias.detach() - before).norm())
    found = w.dataset()
    assert float(found["update"][2]) == pytest.approx(moved, rel=1e-6)
    assert moved < 0.5
    assert float(found.distance_to_init[2]) > 3
