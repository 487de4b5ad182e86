"""A session whose runs and results are all in the cache imports neither PyTorch nor Numba nor Hypothesis.

That is until it has finished: Hypothesis's plugin for pytest imports Hypothesis where the summary is printed.
"""

from bthcheck.tests.harness.samples import CONFTEST

TINY = """
from functools import partial
import numpy as np
from bthcheck import claim, figures, trace
from bthcheck.evidence.search import Comparison, Search, examples, falsify
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.geometry import lipschitz, regions
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages

SMALL = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=(0, 1), epochs=2, network=MLP((10, 10, 4, 1)))
IMAGES = CORRUPTED_CIFAR_SMALL.replace(
    task=CorruptedImages(train=8, test=4), network=CNN(channels=(2, 3), hidden=4), levels=(0.0, 0.4), seeds=(0,), epochs=1
)


def search(max_examples) -> Search:
    return falsify(examples(), lambda example: measured(*example), max_examples)


def measured(network, x):
    value = lipschitz.local_lipschitz(network, x).numpy()
    return Comparison(value, np.full_like(value, 1e300), np.zeros_like(value))


def products(runs):
    return np.array([lipschitz.product_bound(runs.bthcheck.weights(level, 0)) for level in runs[runs.level].values])


@claim("BOUND", statement="It is bounded", source="nowhere", kind="exact")
def test_bound(train, evidence, kept):
    runs = train(SMALL)
    evidence.at_most(runs.lipschitz_max.isel(epoch=-1, seed=0), kept(products, runs), 1e-6, quantity="λ")
    evidence.withstands(kept(search, 5), "λ is finite")
    evidence.figure(partial(figures.curves, runs.train_loss, "frequency", ylabel="loss"), "Losses.")


@claim("IMAGES", statement="Losses are finite", source="nowhere", kind="exact")
def test_images(train, evidence):
    evidence.at_most(train(IMAGES).train_loss, 1e300, 0.0, quantity="loss")
"""

SAYING = f"""{CONFTEST}
import sys

def pytest_sessionfinish(session):
    worker = getattr(session.config, "workerinput", {{}}).get("workerid", "main")
    with open(f"loaded-{{worker}}", "w") as file:
        print(*sorted({{"torch", "numba", "hypothesis"}} & set(sys.modules)), file=file)
"""


def test_a_warm_session_imports_nothing_that_trains_or_searches(claims):
    def loaded(*arguments):
        for path in claims.folder.glob("loaded-*"):
            path.unlink()
        outcome = claims(TINY, *arguments, conftest=SAYING)
        assert outcome.code == 0, outcome.text
        return outcome, {path.name: path.read_text().split() for path in claims.folder.glob("loaded-*")}

    cold, there = loaded("--engine", "reference")
    assert {"torch", "hypothesis"} <= set(there["loaded-main"])
    assert cold.records["runs"]["results_computed"] > 0
    warm, there = loaded("--engine", "reference", "-n", "2")
    assert there == {"loaded-main": [], "loaded-gw0": [], "loaded-gw1": []}
    assert warm.rows() == cold.rows()
    assert warm.records["runs"]["results_computed"] == 0
