"""Names that were shown before the folders were there: they still work, and cost nothing until they are used."""

import importlib
import subprocess
import sys

import pytest

import bthcheck
from bthcheck import faces

MOVED = sorted(bthcheck._MOVED)
SHOWN = {  # what claims, README and docs imported from where
    "assumption": ["epoch_after"],
    "benchmark_gpu": ["main"],
    "covering": ["cover_box", "cover_separate_balls"],
    "dropout": ["watch", "bound", "covered", "error_bound", "counterexample"],
    "falsify": ["Comparison", "Search", "examples", "falsify"],
    "lipschitz": ["local_lipschitz", "first_layer_gradients", "product_bound"],
    "plotting": ["compared", "contact_sheet", "curves", "growth", "looseness", "normal_scores", "scatter", "violins"],
    "plotting_regions": ["condition", "maps", "stability"],
    "published": ["next_steps", "lagged", "unchecked"],
    "regions": ["Status", "activation_patterns", "kronecker", "pattern_bounds", "plane_grid", "plane_regions"],
    "trajectory": ["THEOREM_1_ETA", "deviation_scores", "distance_chain", "epochs_until", "variance_chain"],
    "experiments": ["SINUSOIDS", "CORRUPTED_CIFAR", "CORRUPTED_CIFAR_SMALL", "MNIST_ARCHITECTURES", "BATCH_SIZE", "Experiment"],
    "networks": ["MLP", "CNN"],
    "tasks": ["Sinusoid", "CorruptedImages"],
    "evidence": [
        "trend",
        "paired",
        "correlation",
        "inequality",
        "equality",
        "rate",
        "dispersion",
        "fitted",
        "LEVEL",
        "Finding",
    ],
    "training.runs": ["Run"],
    "training.streams": ["stream", "kept_neurons"],
    "training.statistics": ["STATISTICS"],
}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_what_was_shown_is_where_it_was(name):
    module = importlib.import_module(f"bthcheck.{name}")
    assert all(hasattr(module, one) for one in SHOWN[name])


@pytest.mark.parametrize("face", ["bthcheck", "bthcheck.watching"])
def test_what_a_face_hands_on_is_no_module_of_that_name(face):
    for name in importlib.import_module(face).__all__:
        code = f"from {face} import {name}; print(type({name}).__name__)"
        found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        assert found in ("function", "type"), name


def test_every_module_that_moved_is_the_module_and_no_copy():
    assert set(MOVED) <= set(SHOWN)
    for name in MOVED:
        module = importlib.import_module(f"bthcheck.{name}")
        home = importlib.import_module(bthcheck._MOVED[name])
        assert module is home is getattr(bthcheck, name)
        assert module.__name__ == module.__spec__.name == bthcheck._MOVED[name]


OLD_FIRST = """
import importlib, bthcheck
olds = {name: importlib.import_module(f"bthcheck.{name}") for name in bthcheck._MOVED}
assert all(olds[name] is importlib.import_module(home) for name, home in bthcheck._MOVED.items())
"""


def test_a_module_may_be_asked_for_by_its_old_name_first():
    subprocess.run([sys.executable, "-c", OLD_FIRST], check=True)


@pytest.mark.parametrize("names", ["bthcheck, bthcheck.evidence", "bthcheck.harness.plugin"])
def test_who_only_reports_imports_nothing_that_computes(names):
    code = f"import sys, {names}; print({{'torch', 'scipy', 'xarray', 'matplotlib'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_a_module_runs_by_its_old_name():
    process = subprocess.run([sys.executable, "-m", "bthcheck.benchmark_gpu", "--help"], capture_output=True, text=True)
    assert process.returncode == 0
    assert "How fast a stack trains" in process.stdout


def test_a_name_that_never_was_is_refused_as_ever():
    with pytest.raises(AttributeError, match=r"module 'bthcheck' has no attribute 'nonsense'"):
        _ = bthcheck.nonsense
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'bthcheck\.nonsense'"):
        importlib.import_module("bthcheck.nonsense")
    with pytest.raises(AttributeError, match=r"module 'bthcheck\.evidence' has no attribute 'nonsense'"):
        _ = bthcheck.evidence.nonsense


def test_importing_the_package_anew_leaves_one_finder():
    before = sum(isinstance(finder, faces.Renamed) for finder in sys.meta_path)
    importlib.reload(bthcheck)
    assert sum(isinstance(finder, faces.Renamed) for finder in sys.meta_path) == before == 1
