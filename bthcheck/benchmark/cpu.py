"""How fast and how large: ``python -m bthcheck.benchmark``, or ``tox run -e bench``.

Both engines are timed in one process, in turn, one thread each, so that a machine whose speed drifts does not favour one. The
rest is timed from outside, as a user meets it: fresh processes, an empty run cache, nothing compiled.
"""

import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bthcheck.benchmark import watching
from bthcheck.choices import available_threads
from bthcheck.experiments import DROPOUT, SINUSOIDS, Experiment
from bthcheck.report.environment import describe

CORES = 2
_WHOLE = """
import os, bthcheck
from bthcheck.benchmark import cpu
from bthcheck.experiments import BATCH_SIZE, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES_SMALL, SINUSOIDS
for experiment in {experiments}:
    bthcheck.run(experiment, cache=os.environ["BENCH_CACHE"], progress=False, threads=int(os.environ["BENCH_CORES"]))
print(cpu.peak_memory())
"""
_BATCHES = "*(BATCH_SIZE.replace(batch_size=b, learning_rate=r) for b in (16, 32) for r in (0.001, 0.001 * b))"
_IMAGES = f"(CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES_SMALL, {_BATCHES})"
_PEAK = """
import sys
from bthcheck.benchmark import cpu
cpu.time_engine(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
print(cpu.peak_memory())
"""


def main() -> None:
    """Print every figure beside what it ought to be."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    facts = describe(Path(__file__).parents[2])
    print(f"{facts['processor']}; Python {platform.python_version()}, torch {facts['torch']}, numba {facts['numba']}")
    print("MLP 10-10-32-32-32-1 at batch size 1 with all statistics, one thread each, in turn:")
    _step(SINUSOIDS, "at least 500")
    print("MLP 10-10-32-1 with 1/2-Dropout, likewise:")
    _step(DROPOUT)
    for channels in ((8, 16), (96, 384)):
        _convolutions(channels)
    _optimizers()
    watching.report()
    with tempfile.TemporaryDirectory() as folder:
        _whole("sinusoids: 4 frequencies × 10 seeds × 3000 epochs", "(SINUSOIDS,)", Path(folder), 20, 1.5)
    with tempfile.TemporaryDirectory() as folder:
        _whole("laptop's corrupted CIFAR, MNIST architectures and batch sizes, 132 runs", _IMAGES, Path(folder), 120)
    with tempfile.TemporaryDirectory() as folder:
        _claims(Path(folder))
    _regions()


def _step(experiment: Experiment, target: str = "", rounds: int = 5) -> None:
    import torch

    from bthcheck.training import fused, reference
    from bthcheck.training.runs import Run

    torch.set_num_threads(1)
    points = Run(experiment, experiment.levels[0], 0).setting.sizes.train
    shorter = 2000 // points
    short, long = (Run(experiment.replace(epochs=epochs), 0.5, 0) for epochs in (shorter, 150 * shorter))
    reference.train(short)
    fused.train(short)
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(reference.train(short).seconds / (shorter * points) * 1e6)
        fast.append(fused.train(long).seconds / (150 * shorter * points) * 1e6)
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    _line("reference", f"{statistics.median(slow):.0f} µs a step")
    _line("fused", f"{statistics.median(fast):.2f} µs a step")
    _line("ratio", f"{statistics.median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f})", target)


def time_engine(engine: str, *channels: int) -> float:
    """Return the ms a step and run of the CNN with these channels on 32 × 32 images; a stack has 8 runs, or 2 of wide ones."""
    import torch

    from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
    from bthcheck.networks import CNN
    from bthcheck.tasks import CorruptedImages
    from bthcheck.training import fused, reference, stacked
    from bthcheck.training.runs import Run

    torch.set_num_threads(1)
    wide = channels[0] > 32
    epochs = 1 if engine == "reference" or wide else 5
    network = CNN(channels=(channels[0], channels[1]), hidden=384 if wide else 32)
    task = CorruptedImages(train=40 if wide else 200, test=2)
    experiment = CORRUPTED_CIFAR_SMALL.replace(task=task, network=network, epochs=epochs)
    runs = [Run(experiment, 0.0, seed) for seed in range(2 if wide else 8)]
    if engine == "stacked":
        seconds = sum(result.seconds for result in stacked.train(runs)) / len(runs)
    else:
        seconds = {"reference": reference, "fused": fused}[engine].train(runs[0]).seconds
    return seconds / (epochs * task.train) * 1e3


def peak_memory() -> float:
    """Return the largest memory this process has held, in GB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent held when it forked
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e9  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def _convolutions(channels: tuple[int, int], rounds: int = 5) -> None:
    print(f"CNN with {channels[0]} and {channels[1]} channels on 32 × 32 images, batch size 1, one thread each, in turn:")
    engines = ("reference", "stacked", "fused")
    times: dict[str, list[float]] = {engine: [] for engine in engines}
    for engine in engines:
        time_engine(engine, *channels)
    for _ in range(rounds):
        for engine in engines:
            times[engine].append(time_engine(engine, *channels))
    for engine in engines:
        command = [sys.executable, "-c", _PEAK, engine, *map(str, channels)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        memory = f"peak of the process {float(output):.2f} GB"
        _line(engine, f"{statistics.median(times[engine]):.3f} ms a step and run", memory)
    for engine in engines[1:]:
        ratios = [slow / fast for slow, fast in zip(times["reference"], times[engine], strict=True)]
        _line(f"ratio {engine}", f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def _optimizers(rounds: int = 5) -> None:
    """Time momentum and Adam on the sinusoids in batches of 32, ten runs, by the stacked and the fused engine in turn."""
    import torch

    from bthcheck.experiments.extensions import ADAM, MOMENTUM
    from bthcheck.training import fused, stacked
    from bthcheck.training.runs import Run

    torch.set_num_threads(1)
    print("MLP 10-10-32-32-32-1 in batches of 32, ten runs, one thread, in turn:")
    for experiment in (MOMENTUM, ADAM):
        runs = [Run(experiment.replace(epochs=100), level, seed) for level in (0.25, 0.5) for seed in range(5)]
        fused.train(runs[0])
        stacked.train(runs[:2])
        steps = len(runs) * 100 * 4
        slow, fast = [], []
        for _ in range(rounds):
            slow.append(sum(result.seconds for result in stacked.train(runs)) / steps * 1e6)
            fast.append(sum(fused.train(run).seconds for run in runs) / steps * 1e6)
        ratios = [a / b for a, b in zip(slow, fast, strict=True)]
        name = "Adam" if experiment is ADAM else "momentum"
        _line(f"stacked, {name}", f"{statistics.median(slow):.0f} µs a step and run")
        _line(f"fused, {name}", f"{statistics.median(fast):.0f} µs a step and run")
        _line(f"ratio, {name}", f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def _whole(title: str, experiments: str, folder: Path, target: float, memory: float | None = None) -> None:
    environment = {
        **os.environ, "NUMBA_CACHE_DIR": str(folder / "numba"), "BENCH_CACHE": str(folder / "runs"), "BENCH_CORES": str(CORES),
    }  # fmt: skip
    script = _WHOLE.format(experiments=experiments)
    start = time.perf_counter()
    output = subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True).stdout
    seconds = time.perf_counter() - start
    print(f"{title}, nothing cached or compiled, {CORES} of {available_threads()} cores:")
    _line("whole process", f"{seconds:.1f} s", f"at most {target:g} s")
    _line("peak memory", f"{float(output):.2f} GB", f"at most {memory:g} GB" if memory else "")


def _claims(folder: Path) -> None:
    root = Path(__file__).parents[2]
    if not (root / "claims").is_dir():
        print("pytest claims -n 4: not measured, the claims are not installed beside the package")
        return
    command = [sys.executable, "-m", "pytest", "claims", "-n", "4", "-q", "--results-dir", str(folder / "reports")]
    command += ["--cache-dir", str(folder / "runs")]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "numba")}
    print("pytest claims -n 4:")
    for label, target in (("cold", "at most 240 s"), ("warm", "at most 20 s")):
        start = time.perf_counter()
        process = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        last = process.stdout.strip().splitlines()[-1].strip("= ")
        _line(label, f"{seconds:.1f} s", f"{target}; {last}")


