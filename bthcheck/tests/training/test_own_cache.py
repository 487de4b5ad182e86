"""Runs of networks and tasks of one's own are kept while nothing that decides their numbers has changed."""

import importlib
import json
import sys
import textwrap
import warnings

import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import Experiment, Training
from bthcheck.networks import MLP
from bthcheck.tests.training.samples_own import Residual, Wave
from bthcheck.tests.training.test_cache import Counter
from bthcheck.training.cache import run_key
from bthcheck.training.own_code import code_of
from bthcheck.training.runs import Run

TRAINING = Training(epochs=2, batch_size=5)
MODULE = """
    from dataclasses import dataclass
    from pathlib import Path
    import numpy as np
    import torch
    from torch import nn
    from bthcheck.tasks import Data
    from {name}_parts import squash


    class Squash(nn.Module):
        def forward(self, x):
            return squash(x)


    @dataclass(frozen=True)
    class Net:
        inputs: int = 2
        output: str = "identity"

        def build(self, seed):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(2, 4), Squash(), nn.Linear(4, 1))


    @dataclass(frozen=True)
    class Task:
        slope: float = 1.0

        def sample(self, generator):
            x = torch.from_numpy(generator.normal(size=(15, 2))) * float(Path({file!r}).read_text())
            return Data(x[:10], self.slope * x[:10, 0], x[10:], self.slope * x[10:, 0])
"""
PARTS = "def squash(x):\n    return x.tanh()\n"


class Project:
    """A user's folder with two modules and a file of data, which may be changed and imported anew."""

    def __init__(self, folder):
        self.folder, self.name, self.file = folder, f"own_{folder.name.replace('-', '_')}", folder / "data.txt"
        self.file.write_text("1.0")
        self.write(f"{self.name}_parts", PARTS)
        self.write(self.name, textwrap.dedent(MODULE.format(name=self.name, file=str(self.file))))

    def write(self, name, text):
        (self.folder / f"{name}.py").write_text(text)

    def experiment(self):
        """Import everything as in a new process."""
        for name in (self.name, f"{self.name}_parts"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        module = importlib.import_module(self.name)
        return Experiment("own", module.Task(), "slope", (1.0, 2.0), module.Net(), TRAINING, (0, 1))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Project(tmp_path)


def trained(experiment, folder):
    counter = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = bthcheck.run(experiment, cache=folder, progress=counter)
    return len(counter.trained), runs


def test_the_second_time_they_are_read(project, tmp_path):
    count, first = trained(project.experiment(), tmp_path / "cache")
    again, second = trained(project.experiment(), tmp_path / "cache")
    assert (count, again) == (4, 0)
    assert first.identical(second)


def test_a_change_of_what_is_imported_counts(project, tmp_path):
    trained(project.experiment(), tmp_path / "cache")
    project.write(f"{project.name}_parts", PARTS + "# but for a remark it is the same\n")
    assert trained(project.experiment(), tmp_path / "cache")[0] == 4
    project.write(f"{project.name}_parts", PARTS.replace("tanh", "relu"))
    count, runs = trained(project.experiment(), tmp_path / "cache")
    assert count == 4
    assert trained(project.experiment(), tmp_path / "cache")[0] == 0
    assert runs.identical(bthcheck.run(project.experiment(), progress=False))


def test_a_file_that_is_read_counts(project, tmp_path):
    """With a network of ours: of one's own the key also has what it makes of the data."""

    def count():
        return trained(project.experiment().replace(network=MLP((2, 2, 3, 1))), tmp_path / "cache")[0]

    count()
    project.file.write_text("2.0")
    assert count() == 4
    project.file.write_text("1.0")
    assert count() == 0


def test_code_that_changed_since_it_was_used_is_not_believed(project, tmp_path):
    experiment = project.experiment()
    trained(experiment, tmp_path / "cache")
    project.write(f"{project.name}_parts", PARTS.replace("tanh", "relu"))  # and nobody imports it anew
    with pytest.warns(UserWarning, match="not kept, because the code of Net, Squash.* has changed since it was first used"):
        bthcheck.run(experiment, cache=tmp_path / "cache", progress=False)
    count, runs = trained(project.experiment(), tmp_path / "cache")
    assert count == 4
    assert not np.array_equal(runs.parameters, bthcheck.run(experiment, progress=False).parameters)


def test_what_was_defined_in_no_file_is_not_kept(tmp_path):
    text = textwrap.dedent(MODULE.replace("from {name}_parts import squash", "squash = torch.tanh")).format(file="/dev/null")
    place = {"__name__": "__main__"}
    exec(compile(text.replace("float(Path('/dev/null').read_text())", "1.0"), "<prompt>", "exec"), place)
    experiment = Experiment("own", place["Task"](), "slope", (1.0,), place["Net"](), TRAINING, (0,))
    for _ in range(2):
        counter = Counter()
        with pytest.warns(UserWarning, match="runs are not kept, because the code of .*Net.* is in no file"):
            bthcheck.run(experiment, cache=tmp_path / "cache", progress=counter)
        assert len(counter.trained) == 1
    assert not list(tmp_path.glob("cache/*"))
    run = Run(experiment, 1.0, 0)
    assert run_key(run, "stacked", "cpu") != run_key(run, "stacked", "cpu")


def test_a_class_that_only_says_where_it_is_from_is_in_no_file():
    for module in ("builtins", "torch.nn", "bthcheck.networks", "bthcheck.tests.training.samples_own"):
        place = {"__name__": module}
        exec(compile("class Net:\n    def build(self):\n        pass\n", "<prompt>", "exec"), place)
        assert code_of([place["Net"]]).trouble == "the code of Net is in no file"
    assert code_of([Residual]).digest
    assert code_of([Residual, Wave]) == code_of([Wave, Residual])


def test_two_classes_of_one_name_are_told_apart(project):
    (project.folder / "other").mkdir()
    other = Project(project.folder / "other")
    sys.path.insert(0, str(other.folder))
    try:
        runs = [Run(one.experiment(), 1.0, 0) for one in (project, other)]
        assert len({run_key(run, "stacked", "cpu") for run in runs}) == 2
        assert [json_of(run)["task_type"] for run in runs] == [f"{one.name}:Task" for one in (project, other)]
    finally:
        sys.path.remove(str(other.folder))


def json_of(run):
    return json.loads(run.experiment.to_json())
