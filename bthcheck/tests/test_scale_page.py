"""docs/how-to/scale.md: its scripts and commands run as they stand there, but small, and its figures show what was measured."""

import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bthcheck

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "scale.md"
FILE = "cifar10-airplane-dog.npz"
SMALL = """
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP

EXPERIMENT = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=(0, 1), epochs=3, network=MLP((10, 10, 8, 1)))
"""
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not a checkout of the project")
with_executors = pytest.mark.skipif(
    "executor" not in inspect.signature(bthcheck.run).parameters, reason="bthcheck.run takes no executor yet"
)


def page():
    return PAGE.read_text(encoding="utf-8")


def scripts():
    """Name → text of every script, which the page names just before it."""
    return dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", page(), re.DOTALL | re.MULTILINE))


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", page(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path):
    """The page's scripts beside an experiment that takes seconds."""
    for name, text in scripts().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "experiment.py").write_text(SMALL, encoding="utf-8")
    return tmp_path


def done(command, folder, **environment):
    path = os.pathsep.join(filter(None, [str(ROOT), str(folder), os.environ.get("PYTHONPATH")]))
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": path, **environment}
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def trained_here(folder):
    """Check that what a script left is what is trained without it, to the bit, and that all of it is kept."""
    with xr.open_dataset(folder / "runs.nc", engine="scipy") as found:
        found.load()
    assert len(list((folder / "runs").glob("*.safetensors"))) == 4
    experiment = found.bthcheck.experiment
    here = bthcheck.run(experiment, progress=False)
    for name in ("trajectory_length", "parameters"):
        assert np.array_equal(found[name], here[name])


def test_every_block_is_known_here():
    assert set(scripts()) == {"experiment.py", "local.py", "slurm.py", "dask_client.py", "mpi.py"}
    assert len(re.findall("^```", page(), re.M)) == 2 * (len(scripts()) + len(re.findall("^```sh", page(), re.M)))
    shown = [line for line in commands() if line.split()[0] not in ("pytest", "python", "dask", "mpiexec")]
    assert shown == []
    for line in commands():
        for script in re.findall(r"\w+\.py", line):
            assert script in scripts(), line


def test_the_experiment_is_the_papers(tmp_path):
    images, labels = np.zeros((12_000, 32, 32, 3), np.uint8), (np.arange(12_000) % 2).astype(np.uint8)
    source = scripts()["experiment.py"].replace(FILE, str(tmp_path / FILE))
    pack(tmp_path / FILE, images, labels)
    names = {}
    exec(compile(source, "experiment.py", "exec"), names)
    experiment = names["EXPERIMENT"]
    assert (len(experiment.levels), len(experiment.seeds)) == (4, 8)
    assert experiment.at(0.0).steps == 1_000_000
    assert sum(p.numel() for p in experiment.network.build(0).parameters()) == 1_080_577
    assert f"{1_080_577:,}".replace(",", " ") in page()


def pack(path, images, labels):
    order = np.argsort(labels, kind="stable")
    train = np.concatenate([order[labels[order] == label][:5000] for label in (0, 1)])
    test = np.setdiff1d(order, train)
    arrays = {"train_images": images[train], "train_labels": labels[train], "test_images": images[test]}
    np.savez(path, **arrays, test_labels=labels[test], classes=np.array(["airplane", "dog"]))


def test_the_script_for_one_machine(folder):
    done([sys.executable, "local.py"], folder)
    trained_here(folder)


@with_executors
def test_the_script_for_slurm(folder):
    pytest.importorskip("submitit")
    if shutil.which("srun"):
        pytest.skip("this would be a job of a real cluster")
    done([sys.executable, "slurm.py"], folder)
    trained_here(folder)


@with_executors
def test_the_script_for_mpi(folder):
    pytest.importorskip("mpi4py")
    (line,) = [line for line in commands() if line.startswith("mpiexec")]
    if shutil.which("mpiexec") is None:
        pytest.skip("there is no MPI")
    words = [{"33": "3", "python": sys.executable}.get(word, word) for word in shlex.split(line)]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    done(words, folder, **root)
    trained_here(folder)