def _regions(rounds: int = 5, sample: int = 40) -> None:
    import numpy as np
    import torch
    from scipy.optimize import linprog

    import bthcheck
    from bthcheck.experiments import REGIONS
    from bthcheck.geometry import lipschitz, regions
    from bthcheck.tasks import Sinusoid
    from bthcheck.training.runs import Run
    from bthcheck.training.streams import stream

    torch.set_num_threads(1)
    network = bthcheck.run(REGIONS.replace(seeds=(0,)), progress=False, threads=1).bthcheck.weights(0.5, 0).double()
    assert isinstance(REGIONS.task, Sinusoid)
    x_train, plane = Run(REGIONS, 0.5, 0).data().x_train, REGIONS.task.plane(stream(0, "data"))
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = regions.plane_regions(network, x_train, plane)
        seconds.append(time.perf_counter() - start)
    axis = torch.tensor(found.u.values)
    some = np.random.default_rng(0).choice(axis.numel() ** 2, sample, replace=False)
    points = torch.cartesian_prod(axis, axis)[some] @ plane.T
    start = time.perf_counter()  # one program a point, with a column a training point and no thought given to either
    widths = regions.hidden_widths(network)
    columns = regions.kronecker(regions.activation_patterns(network, x_train), widths).T
    costs = np.tile(lipschitz.local_lipschitz(network, x_train).numpy(), 2)
    for point in points:
        target = regions.kronecker(regions.activation_patterns(network, point[None]), widths)[0]
        linprog(costs, A_eq=np.hstack([columns, -columns]), b_eq=target)
    naive = (time.perf_counter() - start) / sample * axis.numel() ** 2
    grid = f"{found.sizes['u']} × {found.sizes['v']} grid"
    print(f"regions of MLP 10-10-32-1 on a {grid}, {found.sizes['region']} of them, with all bounds of Theorem 2, one thread:")
    _line("grid", f"{statistics.median(seconds):.3f} s", "at most 10 s")
    _line("naive", f"{naive:.0f} s", f"one program a grid point, from a sample of {sample}")


def _line(label: str, value: str, target: str = "") -> None:
    print(f"  {label:<14} {value:<24} {target}", flush=True)
