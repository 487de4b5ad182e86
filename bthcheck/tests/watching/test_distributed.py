"""Two processes that train one network together."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import bthcheck
from bthcheck.tests.watching import distributed, situations
from bthcheck.watching import merged

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch is not distributed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left, which found training the same to the bit with and without being watched."""
    found = tmp_path_factory.mktemp("processes")
    commands = [[sys.executable, "-m", distributed.__name__, str(rank), str(found)] for rank in range(distributed.WORLD)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * distributed.WORLD, "\n".join(errors)
    return found


def together(accumulate):
    """The same training in one process."""
    torch.manual_seed(1)
    network = situations.mlp().double()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    with bthcheck.watch(network, optimizer, probe=torch.ones(2, 12, dtype=torch.float64), probe_every=2) as w:
        for number, (x, y) in enumerate(situations.batches(6, 8, torch.float64)):
            if number % 2 == 0 or not accumulate:
                optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(x), y)
            loss.backward()
            w.mark(loss=loss)
            if not accumulate or number % 2 == 1:
                optimizer.step()
    return w.dataset()


@pytest.mark.parametrize("name", ["plain", "accumulated"])
def test_records_of_processes_put_together_are_those_of_one(folder, name):
    parts = [xr.load_dataset(folder / f"{name}-{rank}.nc", engine="scipy") for rank in (1, 0)]
    found, whole = merged(parts), together(name == "accumulated")
    assert (parts[0].samples == whole.samples / 2).all()
    assert not np.allclose(parts[0].phi, whole.phi, rtol=1e-3)
    assert (found.passes == 2 * whole.passes).all()
    for quantity in set(whole.data_vars) - {"passes"}:
        np.testing.assert_allclose(found[quantity], whole[quantity], rtol=1e-9, atol=1e-15, err_msg=quantity)
    assert found.attrs["processes"] == 2
    assert "in 2 processes" in (folder / "reading-0").read_text(encoding="utf-8")


def test_what_is_not_of_one_training_is_refused(folder):
    one, other = (xr.load_dataset(folder / f"plain-{rank}.nc", engine="scipy") for rank in (0, 1))
    with pytest.raises(ValueError, match=r"needs the record of every process of one training, ranks 0, 1, …; got ranks 0, 0"):
        merged([one, one])
    with pytest.raises(ValueError, match="got ranks 0"):
        merged([one])
    with pytest.raises(ValueError, match="not of the same steps"):
        merged([one, other.isel(step=slice(2))])
    with pytest.raises(ValueError, match="do not have the same bias"):
        merged([one, other.assign(distance_to_init=2 * other.distance_to_init)])
    with pytest.raises(ValueError, match="not the Dataset of one watched training"):
        merged([one, other.drop_vars("phi")])


def test_sharded_models_are_refused_in_a_sentence(folder):
    for rank in range(distributed.WORLD):
        first, second = (folder / f"refused-{rank}").read_text(encoding="utf-8").splitlines()
        assert first == (
            "a model wrapped in FullyShardedDataParallel cannot be watched: FSDP shards the first layer's gradients over ranks"
        )
        assert second == "a model sharded by FSDP cannot be watched: the first layer's gradients are spread over ranks"


def test_processes_of_different_batches_are_weighted(folder):
    parts = [xr.load_dataset(folder / f"plain-{rank}.nc", engine="scipy") for rank in (0, 1)]
    parts[0]["samples"] = 3 * parts[0].samples
    found = merged(parts)
    for name in ("gradient_norm_mean", "train_loss"):
        np.testing.assert_allclose(found[name], (3 * parts[0][name] + parts[1][name]) / 4, rtol=1e-12)
