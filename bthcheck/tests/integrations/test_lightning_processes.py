"""Lightning with DistributedDataParallel: every process has its records, which are put together exactly."""

import pytest
import xarray as xr
from torch.utils.data import DataLoader, TensorDataset

from bthcheck.tests.integrations.lit import Lit, fit
from bthcheck.tests.integrations.networks import assert_same_records, points
from bthcheck.tests.integrations.processes import run_two
from bthcheck.tests.integrations.two_processes import CASES
from bthcheck.watching import merged
from bthcheck.watching.lightning import Watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    run_two("bthcheck.tests.integrations.two_processes", folder)
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
