"""How fast a stack trains: ``python -m bthcheck.benchmark.gpu``, which takes a GPU if there is one.

Times a step of the paper's CNN for 32 runs side by side with all statistics, and says what part that is of what the device
can do. The limits are measured on the spot, so that no table of devices is needed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from bthcheck.ambient import neutral
from bthcheck.choices import check_device, cuda_count
from bthcheck.experiments import Experiment, Training
from bthcheck.networks import CNN, Architecture, Network
from bthcheck.tasks import CorruptedImages
from bthcheck.training.runs import Run
from bthcheck.training.stacked.graphs import program
from bthcheck.training.stacked.layers import entries_a_point, seen
from bthcheck.training.stacked.state import Stack, State
from bthcheck.training.stacked.steps import rehearse, step

_PAPER_STEPS = 1_000_000  # 100 epochs of 10 000 images
_ROUNDS = 5


class Work(NamedTuple):
    """What a step at batch size 1 needs at least.

    parameters : of all runs
    operations : additions and multiplications of the matrix products: forward, to the inputs, to the parameters
    bytes : every parameter is read forward and backward and read and written by its update; every number that a pass holds
        is written and read once
    """

    parameters: int
    operations: int
    bytes: int


def work(network: Architecture, runs: int) -> Work:
    """Count the work of a float32 step."""
    module = network.build()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    numbers = 4 * parameters + 2 * entries_a_point(module)
    return Work(runs * parameters, runs * 6 * _products(module, network.inputs), runs * 4 * numbers)


def _products(network: Network, inputs: int) -> int:
    """Return how many products the matrix products of a forward pass at one point sum up, of what pools look at alone."""
    total = 0
    h = torch.empty(1, inputs, device="meta")
    layers = [network.first, *network.rest]
    for number, layer in enumerate(layers):
        layer = layer.to("meta")
        h = layer(h)
        if isinstance(layer, nn.Unflatten):
            h = h[..., : seen(h.shape[2], layers[number + 1 :]), : seen(h.shape[3], layers[number + 1 :])]
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            total += h.numel() * layer.weight[0].numel()
    return total


def seconds_a_step(device: str, network: Architecture, runs: int, steps: int) -> float:
    """Train `runs` runs of the CIFAR task for some rounds of `steps` steps; return the median time of a step."""
    task = CorruptedImages(train=steps + steps % 2, test=2)
    experiment = Experiment("benchmark", task, "corruption", (0.0,), network, Training(epochs=1), seeds=tuple(range(runs)))
    with neutral(), torch.inference_mode():
        alike = [Run(experiment, 0.0, seed) for seed in experiment.seeds]
        stack = Stack.build(alike, device)
        state = State.build(stack, alike, device)
        one = partial(step, stack, state, 1)
        make_steps = program([(one, steps)], partial(rehearse, stack, state), device)
        return _seconds(make_steps, device, before=lambda: state.begin(stack, 0)) / steps


def copied_bytes_a_second(device: str, size: int) -> float:
    """Return the rate at which `size`² numbers are copied, bytes read and bytes written together."""
    one, other = (torch.zeros(size, size, device=device) for _ in range(2))
    return 2 * one.nbytes / _seconds(lambda: other.copy_(one), device)


def operations_a_second(device: str, size: int) -> float:
    """Return the rate of a float32 product of `size` × `size` matrices, TF32 off."""
    one, other, out = (torch.ones(size, size, device=device) for _ in range(3))
    with neutral():
        return 2 * size**3 / _seconds(lambda: torch.mm(one, other, out=out), device)


def _seconds(action: Callable[[], object], device: str, before: Callable[[], object] = lambda: None) -> float:
    """Return the median time of an action after one that does not count, on the device's own clock."""
    taken = []
    for _ in range(_ROUNDS + 1):
        before()
        if torch.device(device).type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            action()
            end.record()
            end.synchronize()
            taken.append(start.elapsed_time(end) / 1e3)
        else:
            begun = time.perf_counter()
            action()
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def report(device: str, *, network: Architecture, runs: int, steps: int, size: int) -> None:
    """Print the time of a step and how far it is from the device's limits.

    Parameters
    ----------
    steps : a round, at most 1000
    size : side of the matrices that the limits are measured with; large against the device's caches
    """
    cuda = torch.device(device).type == "cuda"
    print(torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} thread(s)")
    with torch.cuda.device(device) if cuda else nullcontext():
        copying, computing = copied_bytes_a_second(device, size), operations_a_second(device, size)
        seconds = seconds_a_step(device, network, runs, steps)
    needed = work(network, runs)
    _line("copying", f"{copying / 1e9:.3g} GB/s", f"{size} × {size} float32, device to device")
    _line("matrix product", f"{computing / 1e12:.3g} TFLOP/s", f"{size} × {size} float32, TF32 off")
    _line(
        "a step",
        f"{seconds * 1e3:.4g} ms",
        f"{runs} runs, {needed.parameters / 1e6:.3g} million parameters; aim: 0.9 ms for 32",
    )
    total = f"{_PAPER_STEPS:,} steps".replace(",", " ")
    _line(
        total,
        f"{seconds * _PAPER_STEPS / 60:.3g} min",
        f"the paper's CIFAR experiment, {runs} runs; aim: 15 min for 32 on an H100",
    )
    for name, amount, limit, prefix in (
        ("bytes/s", needed.bytes, copying, 1e9),
        ("FLOP/s", needed.operations, computing, 1e12),
    ):
        rate = amount / seconds
        unit = "GB/s" if prefix == 1e9 else "TFLOP/s"
        _line(name, f"{rate / prefix:.3g} {unit}", f"{rate / limit:.0%} of the limit; at least {amount:.3g} a step")


def _line(label: str, value: str, note: str) -> None:
    print(f"  {label:<16} {value:<16} {note}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the report."""
    cuda = cuda_count() > 0
    parser = argparse.ArgumentParser(prog="python -m bthcheck.benchmark.gpu", description="How fast a stack trains.")
    add = parser.add_argument
    add("--device", default="cuda" if cuda else "cpu", help="cpu, cuda or cuda:N (default: the GPU if there is one)")
    add("--runs", type=int, default=32 if cuda else 2, help="side by side (default: 32; 2 without a GPU)")
    add("--steps", type=int, default=1000 if cuda else 4, help="a round, at most 1000 (default: 1000; 4 without a GPU)")
    options = parser.parse_args(arguments)
    try:
        check_device(options.device)
        size = 1024 if options.device == "cpu" else 16384
        report(options.device, network=CNN(), runs=options.runs, steps=options.steps, size=size)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
