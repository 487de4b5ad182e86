"""Lightning with DistributedDataParallel: every process has its records, which are put together exactly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from torch.utils.data import DataLoader, TensorDataset

import bthcheck
from bthcheck.tests.integrations.lit import Lit, fit
from bthcheck.tests.integrations.networks import assert_same_records, points
from bthcheck.tests.integrations.two_processes import CASES
from bthcheck.watching import merged
from bthcheck.watching.lightning import Watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = str(Path(bthcheck.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "-m", "bthcheck.tests.integrations.two_processes", folder],
        capture_output=True, text=True, env=environment, cwd=folder, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("case", CASES)
def test_the_processes_together_are_one_with_all_points(folder, case):
    parts = [xr.load_dataset(folder / f"{case}-{rank}.nc", engine="scipy") for rank in (1, 0)]
    assert {(part.attrs["rank"], part.attrs["processes"]) for part in parts} == {(0, 2), (1, 2)}
    together = merged(parts)
    data = DataLoader(TensorDataset(*points(18)), batch_size=18 if case == "accumulated" else 6)
    callback = Watch(probe=points(2, seed=5)[0], probe_every=2, points=1)
    fit(Lit(), callback, data=data)
    one = callback.dataset()
    assert one.sizes["step"] == (2 if case == "accumulated" else 6)
    together["passes"] = one.passes
    assert_same_records(together, one, rtol=1e-10)


def test_a_network_that_is_never_called_is_refused_there_too(folder):
    for rank in (0, 1):
        assert "training_step of CallsItsNet did not call self(…)" in (folder / f"refused-{rank}").read_text(encoding="utf-8")
