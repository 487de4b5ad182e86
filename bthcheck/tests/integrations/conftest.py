"""Tests with packages that are not installed everywhere: without one its tests are not collected.

Where BTHCHECK_REQUIRE_INTEGRATIONS is set, as in the tox environment "integrations", a package that is missing is an error.
"""

import importlib.util
import os
import warnings

import pytest

PACKAGES = {
    "test_lightning.py": "lightning",
    "test_lightning_loops.py": "lightning",
    "test_lightning_processes.py": "lightning",
    "test_transformers.py": "transformers",
    "test_transformers_processes.py": "transformers",
    "test_tensorboard.py": "tensorboard",
    "test_mlflow.py": "mlflow",
    "test_wandb.py": "wandb",
    "test_zarr.py": "zarr",
    "test_notebook.py": "nbclient",
}
"""Every module of this folder with the package that it needs."""

collect_ignore = (
    []
    if os.environ.get("BTHCHECK_REQUIRE_INTEGRATIONS")
    else [name for name, package in PACKAGES.items() if importlib.util.find_spec(package) is None]
)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """What these packages write where they are started, and look up in the environment, stays in a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?!bthcheck)", append=True)  # of theirs there are many
        yield
