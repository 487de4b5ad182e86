"""Watch a small CNN learn clean and redrawn labels, with Adam and with SGD: ``python docs/figures/watching_example.py``.

Writes docs/figures/watching.svg, which docs/how-to/watching.md shows, and prints what the tests say. It takes minutes.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import bthcheck
from bthcheck.evidence import Finding
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, Experiment
from bthcheck.figures.style import legend, save, style
from bthcheck.harness.claims import Claim, Evidence
from bthcheck.tasks import CorruptedImages
from bthcheck.training.streams import stream
from bthcheck.watching import by_epoch

PICTURE = Path(__file__).with_suffix("").with_name("watching.svg")
LEVELS = (0.0, 0.4)  # the share of the training labels that is redrawn
SEEDS = 10  # with two levels, fewer cannot reach the level of a test
FIT = 0.1 * 0.6931  # of the training loss: a tenth of that of answering 1/2
# Learning rates and epochs were chosen by the training loss alone, such that all runs are fit in their last ten epochs.
OPTIMIZERS: dict[str, tuple[Callable[[Iterable[Tensor]], torch.optim.Optimizer], int]] = {
    "Adam": (lambda parameters: torch.optim.Adam(parameters, lr=2e-3), 40),
    "SGD": (lambda parameters: torch.optim.SGD(parameters, lr=0.2), 80),
}
PAPER = CORRUPTED_CIFAR_SMALL.replace(levels=LEVELS, seeds=tuple(range(SEEDS)))
CLAIM = Claim(
    "M1", "Networks that have fit redrawn labels have a larger φ and are steeper than those of clean labels", "Theorem 1"
)


def cnn() -> nn.Sequential:
    """Return three convolutions and a classifier whose output f is a probability, (m, 3, 32, 32) to (m,)."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 1), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip


def train(optimizer: str, level: float, seed: int, epochs: int, images: int = 200) -> xr.Dataset:
    """Train one network in an ordinary loop, watched; return its statistics of every epoch."""
    data = CorruptedImages(corruption=level, train=images, test=500).sample(stream(seed, "data"))
    x, y, x_test, y_test = data.x_train.reshape(-1, 3, 32, 32), data.y_train, data.x_test.reshape(-1, 3, 32, 32), data.y_test
    torch.manual_seed(seed)  # the same weights and the same order at both levels
    model = cnn()
    opt = OPTIMIZERS[optimizer][0](model.parameters())
    loss_of = nn.BCELoss()
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    tested = []
    with bthcheck.watch(model, opt, probe=x, probe_every=5 * len(loader)) as w:
        for epoch in range(1, epochs + 1):
            w.mark(epoch=epoch)
            for inputs, labels in loader:
                opt.zero_grad()
                loss = loss_of(model(inputs), labels)
                loss.backward()
                w.mark(loss=loss)
                opt.step()
            with torch.no_grad():
                tested.append(float(loss_of(model(x_test), y_test)))
    runs = by_epoch(w.dataset()).assign(test_loss=("epoch", tested))
    return runs.assign(trajectory_length=runs.trajectory_length / len(loader))  # the mean φ of an epoch


