"""The code in a run's key: everything that training imports, found and not listed."""

import json
import shutil
import subprocess
import sys

import pytest

from bthcheck.training import code

ENGINES = ("fused", "reference", "stacked")
TRAIN = """
import json, sys
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.networks import CNN
from bthcheck.tasks import CorruptedImages
from bthcheck.training.runs import Run

before = set(sys.modules)
engine = __import__("bthcheck.training", fromlist=[sys.argv[1]]).__dict__[sys.argv[1]]
images = CORRUPTED_CIFAR_SMALL.replace(task=CorruptedImages(train=4, test=2), network=CNN(channels=(2, 2), hidden=2), epochs=1)
for run in (Run(SINUSOIDS.replace(epochs=1), 0.25, 0), Run(images, 0.0, 0)):
    engine.train([run] if sys.argv[1] == "stacked" else run)
print(json.dumps({name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "bthcheck"}))
"""
# Parents, and what the script itself asks for: nothing in them is used by an engine.
BESIDE = {"__init__.py", "experiments/__init__.py", "experiments/paper.py", "experiments/profiles.py", "faces.py"}
BESIDE |= {"training/__init__.py", "geometry/__init__.py"}


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_is_loaded_when_an_engine_trains_is_in_its_key(engine):
    """Loaded modules are another way to know what decides a number than reading imports."""
    command = [sys.executable, "-c", f"import bthcheck.training.{engine}" + TRAIN, engine]
    loaded = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    files = {path.removeprefix(f"{code.PACKAGE}/") for path in loaded.values()}
    found = {path.relative_to(code.PACKAGE).as_posix() for path in code.sources(f"bthcheck.training.{engine}")}
    assert files - found <= BESIDE
    assert found - files <= {"datasets/full.py"}  # imported where it is called


@pytest.fixture
def package(tmp_path):
    """A copy of the package that may be changed."""
    folder = tmp_path / "bthcheck"
    shutil.copytree(code.PACKAGE, folder, ignore=shutil.ignore_patterns("tests", "*.npz", "__pycache__"))
    return folder


def append(path, text):
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_change_anywhere_in_the_code_changes_the_key_and_elsewhere_does_not(package, engine):
    module = f"bthcheck.training.{engine}"
    counted = code.sources(module, package)
    keys = [code.text_digest(code.sources(module, package), package)]
    for path in sorted(package.rglob("*.py")):
        append(path, "\nCHANGED = True\n")
        keys.append(code.text_digest(code.sources(module, package), package))
        assert (keys[-1] != keys[-2]) == (path in counted), path
    assert len(counted) > 10


def test_what_training_comes_to_import_counts_from_then_on(package):
    """A helper, imported inside a function of a module that is imported itself; and what the helper imports."""
    module = "bthcheck.training.fused"
    (package / "helper.py").write_text("from bthcheck.theory import trajectory\n")
    before = code.sources(module, package)
    append(package / "training" / "streams.py", "\ndef late():\n    from bthcheck.helper import anything\n")
    more = {path.relative_to(package).as_posix() for path in set(code.sources(module, package)) - set(before)}
    assert more == {"helper.py", "theory/trajectory.py"}


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("import bthcheck.report.numbers as n", {"report/numbers.py"}),
        ("from bthcheck.report import numbers", {"report/numbers.py"}),
        ("from bthcheck.report.numbers import p_value", {"report/numbers.py"}),
        ("def late():\n    from bthcheck.report import numbers", {"report/numbers.py"}),
        ("import os", set()),
        ("if TYPE_CHECKING:\n    from bthcheck.report import numbers", set()),
        ("if TYPE_CHECKING:\n    import os\nelse:\n    from bthcheck.report import numbers", {"report/numbers.py"}),
        ("from bthcheck import faces", {"faces.py"}),
        ("import bthchecks", set()),
    ],
)
def test_every_way_to_import(package, text, more):
    (package / "one.py").write_text(text + "\n")
    found = {path.relative_to(package).as_posix() for path in code.sources("bthcheck.one", package)}
    assert found == {"one.py"} | more


def test_what_cannot_be_followed_is_refused(package):
    (package / "one.py").write_text("\nfrom . import checks\n")
    with pytest.raises(ValueError, match="imports within the package are absolute, got a relative one in line 2"):
        code.sources("bthcheck.one", package)
    with pytest.raises(ValueError, match=r"bthcheck has no module bthcheck\.two"):
        code.sources("bthcheck.two", package)