@with_executors
def test_the_scheduler_the_workers_and_the_client_of_dask(folder):
    pytest.importorskip("distributed")
    port = free_port()
    program = str(Path(sys.executable).with_name("dask"))
    address = f"tcp://127.0.0.1:{port}"
    started = []
    path = os.pathsep.join([str(ROOT), str(folder), os.environ.get("PYTHONPATH", "")])
    try:
        for line in commands():
            words = [word.replace("tcp://HOST:8786", address).replace("8786", str(port)) for word in shlex.split(line)]
            if words[0] == "dask":
                words = [program, *words[1:], "--no-dashboard"]
                words = ["2" if before == "--nworkers" else word for before, word in zip(["", *words], words, strict=False)]
                words += ["--host", "127.0.0.1"]
                log = (folder / f"{words[1]}.log").open("w")
                started.append(
                    subprocess.Popen(words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log)
                )
        assert len(started) == 2
        (line,) = [line for line in commands() if "dask_client.py" in line]
        done([sys.executable, *shlex.split(line.replace("tcp://HOST:8786", address))[1:]], folder)
    finally:
        for process in reversed(started):  # the workers first, which else would look for their scheduler
            process.terminate()
            process.wait(60)
    trained_here(folder)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_the_command_that_tests_the_claims(tmp_path):
    """With the options of the page but for what takes a cluster or a card; the trainings are short."""
    asked = [shlex.split(line) for line in commands() if f"--data-file {FILE}" in line]
    assert len(asked) >= 3
    (plain,) = [words for words in asked if "--dask" not in words and "--device" not in words]
    assert all(words[: len(plain)] == plain for words in asked)
    random = np.random.default_rng(0)
    pack(tmp_path / FILE, random.integers(0, 256, (12_000, 32, 32, 3), np.uint8), (np.arange(12_000) % 2).astype(np.uint8))
    words = [str(ROOT / "claims") if word == "claims" else word for word in plain[1:]]
    words += [
        "-p",
        "bthcheck.benchmark.shortened",
        "--seeds",
        "2",
        "-p",
        "no:cacheprovider",
        "-c",
        str(ROOT / "pyproject.toml"),
    ]
    words += ["--results-dir", "reports", "--cache-dir", "runs", "--deselect", "none"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    records = json.loads((tmp_path / "reports" / "records.json").read_text(encoding="utf-8"))
    assert {row["claim"]["id"] for row in records["claims"]} >= {f"T{n}-CIFAR" for n in (1, 2, 3, 4, 5)}, process.stdout
    experiment = next(one for one in records["experiments"] if one["name"] == "corrupted CIFAR")
    assert experiment["configuration"]["task"]["source"] == FILE
    assert {row["status"] for row in records["claims"]} <= {"supported", "refuted", "inconclusive", "vacuous"}, process.stdout


def test_options_and_modules_that_the_page_names_are_there():
    from bthcheck.harness.options import OPTIONS

    known = {f"--{name}" for name in OPTIONS}
    for line in commands():
        if line.startswith("pytest"):
            unknown = {word for word in shlex.split(line) if word.startswith("--")} - known
            assert unknown <= ({"--dask"} if "dask" not in OPTIONS else set()), line
        for module in re.findall(r"python -m (bthcheck[\w.]*)", line):
            assert importlib.util.find_spec(module) is not None


def figures():
    spec = importlib.util.spec_from_file_location("scale_figures", ROOT / "docs" / "figures" / "scale_figures.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_tables_and_figures_are_those_of_the_numbers(tmp_path):
    script = figures()
    found = json.loads(script.NUMBERS.read_text(encoding="utf-8"))
    for name, table in script.TABLES.items():
        assert script.replaced(page(), name, table(found), by=script._COMMAND) == page(), (
            f"run python docs/figures/scale_figures.py: {name}"
        )
    for draw, path in ((script.draw_growth, script.GROWTH), (script.draw_schedules, script.SCHEDULES)):
        for number in range(2):
            draw(found, tmp_path / f"{number}.svg")
        again = (tmp_path / "0.svg").read_text(encoding="utf-8")
        assert again == (tmp_path / "1.svg").read_text(encoding="utf-8")
        kept = path.read_text(encoding="utf-8")
        assert [kept.count(part) for part in ('id="axes_', "<path ")] == [again.count(part) for part in ('id="axes_', "<path ")]


def test_the_report_of_a_thousand_seeds_is_small():
    script = figures()
    found = json.loads(script.NUMBERS.read_text(encoding="utf-8"))
    largest = max(one["report"]["page"] for one in found["reports"] if one["session"]["seeds"] >= 1000)
    assert largest < script.report_size.LARGEST == 5e6


def test_the_schedules_that_the_page_tells_of():
    from bthcheck.benchmark.scheduling import finished

    assert finished([1.0] * 32, 31) == finished([1.0] * 32, 16) == 2
    script = figures()
    found = json.loads(script.NUMBERS.read_text(encoding="utf-8"))
    times = script.times_of(found, 3200, "alone")
    assert times.mean() == pytest.approx(1e6 * next(iter(script.STEP_SECONDS.values()))[0], rel=0.02)
    assert script.times_of(found, 3200, "shared").mean() > times.mean()
