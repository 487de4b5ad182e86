"""What watching costs a training: ``python -m bthcheck.benchmark.watching``.

The same network is trained twice in one process, watched and not, in turn and a few steps at a time, so that a machine whose
speed drifts does not favour one. The time in which records are fetched and made into numbers belongs to the watched steps.
"""

import gc
import statistics
import time

import torch
from torch import nn

from bthcheck.choices import available_threads
from bthcheck.watching.watch import watch

TARGETS = {1: 1.15, 32: 1.05}
"""Batch size → the largest ratio of the times of a watched and an unwatched step that is wanted."""
_BLOCK = {1: 32, 32: 4}  # steps at a time
_ROUNDS = {1: 100, 32: 100}


def three_convolutions() -> nn.Sequential:
    """Return the CNN of docs/how-to/watching.md, (m, 3, 32, 32) to (m,)."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 1), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip


def tutorial() -> nn.Sequential:
    """Return the CNN of PyTorch's tutorial on CIFAR-10, (m, 3, 32, 32) to (m, 10)."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


NETWORKS = {"CNN 16-32-64": three_convolutions, "PyTorch's tutorial CNN": tutorial}


class _Loop:
    """An ordinary training on one batch."""

    def __init__(self, name: str, batch: int) -> None:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.model = NETWORKS[name]()
            self.x = torch.rand(batch, 3, 32, 32) * 2 - 1
            self.y = torch.randint(0, 2, (batch,))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.loss: nn.Module = nn.CrossEntropyLoss() if name.startswith("PyTorch") else nn.BCELoss()
        self.y = self.y if name.startswith("PyTorch") else self.y.float()

    def seconds(self, steps: int) -> float:
        """Return the time a step."""
        start = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss(self.model(self.x), self.y).backward()
            self.optimizer.step()
        return (time.perf_counter() - start) / steps


def time_steps(name: str, batch: int, rounds: int | None = None) -> tuple[list[float], list[float]]:
    """Return the times a step, in µs, of short blocks without and with `bthcheck.watch`, in turn; what comes first alternates.

    Parameters
    ----------
    name : of `NETWORKS`
    """
    plain, watched = _Loop(name, batch), _Loop(name, batch)
    without: list[float] = []
    with_it: list[float] = []
    steps = _BLOCK.get(batch, 4)
    with watch(watched.model, watched.optimizer):
        plain.seconds(32)
        watched.seconds(32)
        gc.collect()
        for number in range(rounds or _ROUNDS.get(batch, 100)):
            for loop, times in ((plain, without), (watched, with_it))[:: 1 if number % 2 else -1]:
                times.append(loop.seconds(steps) * 1e6)
    return without, with_it


def report(rounds: int | None = None) -> None:
    """Print the cost of every network and batch size beside what it ought to be, on one thread and on all."""
    threads = torch.get_num_threads()
    try:
        for count in sorted({1, available_threads()}):
            torch.set_num_threads(count)
            for name in NETWORKS:
                for batch, target in TARGETS.items():
                    print(f"a step of {name} at batch size {batch}, watched, no probe, {count} thread(s), in turn:")
                    without, with_it = time_steps(name, batch, rounds)
                    plain, extra = statistics.median(without), statistics.median(with_it) - statistics.median(without)
                    low, _, high = statistics.quantiles([b / a for a, b in zip(without, with_it, strict=True)], n=4)
                    _line("unwatched", f"{plain:.0f} µs a step", f"watching adds {extra:.0f} µs")
                    _line("ratio", f"{1 + extra / plain:.3f} ({low:.3f} to {high:.3f})", f"at most {target:g}")
    finally:
        torch.set_num_threads(threads)


def _line(label: str, value: str, target: str) -> None:
    print(f"  {label:<14} {value:<24} {target}", flush=True)


if __name__ == "__main__":
    report()