def watched(levels: Sequence[float], seeds: int, epochs: int | None, images: int, cores: int) -> dict[str, xr.Dataset]:
    """Return all runs with each optimizer, dimensions (corruption, seed, epoch)."""
    runs = {
        (name, level, seed): (name, level, seed, epochs or most, images)
        for name, (_, most) in OPTIMIZERS.items()
        for level in levels
        for seed in range(seeds)
    }
    if cores == 1:
        trained = [train(*one) for one in runs.values()]
    else:
        with ProcessPoolExecutor(cores, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
            trained = list(pool.map(train, *zip(*runs.values(), strict=True)))
    found = dict(zip(runs, trained, strict=True))
    corruption, seed = xr.Variable("corruption", list(levels)), xr.Variable("seed", range(seeds))
    return {
        name: xr.concat(
            [xr.concat([found[name, level, number] for number in range(seeds)], seed) for level in levels], corruption
        )
        for name in OPTIMIZERS
    }


def evidence_of(runs: xr.Dataset, late: int = 10) -> Evidence:
    """Test what is expected, as a claim's test does: all is stated before anything is trained."""
    evidence = Evidence(CLAIM, Path())
    evidence.fitted(runs.train_loss, FIT, epochs=late)
    phi = runs.trajectory_length
    evidence.increases(phi.sum("epoch"), "corruption", quantity="total φ, the sum over epochs of their mean")
    evidence.increases(phi[..., -late:].mean("epoch"), "corruption", quantity=f"mean φ of the last {late} epochs")
    evidence.increases(runs.lipschitz_mean[..., -1], "corruption", quantity="mean λ over the training images at the end")
    return evidence


def draw(columns: dict[str, xr.Dataset]) -> Figure:
    """Draw the panels of the paper's Figures 1d–f and 2c, and λ, a column an experiment, all with dimension "epoch"."""
    rows = {
        "training loss (1d)": lambda runs: runs.train_loss,
        "mean φ (1e)": lambda runs: runs.trajectory_length,
        "running total of φ (1e)": lambda runs: runs.trajectory_length.cumsum("epoch"),
        "test loss (1f)": lambda runs: runs.test_loss,
        "variance of b₁ / α² (2c)": lambda runs: runs.bias_variance,
        "mean λ (Theorem 1)": lambda runs: runs.lipschitz_mean,
    }
    with style():
        figure = Figure(figsize=(9, 1.75 * len(rows)))
        figure.subplots_adjust(left=0.09, right=0.99, bottom=0.05, top=0.96, hspace=0.2, wspace=0.2)
        grid = figure.subplots(len(rows), len(columns), sharex="col", squeeze=False)
        for number, (title, runs) in enumerate(columns.items()):
            for axes, (label, statistic) in zip(grid[:, number], rows.items(), strict=True):
                for level, color in zip(runs.corruption.values, ("#2a7f62", "#c0392b"), strict=True):
                    one = statistic(runs).sel(corruption=level).dropna("epoch", how="all")
                    axes.fill_between(one.epoch, one.min("seed"), one.max("seed"), color=color, alpha=0.2, linewidth=0)
                    axes.plot(one.epoch, one.median("seed"), color=color, label=f"{100 * level:.0f} % redrawn", linewidth=1.4)
                axes.set_yscale("linear" if "total" in label or "test" in label else "log")
                if not number:
                    axes.set_ylabel(label)
            grid[0, number].set_title(title, fontsize=10)
            grid[-1, number].set_xlabel("epoch")
        figure.align_ylabels(grid[:, 0])
        legend(grid[0, 0])
        return figure


def main(
    levels: Sequence[float] = LEVELS, seeds: int = SEEDS, epochs: int | None = None, images: int = 200,
    paper: Experiment = PAPER, engine: str = "auto", cores: int = 2, picture: Path = PICTURE,
) -> dict[str, Evidence]:  # fmt: skip
    """Train everything, write the picture and return the evidence of every column; fewer epochs are a shorter training."""
    runs = bthcheck.run(paper, engine=engine)
    columns = {"the paper's, by bthcheck.run": runs.assign(trajectory_length=runs.trajectory_length / runs.steps_per_epoch)}
    for name, found in watched(levels, seeds, epochs, images, cores).items():
        columns[f"a loop with {name}, watched"] = found
    save(draw(columns), picture)
    return {title: evidence_of(runs, min(10, runs.sizes["epoch"])) for title, runs in columns.items()}


def say(finding: Finding) -> str:
    """Return a finding in a sentence, with its effect and its interval."""
    interval = "" if finding.interval is None else f", interval {finding.interval[0]:.2f} to {finding.interval[1]:.2f}"
    return f"  {finding.verdict}: {finding.reason}{interval}"


if __name__ == "__main__":
    for title, evidence in main().items():
        print(f"{title}: {evidence.verdict}", *map(say, evidence.findings), sep="\n")
