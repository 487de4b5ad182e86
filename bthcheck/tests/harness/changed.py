"""Sessions of which one was put on record, and what was found in the others is changed on purpose."""

CLAIMS = """
import pytest

from bthcheck import claim
from bthcheck.experiments import SINUSOIDS

RATE = 0.001


@pytest.fixture(scope="session")
def tiny(train):
    return train(SINUSOIDS.replace(name="tiny", levels=(0.25, 0.5, 1.0), epochs=20, learning_rate=RATE))


@claim("SLOWER", statement="Higher frequencies train slower", source="Fig. 1a")
def test_slower(tiny, evidence):
    evidence.increases(tiny.train_loss.isel(epoch=-1), "frequency", quantity="training loss")


@claim("FASTER", statement="Higher frequencies train faster", source="nowhere")
def test_faster(tiny, evidence):
    evidence.decreases(tiny.train_loss.isel(epoch=-1), "frequency", quantity="training loss")


@claim("EXACT", statement="One is at most two", source="nowhere", kind="exact")
def test_exact(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""

NEW = """

@claim("NEW", statement="Two is at most three", source="nowhere", kind="exact")
def test_new(evidence):
    evidence.at_most([2.0], [3.0], 0.0, quantity="2 ≤ 3")
"""

SHIFTED = """
import bthcheck.training.engines as engines

pytest_plugins = ["bthcheck.pytest_plugin"]
run = engines.run


def shifted(*arguments, **options):
    dataset = run(*arguments, **options)
    dataset["train_loss"] = dataset.train_loss * 1.5
    return dataset


engines.run = shifted
"""
"""A conftest by which losses come out half as large again, of which no configuration knows."""
