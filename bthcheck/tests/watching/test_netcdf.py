"""Records in a netCDF file."""

import torch
import xarray as xr
from torch import nn

import bthcheck
from bthcheck.watching import by_epoch


def test_records_are_read_back_the_same(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with bthcheck.watch(net, optimizer, probe=torch.randn(2, 3), probe_every="epoch") as w:
        for epoch in range(2):
            w.mark(epoch=epoch + 1)
            for _ in range(5):
                optimizer.zero_grad()
                (net(torch.randn(5, 3)) ** 2).mean().backward()
                optimizer.step()
    records = w.dataset()
    records.to_netcdf(tmp_path / "records.nc", engine="scipy")
    found = xr.load_dataset(tmp_path / "records.nc", engine="scipy")
    xr.testing.assert_identical(found, records)
    assert found.attrs["reading"] == records.attrs["reading"] == str(w.reading())
    xr.testing.assert_identical(by_epoch(found), by_epoch(records))
