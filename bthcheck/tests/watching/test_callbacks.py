"""Callbacks without the libraries that they are for."""

import importlib
import subprocess
import sys

import pytest
import torch
from torch import nn

from bthcheck.watching.callbacks import OPTIONS, Attached

LIBRARIES = ("lightning", "pytorch_lightning", "transformers", "tensorboard", "mlflow", "wandb", "zarr", "IPython")


@pytest.mark.parametrize(
    ("library", "names"), [("lightning", ("lightning.pytorch", "pytorch_lightning")), ("transformers", ("transformers",))]
)
def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, library, names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"bthcheck.watching.{library}", raising=False)
    said = rf"^{library} is needed for this and cannot be imported .*; pip install 'bthcheck\[{library}\]'$"
    with pytest.raises(ImportError, match=said):
        importlib.import_module(f"bthcheck.watching.{library}")


def test_no_library_is_imported_unless_it_is_asked_for():
    code = f"""
import sys, torch
before = set(sys.modules)
import bthcheck.watching
from bthcheck.watching import Reading, Watch, by_epoch, merged, unwatch, watch
import bthcheck.watching.callbacks, bthcheck.watching.logs
print(sorted({{name.partition('.')[0] for name in set(sys.modules) - before}} & set({LIBRARIES!r})))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_options_are_those_of_the_watch():
    assert list(OPTIONS) == ["layer", "output", "probe", "every", "probe_every", "points", "limit", "log"]
    with pytest.raises(TypeError, match="'Every' is no option of a watch; there are 'layer', 'output', "):
        Attached({"Every": 1})


def test_a_watch_is_attached_replaced_and_detached():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def train(steps):
        for _ in range(steps):
            net(torch.randn(5, 3)).sum().backward()
            optimizer.step()

    attached = Attached({"every": 2})
    attached.detach()
    for ask in (attached.dataset, attached.reading, attached.plot):
        with pytest.raises(ValueError, match="nothing was watched yet: no training has begun with this callback"):
            ask()
    with attached:
        attached.attach(net, optimizer)
        train(3)
        attached.attach(net, optimizer, process=(1, 2), every=1)
        train(5)
    train(1)
    records = attached.dataset()
    assert records.sizes["step"] == 5
    assert (records.attrs["rank"], records.attrs["processes"]) == (1, 2)
    assert not net._forward_hooks
    assert "Lemma 1" in str(attached.reading())
    assert attached.plot().axes
    with pytest.raises(ValueError, match="layer must name a layer of the model"):
        attached.attach(net, optimizer, layer="none")
    with pytest.raises(ValueError, match="nothing was watched yet"):
        attached.dataset()
