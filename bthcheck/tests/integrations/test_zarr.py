"""Records in a zarr store."""

import xarray as xr

from bthcheck.tests.integrations.training import logged
from bthcheck.watching import by_epoch


def test_records_are_read_back_the_same(tmp_path):
    records = logged(None)
    records.to_zarr(tmp_path / "records.zarr")
    found = xr.load_dataset(tmp_path / "records.zarr", engine="zarr")
    xr.testing.assert_identical(found, records)
    assert found.attrs == records.attrs
    xr.testing.assert_identical(by_epoch(found), by_epoch(records))
