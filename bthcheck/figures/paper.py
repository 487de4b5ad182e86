"""The figures that the paper has of a training, for any: losses, trajectory, Lipschitz constants, variance, distance."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from bthcheck.figures.statistics import curves, means, scatter, violins

if TYPE_CHECKING:
    from matplotlib.figure import Figure


LATE_EPOCHS = 10
"""How many epochs at the end the bias's variance is the mean of, as in Figures 2a and 2c."""


class Drawn(NamedTuple):
    """A figure with the name of its file and what is said below it."""

    name: str
    figure: "Figure"
    caption: str


def of_training(dataset: xr.Dataset) -> list[Drawn]:
    """Draw what was measured of a training as the paper does.

    Parameters
    ----------
    dataset : from `bthcheck.run`, dimensions (level, "seed", "epoch")
    """
    along = str(dataset.attrs["level"])
    band = "Mean over seeds, band of one standard deviation; dotted: the median."
    spread = "Median over seeds, band from the smallest to the largest."
    each = "Every seed is a line."
    late = dataset.isel(epoch=slice(-LATE_EPOCHS * int(dataset.attrs["windows"]), None))
    tested = dataset.test_loss.dropna("epoch", how="all")
    total = dataset.trajectory_length.sum("epoch")
    drawn = [
        Drawn("train-loss", means(dataset.train_loss, along, ylabel="training loss"), f"Training loss (Fig. 1a, 1d). {band}"),
        Drawn(
            "trajectory",
            means(dataset.trajectory_length.cumsum("epoch"), along, ylabel="φ summed over all steps so far"),
            f"Normalised bias trajectory, its length so far (Fig. 1b, 1e). {band}",
        ),
        Drawn("test-loss", means(tested, along, ylabel="test loss"), f"Test loss (Fig. 1c, 1f). {band}"),
        Drawn(
            "phi",
            curves(dataset.trajectory_length, along, log=_positive(dataset.trajectory_length)),
            f"Trajectory an epoch. {spread}",
        ),
        Drawn(
            "lipschitz",
            curves(dataset.lipschitz_mean, along, ylabel="mean λ(x), x in X", log=_positive(dataset.lipschitz_mean)),
            f"Local Lipschitz constant at the training points. {spread}",
        ),
        Drawn(
            "bias-variance",
            violins(late.bias_variance.mean("epoch"), along, ylabel="variance of b₁ / α²", log=True),
            f"Bias variance near the end, mean over the last {LATE_EPOCHS} epochs (Fig. 2a, 2c). {each}",
        ),
        Drawn(
            "distance",
            violins(dataset.distance_to_init.isel(epoch=-1), along, ylabel="‖b₁ − b₁⁰‖"),
            f"Distance of b₁ to its initialisation at the end (Fig. 2b). {each}",
        ),
    ]
    if _positive(total) and _positive(tested.isel(epoch=-1)):
        figure = scatter(total, tested.isel(epoch=-1), along, xlabel="total φ", ylabel="test loss at the end")
        drawn.append(
            Drawn("test-loss-trajectory", figure, "Test loss against trajectory; a line joins the levels of one seed.")
        )
    if dataset.train_error.notnull().any():
        error = dataset.test_error.dropna("epoch", how="all")
        drawn.append(
            Drawn("test-error", means(error, along, ylabel="test error"), f"Share of test images misclassified. {band}")
        )
    return drawn


def _positive(values: xr.DataArray) -> bool:
    """Whether there is anything to draw on a logarithmic axis: where every run diverged there is not."""
    return bool((np.isfinite(values) & (values > 0)).any())
