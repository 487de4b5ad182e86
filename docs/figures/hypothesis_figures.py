"""Draw the figures of docs/explanation/hypothesis.md, training for seconds: ``python docs/figures/hypothesis_figures.py``."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

import bthcheck
from bthcheck import figures
from bthcheck.experiments import SINUSOIDS, Experiment
from bthcheck.figures.style import style
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

FOLDER = Path(__file__).parent
FUNCTIONS = FOLDER / "hypothesis-functions.svg"
PATHS = FOLDER / "hypothesis-paths.svg"
TRAJECTORIES = FOLDER / "hypothesis-trajectories.svg"
EXPERIMENT = SINUSOIDS.replace(seeds=range(5))
SEED = 0
EPOCHS = 10


def after(experiment: Experiment, runs: xr.Dataset, level: float, epochs: int = EPOCHS) -> np.ndarray:
    """Return the first bias of a trained run over some more epochs, step by step: (steps + 1, n₁).

    Plain SGD at batch size 1 with the experiment's learning rate, in an order of its own.
    """
    network = runs.bthcheck.weights(level, SEED).double()
    data = Run(experiment, level, SEED).data()
    x, y = data.x_train.double(), data.y_train.double()
    descent = torch.optim.SGD(network.parameters(), lr=experiment.training.learning_rate)
    bias = next(parameter for name, parameter in network.named_parameters() if name.endswith("bias"))
    path = [bias.detach().clone()]
    for order in (np.random.default_rng(epoch).permutation(len(x)) for epoch in range(epochs)):
        for point in order:
            descent.zero_grad()
            (0.5 * (network(x[point : point + 1]).squeeze() - y[point]) ** 2).backward()
            descent.step()
            path.append(bias.detach().clone())
    return torch.stack(path).numpy()


def draw_functions(experiment: Experiment, runs: xr.Dataset, fine: int = 60) -> Figure:
    """Draw what is to be learned and what was, over the plane of the data, with the training points."""
    levels = (experiment.levels[0], experiment.levels[-1])
    axis = np.linspace(-1, 1, fine)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    with style(axes_grid=False):
        figure = Figure(figsize=(6.4, 5.6), layout="constrained")
        for row, level in zip(figure.subplots(2, 2, sharex=True, sharey=True), levels, strict=True):
            task = experiment.at(level).task
            plane = task.plane(stream(SEED, "data")).numpy()
            network = runs.bthcheck.weights(level, SEED).double()
            with torch.no_grad():
                learned = network(torch.from_numpy(grid.reshape(-1, 2) @ plane.T)).reshape(fine, fine).numpy()
            points = Run(experiment, level, SEED).data().x_train.numpy() @ plane / task.scale**2
            for axes, values, what in zip(row, (task.target(grid), learned), ("target", "learned"), strict=True):
                image = axes.imshow(
                    values.T, extent=(-1, 1, -1, 1), origin="lower", cmap="RdBu_r", vmin=-1, vmax=1, aspect="equal"
                )
                axes.plot(*points.T, ".", color="black", markersize=2)
                axes.set(title=f"frequency {level:g}, {what}", xlabel="u", ylabel="v")
        figure.colorbar(image, ax=figure.axes, shrink=0.6, label="f")
    return figure


def draw_paths(paths: dict[float, np.ndarray]) -> Figure:
    """Draw paths of the bias on the two directions in which all of them vary most, at one scale."""
    everything = np.concatenate([path - path.mean(0) for path in paths.values()])
    axes_of_path = np.linalg.svd(everything, full_matrices=False)[2][:2]
    with style():
        figure = Figure(figsize=(6.4, 3.3), layout="constrained")
        for axes, (level, path), color in zip(
            figure.subplots(1, 2, sharex=True, sharey=True), paths.items(), ("#2a6f97", "#b5446e"), strict=True
        ):
            shown = (path - path.mean(0)) @ axes_of_path.T * 1000
            length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
            axes.plot(*shown.T, color=color, linewidth=0.5)
            axes.set(title=f"frequency {level:g}: Σ‖Δb₁‖ = {length:.2g}", xlabel="first direction × 1000")
            axes.set_aspect("equal")
        figure.axes[0].set_ylabel("second direction × 1000")
    return figure


def draw_trajectories(runs: xr.Dataset) -> Figure:
    """Draw the mean φ of every epoch."""
    phi = runs.trajectory_length / runs.steps_per_epoch
    last = int(phi.epoch[-1])
    return figures.curves(phi, "frequency", ylabel="mean φ of the epoch", windows={"T1": (last - 100, last)})


def main(experiment: Experiment = EXPERIMENT, folder: Path = FOLDER) -> None:
    """Train, and write the three pictures."""
    runs = bthcheck.run(experiment, progress=False)
    figures.save(draw_functions(experiment, runs), folder / FUNCTIONS.name)
    ends = (experiment.levels[0], experiment.levels[-1])
    figures.save(draw_paths({level: after(experiment, runs, level) for level in ends}), folder / PATHS.name)
    figures.save(draw_trajectories(runs), folder / TRAJECTORIES.name)


if __name__ == "__main__":
    main()
    print(f"drawn: {FUNCTIONS.name}, {PATHS.name}, {TRAJECTORIES.name}")
