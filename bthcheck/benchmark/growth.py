"""How cost grows: ``python -m bthcheck.benchmark.growth``, time and memory of training against the size of an experiment.

One size at a time is made larger, from a small experiment, and every point is measured in a process of its own. Times are those
of the processor and not of the clock, so that a machine that others use too gives the same. What grows faster than is expected
of it is said.
"""

import argparse
import gc
import multiprocessing
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bthcheck.experiments import CORRUPTED_CIFAR, SINUSOIDS, Experiment
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages, Sinusoid

SURPRISE = 0.2
"""By how much an exponent may exceed what is expected before it is said."""
NOISE_BYTES = 4e6
"""Less memory than this is no part of a fit: an allocator takes it in such pieces."""
_SMALL = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=tuple(range(10)), epochs=60, network=MLP((10, 10, 32, 32, 1)))
_LONG = _SMALL.replace(epochs=400)  # where steps are made longer or more, they are to count
_MODULES = ["numba", "torch", "xarray", "bthcheck.training.engines"]


@dataclass(frozen=True)
class Axis:
    """One size of an experiment.

    sizes, large : what is measured, and what ``--full`` adds
    made : size → the experiment of this size
    time, memory : the expected exponents; the cost is at most proportional to size ** exponent, None where it need not grow
    """

    name: str
    sizes: tuple[int, ...]
    large: tuple[int, ...]
    made: Callable[[int], Experiment]
    time: float
    memory: float | None


@dataclass(frozen=True)
class Point:
    """What was measured of an experiment of one size: seconds of the processor, and bytes beyond those before it began."""

    size: int
    seconds: float
    bytes: float


def _levels(count: int) -> Experiment:
    return _SMALL.replace(levels=tuple((np.arange(count) / count + 0.25).tolist()))


def _convolutional(runs: int) -> Experiment:
    task = CorruptedImages(train=4, test=2)
    return CORRUPTED_CIFAR.replace(task=task, network=CNN(), levels=(0.0,), seeds=tuple(range(runs)), epochs=1)


AXES = (
    Axis("seeds", (10, 30, 100, 300), (1000,), lambda n: _SMALL.replace(seeds=tuple(range(n))), 1, 1),
    Axis("levels", (2, 4, 8, 16), (32,), _levels, 1, 1),
    Axis("width", (16, 32, 64, 128), (256, 512), lambda n: _LONG.replace(network=MLP((10, 10, n, n, 1))), 2, 2),
    Axis("depth", (2, 4, 8, 16), (), lambda n: _LONG.replace(network=MLP((10, 10, *(32,) * n, 1))), 1, 1),
    Axis("training points", (50, 100, 200, 400), (1600,), lambda n: _LONG.replace(task=Sinusoid(train=n)), 1, 1),
    Axis("epochs", (250, 500, 1000, 2000), (10_000,), lambda n: _LONG.replace(epochs=n), 1, 1),
    Axis("runs of the paper's CNN", (4, 8, 16, 32), (96,), _convolutional, 1, 1),
)
EXPECTED = "time and memory proportional to all but the width, whose weights are as many as its square"


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost against log size, by least squares: 1 is proportional. NaN of fewer than two costs above 0.

    Parameters
    ----------
    sizes, costs : of the same length; a cost that is not above 0 is left out
    """
    known = [(np.log(size), np.log(cost)) for size, cost in zip(sizes, costs, strict=True) if cost > 0]
    if len(known) < 2:
        return float("nan")
    x, y = np.transpose(known)
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def surprises(axis: Axis, points: Sequence[Point]) -> list[str]:
    """Return a sentence on each cost that grows faster than is expected of it."""
    said = []
    for what, expected, found in (("time", axis.time, of_time(points)), ("memory", axis.memory, of_memory(points))):
        if expected is not None and found > expected + SURPRISE:
            said.append(f"{what} grows with {axis.name} to the power {found:.2f}, expected at most {expected:g}")
    return said


def of_time(points: Sequence[Point]) -> float:
    """Return the `exponent` of time."""
    return exponent([point.size for point in points], [point.seconds for point in points])


def of_memory(points: Sequence[Point]) -> float:
    """Return the `exponent` of memory, of what is more than `NOISE_BYTES`."""
    return exponent([point.size for point in points], [point.bytes * (point.bytes > NOISE_BYTES) for point in points])


def measured(axis: Axis, full: bool) -> list[Point]:
    """Train the experiments of an axis, each in a process of its own."""
    if sys.platform == "linux":
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_MODULES)  # what is imported once needs not be by each
    else:
        context = multiprocessing.get_context("spawn")
    points = []
    for size in (*axis.sizes, *(axis.large if full else ())):
        with context.Pool(1) as pool:
            points.append(pool.apply(point, (axis.name, size)))
    return points


def point(name: str, size: int) -> Point:
    """Train the experiment of one size in this process, after a small one that loads all that is needed."""
    from bthcheck.training.engines import run

    axis = next(axis for axis in AXES if axis.name == name)
    smallest = axis.made(axis.sizes[0])
    run(smallest.replace(levels=smallest.levels[:1], seeds=(0,), epochs=1), progress=False, threads=1)
    experiment = axis.made(size)
    gc.collect()
    held = _forget_peak()
    start = time.process_time()
    results = run(experiment, progress=False, threads=1)
    seconds = time.process_time() - start
    assert results.sizes["seed"] == len(experiment.seeds)
    return Point(size, seconds, max(0.0, _peak() - held))


def _forget_peak() -> float:
    """Have the system measure the peak from now on, where it can; return how many bytes this process holds."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return _peak()
    clear.write_text("5")
    return _peak()


def _peak() -> float:
    """Return the largest number of bytes this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024  # type: ignore[index]
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report(full: bool = False, only: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Print a line a point and an axis's exponents below, and return the points as plain values, by axis."""
    found = {}
    for axis in AXES:
        if only and axis.name not in only:
            continue
        points = measured(axis, full)
        print(f"{axis.name}:")
        for one in points:
            print(f"  {one.size:>6} {one.seconds:9.2f} s {one.bytes / 1e6:9.1f} MB", flush=True)
        print(f"  exponents {of_time(points):.2f} of time, {of_memory(points):.2f} of memory")
        for sentence in surprises(axis, points):
            print(f"  more than expected: {sentence}")
        found[axis.name] = [asdict(one) for one in points]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(prog="python -m bthcheck.benchmark.growth", description="How cost grows.")
    parser.add_argument("--full", action="store_true", help="the large sizes too, which take much longer")
    parser.add_argument("--only", nargs="+", default=(), choices=[axis.name for axis in AXES], metavar="SIZE",
                        help=f"of {', '.join(axis.name for axis in AXES)}")  # fmt: skip
    options = parser.parse_args(arguments)
    report(options.full, options.only)


if __name__ == "__main__":
    main()
