"""Hugging Face's Trainer in two processes: each has its records, which are put together exactly."""

import pytest
import xarray as xr

from bthcheck.tests.integrations.hugging import fit
from bthcheck.tests.integrations.networks import assert_same_records
from bthcheck.tests.integrations.processes import run_two
from bthcheck.tests.integrations.two_trainers import CASES
from bthcheck.watching import merged
from bthcheck.watching.transformers import Watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    run_two("bthcheck.tests.integrations.two_trainers", folder)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_every_process_has_its_records(folder, case):
    parts = [xr.load_dataset(folder / f"{case}-{rank}.nc", engine="scipy") for rank in (0, 1)]
    assert [(part.attrs["rank"], part.attrs["processes"]) for part in parts] == [(0, 2), (1, 2)]
    together = merged(parts)
    assert together.sizes["step"] == 6
    assert set(together.samples.values) == {6}


def test_the_processes_together_are_one_with_all_points(folder):
    """BERT has dropout, of which every process has its own."""
    together = merged([xr.load_dataset(folder / f"regression-{rank}.nc", engine="scipy") for rank in (0, 1)])
    callback = Watch()
    fit(CASES["regression"](), CASES["regression"], callback, count=18, max_grad_norm=0.0, per_device_train_batch_size=6)
    one = callback.dataset()
    together["passes"] = one.passes
    assert_same_records(together.drop_vars("train_loss"), one.drop_vars("train_loss"), rtol=1e-10)
    assert together.train_loss.values == pytest.approx(one.train_loss.values, rel=1e-6)  # in float32
