"""How long runs of one kind take, how much that differs, and what a worker spends beside training: for `scheduling`."""

import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from bthcheck.benchmark.scheduling import Costs
from bthcheck.experiments import CORRUPTED_CIFAR, Experiment
from bthcheck.networks import CNN
from bthcheck.tasks import CorruptedImages

_START = """
import bthcheck.training.engines as engines
from bthcheck.benchmark.durations import short
engines.run(short(1, 2), progress=False, threads=1)
"""


def short(runs: int, images: int) -> Experiment:
    """Return the paper's CIFAR experiment at one level with this many runs of this many steps."""
    task = CorruptedImages(train=images, test=2)
    return CORRUPTED_CIFAR.replace(task=task, network=CNN(), levels=(0.4,), seeds=tuple(range(runs)), epochs=1)


class Spans(NamedTuple):
    """Seconds that runs took.

    alone : (runs,) of the processor, as on a core that nobody else uses
    shared : (runs,) by the clock, with whatever else the machine was doing
    """

    alone: list[float]
    shared: list[float]


def of_runs(runs: int, images: int) -> Spans:
    """Train runs of the paper's CNN one after the other on one thread."""
    from bthcheck.training import fused
    from bthcheck.training.runs import Run

    experiment, spans = short(runs, images), Spans([], [])
    fused.train(Run(short(1, 2), 0.4, 0))  # compiles, or loads what was compiled
    for seed in experiment.seeds:
        clock, processor = time.perf_counter(), time.process_time()
        fused.train(Run(experiment, 0.4, seed))
        spans.alone.append(time.process_time() - processor)
        spans.shared.append(time.perf_counter() - clock)
    return spans


def costs() -> Costs:
    """Measure what a worker spends beside training, in seconds of the processor: until its first run, and on every other.

    A run's images are drawn, and its result is stored; machine code is compiled already.
    """
    command = [sys.executable, "-c", _START]
    subprocess.run(command, check=True)
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    starting = after.children_user + after.children_system - before.children_user - before.children_system
    from bthcheck.training.engines import run

    several = short(8, 2)
    with tempfile.TemporaryDirectory() as folder:
        run(several, cache=folder, progress=False, threads=1)
        start = time.process_time()
        run(several.replace(levels=(0.2,)), cache=folder, progress=False, threads=1)
        each = (time.process_time() - start) / len(several.seeds)
    return Costs(starting, each)
