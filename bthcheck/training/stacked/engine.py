"""Engine "stacked": many runs of one architecture as one batched PyTorch program, on a CPU or a CUDA device.

Every parameter, activation and statistic has a leading dimension of runs; see `layers`. A step reads and writes fixed
tensors in place and takes its points from a position that it moves on itself, so that on a GPU whole steps are captured as
CUDA graphs. No step copies anything to the host.

A run's numbers depend on its neighbours by the rounding of the batched kernels alone, which may choose another order of
summation for another number of runs. They are not bit-exact for that reason, and the cache keeps this engine's runs apart.
"""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from bthcheck.ambient import neutral
from bthcheck.training.memory import halving, room
from bthcheck.training.optimizers import moments
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.stacked import steps
from bthcheck.training.stacked.graphs import program
from bthcheck.training.stacked.layers import entries_a_point
from bthcheck.training.stacked.state import Stack, State, same_points
from bthcheck.training.statistics import STATISTICS, mark_divergence

NAME = "stacked"
DEVICES = ("cpu", "cuda")


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`; it can train any."""
    del run
    return None


@neutral()
def shard_size(runs: Sequence[Run], device: str) -> int:
    """Return how many of `runs`, which are alike, fit into memory side by side; see `bthcheck.training.memory.room`."""
    run = runs[0]
    setting = run.setting
    training, task = setting.training, setting.task
    network = run.network()
    size = run.dtype.itemsize
    points = (task.train + task.test) * task.inputs * size
    parameters = sum(parameter.numel() for parameter in network.parameters())
    step = training.batch_size * entries_a_point(network)
    held = 2 * parameters + step + task.train + task.test  # twice: once more while they are put together or read back
    if not training.plain:
        held += (2 + moments(training)) * parameters  # gradients and directions
    each = size * held + 8 * (len(STATISTICS) * training.rows + 2 * task.train) + 4 * training.epochs * task.train
    if training.dropout:
        each += task.train * run.neurons // training.windows
    common = size * steps.ENTRIES_AT_ONCE[torch.device(device).type]
    if len(runs) > 1 and same_points([runs[0].data(), runs[-1].data()]):
        common += points
    else:
        each += points
    return max(1, (room(device) - common) // each)


@neutral()
def train(runs: Sequence[Run], device: str = "cpu") -> list[RunResult]:
    """Train runs of one architecture and one schedule side by side and return their epoch statistics, in their order.

    Runs that do not fit into the memory of a GPU are trained fewer at a time, with a warning.

    Raises
    ------
    ValueError
        If the runs differ in architecture, number of points, batch size, number of epochs, type, loss factor or optimizer.
    MemoryError
        If not even one run fits into the memory of the GPU.
    """
    if len({shape(run) for run in runs}) != 1:
        raise ValueError(
            "runs that are trained as one stack must agree in architecture, points, batch size, epochs, type, loss and"
            " optimizer"
        )
    return halving(lambda part: _train(part, device), runs, device)


def shape(run: Run) -> tuple[object, ...]:
    """Return what runs must share to be trained as one stack."""
    setting = run.setting
    training = setting.training
    return (
        setting.network,
        setting.task.train,
        setting.task.test,
        training.batch_size,
        training.rows,
        training.dtype,
        training.dropout,
        training.loss_factor,
        (training.optimizer, training.momentum, training.weight_decay, training.betas, training.eps, training.clip),
    )


@torch.inference_mode()
def _train(runs: Sequence[Run], device: str) -> list[RunResult]:
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            return _train_here(runs, device)
    return _train_here(runs, device)


def _train_here(runs: Sequence[Run], device: str) -> list[RunResult]:
    start = time.perf_counter()
    training = runs[0].setting.training
    stack = Stack.build(runs, device)
    state = State.build(stack, runs, device)
    full, last = divmod(state.order.shape[1], training.batch_size)
    parts = [(partial(steps.step, stack, state, training.batch_size), full)]
    if last:
        parts.append((partial(steps.step, stack, state, last), 1))
    make_steps = program(parts, partial(steps.rehearse, stack, state), device)
    if stack.optimizer is not None:
        stack.optimizer.reset()  # which remembers rehearsals
    table = torch.full((training.rows, len(STATISTICS), len(runs)), torch.nan, dtype=torch.float64, device=device)
    for epoch, (tested, probed) in enumerate(zip(training.tested(), training.probed(), strict=True)):
        state.begin(stack, epoch)
        make_steps()
        table[epoch] = steps.row(stack, state, full + bool(last), tested, probed)
        if epoch % 50 == 49 and not torch.isfinite(table[epoch, 0]).any():
            break  # every run has diverged
    columns = table.permute(2, 1, 0).cpu().numpy()
    parameters = torch.cat([parameter.flatten(1) for parameter in stack.parameters], dim=1).cpu().numpy()
    seconds = (time.perf_counter() - start) / len(runs)
    results = []
    for values, vector in zip(columns, parameters, strict=True):
        statistics = {name: np.ascontiguousarray(row) for name, row in zip(STATISTICS, values, strict=True)}
        results.append(RunResult(statistics, vector.copy(), mark_divergence(statistics, training.tested()), seconds))
    return results
