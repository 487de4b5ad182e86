"""float32 that is float32 while training, whatever the program chose."""

import pytest
import torch

import bthcheck
from bthcheck.tests.training.test_engines import SMALL
from bthcheck.training import precision
from bthcheck.training.runs import Run


def places():
    return [(place, name) for place, name, _ in precision._settings()]


@pytest.fixture(params=["old names", "new names"])
def tf32(request):
    """A program that allows shortcuts, under either generation of PyTorch's names; what it set."""
    backends = torch.backends
    before = [getattr(place, name) for place, name in places()]
    if request.param == "old names":
        torch.set_float32_matmul_precision("high")
    elif hasattr(backends, "fp32_precision"):
        backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "tf32"
    else:
        pytest.skip("this PyTorch has no new names")
    yield [getattr(place, name) for place, name in places()]
    if request.param == "old names":
        torch.set_float32_matmul_precision("highest")
    for (place, name), value in zip(places(), before, strict=True):
        setattr(place, name, value)


@pytest.mark.parametrize("engine", ["stacked", "reference"])
def test_no_tf32_while_training_whatever_the_program_chose(engine, tf32, monkeypatch):
    seen = []
    original = Run.network

    def network(self):
        seen.extend(getattr(place, name) for place, name in places())
        return original(self)

    monkeypatch.setattr(Run, "network", network)
    bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(0,), epochs=1), engine=engine, progress=False)
    wanted = {value for _, _, value in precision._settings()}
    assert set(seen[-len(places()) :]) == wanted
    assert [getattr(place, name) for place, name in places()] == tf32 != seen[-len(places()) :]


def test_precision_is_restored_by_the_last_to_leave_and_after_an_error(tf32):
    def now():
        return [getattr(place, name) for place, name in places()]

    first, second = precision.full_float32(), precision.full_float32()
    first.__enter__()
    second.__enter__()
    inside = now()
    assert inside != tf32
    first.__exit__(None, None, None)
    assert now() == inside
    with pytest.raises(KeyError), precision.full_float32():
        raise KeyError
    assert now() == inside
    second.__exit__(None, None, None)
    assert now() == tf32
