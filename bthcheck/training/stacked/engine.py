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
from torch import nn

from bthcheck.ambient import neutral
from bthcheck.networks import Network
from bthcheck.protocols import is_own
from bthcheck.training.memory import halving, room
from bthcheck.training.optimizers import moments
from bthcheck.training.runs import Run, RunResult, state_size
from bthcheck.training.share import follow
from bthcheck.training.stacked import steps
from bthcheck.training.stacked.graphs import program
from bthcheck.training.stacked.layers import batched, entries_a_point
from bthcheck.training.stacked.state import Stack, State, points_of, same_points
from bthcheck.training.stacked.whole import WholeStack, numbers_held, refusal
from bthcheck.training.statistics import STATISTICS, mark_divergence


@neutral()
def refused(run: Run) -> str | None:
    """Return why this engine cannot train a run of an architecture of one's own, or None if it can."""
    module = run.module()
    if not isinstance(module, Network):
        return refusal(run)
    try:
        batched(module, [parameter[None] for parameter in module.parameters()])
    except TypeError as error:
        return f"{error}; use engine='reference'"
    return None


@neutral()
def shard_size(runs: Sequence[Run], device: str, memory: int | None = None) -> int:
    """Return how many of `runs`, which are alike, fit into memory side by side.

    `memory` is in bytes; `bthcheck.training.memory.room` of this machine if None.
    """
    run = runs[0]
    setting = run.setting
    training, task = setting.training, setting.sizes
    network = run.module()
    size = run.dtype.itemsize
    points = (task.train + task.test) * task.inputs * size
    parameters = state_size(network)
    step = training.batch_size * _entries(network, run)
    held = 2 * parameters + step + task.train + task.test  # twice: once more while they are put together or read back
    if not training.plain or not isinstance(network, Network):
        held += (2 + moments(training)) * parameters  # gradients and directions
    each = size * held + 8 * (len(STATISTICS) * training.rows + 2 * task.train) + 4 * training.epochs * task.train
    if training.dropout:
        each += task.train * run.neurons // training.windows
    common = size * steps.ENTRIES_AT_ONCE[torch.device(device).type]
    if len(runs) > 1 and same_points([runs[0].data(), runs[-1].data()]):
        common += points
    else:
        each += points
    return max(1, ((room(device) if memory is None else memory) - common) // each)


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
        *setting.sizes,
        training.batch_size,
        training.rows,
        training.dtype,
        training.dropout,
        training.loss_factor,
        (training.optimizer, training.momentum, training.weight_decay, training.betas, training.eps, training.clip),
    )


def _entries(network: nn.Module, run: Run) -> int:
    """Return how many numbers a pass holds for one point of one run."""
    if isinstance(network, Network):
        return entries_a_point(network)
    return numbers_held(network, run.data().x_train[:1].to(run.dtype))


def _train(runs: Sequence[Run], device: str) -> list[RunResult]:
    split = not is_own(runs[0].setting.network) or isinstance(runs[0].module(), Network)
    with torch.inference_mode() if split else torch.no_grad():  # in inference mode ``torch.func`` takes no gradients
        return _train_on(runs, device, split)


def _train_on(runs: Sequence[Run], device: str, split: bool) -> list[RunResult]:
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            return _train_here(runs, device, split)
    return _train_here(runs, device, split)


def _train_here(runs: Sequence[Run], device: str, split: bool) -> list[RunResult]:
    start = time.perf_counter()
    training = runs[0].setting.training
    stack: Stack | WholeStack = Stack.build(runs, device) if split else _whole(runs, device)
    state = State.build(stack, runs, device)
    full, last = divmod(state.order.shape[1], training.batch_size)
    parts = [(partial(steps.step, stack, state, training.batch_size), full)]
    if last:
        parts.append((partial(steps.step, stack, state, last), 1))
    make_steps = program(parts, partial(steps.rehearse, stack, state), device)
    if stack.optimizer is not None:
        stack.optimizer.reset()  # which remembers rehearsals
    table = torch.full((training.rows, len(STATISTICS), len(runs)), torch.nan, dtype=torch.float64, device=device)
    done = [0]
    follow(lambda: done[0] / training.rows)
    for epoch, (tested, probed) in enumerate(zip(training.tested(), training.probed(), strict=True)):
        done[0] = epoch
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


def _whole(runs: Sequence[Run], device: str) -> WholeStack:
    return WholeStack.build(runs, device, [tensor.to(device) for tensor in points_of(runs)])
