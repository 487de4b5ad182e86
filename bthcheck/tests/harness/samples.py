"""Claims that tests run in sessions of their own."""

CONFTEST = 'pytest_plugins = ["bthcheck.pytest_plugin"]\n'

CLAIMS = """
import os
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from bthcheck import claim


def values(slope, seed=0):
    table = slope * np.arange(4) + np.random.default_rng(seed).normal(size=(8, 4))
    return xr.DataArray(table, {"seed": range(8), "level": [1, 2, 3, 4]}, ("seed", "level"))


@claim("UP", statement="It grows", source="nowhere")
def test_up(evidence):
    evidence.increases(values(3), "level", quantity="height")
    figure = Figure()
    figure.subplots().plot([1, 2])
    evidence.figure(figure, "A line.")


@claim("DOWN", statement="It grows, but shrinks", source="nowhere")
def test_down(evidence):
    evidence.increases(values(-3), "level")


@claim("NOISE", statement="It grows, or not", source="nowhere")
def test_noise(evidence):
    evidence.increases(values(0), "level")


@claim("EXACT", statement="One is at most two", source="nowhere", kind="exact")
def test_exact(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""

TROUBLE = """
import os
import pytest
from bthcheck import claim


@pytest.fixture
def broken():
    raise RuntimeError("the fixture broke")


@claim("CRASH", statement="It crashes", source="nowhere")
def test_crash(evidence):
    os._exit(3)


@claim("SETUP", statement="Its fixture breaks", source="nowhere")
def test_setup(broken, evidence):
    pass


@claim("RAISES", statement="It raises", source="nowhere")
def test_raises(evidence):
    evidence.note("so far")
    raise ZeroDivisionError("by nought")


@claim("FAILS", statement="It gives up", source="nowhere", kind="exact")
def test_fails(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
    pytest.fail("no more")


@claim("EMPTY", statement="It presents nothing", source="nowhere", kind="exact")
def test_empty(evidence):
    pass


@claim("GOOD", statement="It holds", source="nowhere", kind="exact")
def test_good(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""

TRAINED = """
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS
import pytest


@pytest.fixture(scope="session")
def tiny(train):
    return train(SINUSOIDS.replace(name="tiny", levels=(0.25, 0.5, 1.0), epochs=300))


@claim("SLOWER", statement="Higher frequencies train slower", source="Fig. 1a")
def test_slower(tiny, evidence):
    evidence.increases(tiny.train_loss.isel(epoch=-1), "frequency", quantity="training loss")


@claim("WORSE", statement="They generalise worse", source="Fig. 1c")
def test_worse(tiny, evidence):
    evidence.increases(tiny.test_loss.isel(epoch=-1), "frequency", quantity="test loss")
"""

ONE = """
from bthcheck import claim


@claim("ONE", statement="One is at most two", source="nowhere", kind="exact")
def test_one(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""
