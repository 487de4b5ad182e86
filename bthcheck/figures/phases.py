"""Figure of a phase diagram: where the order of T1 holds, is reversed, or the data are not fit."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bthcheck.figures.style import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def phase_diagram(found: xr.Dataset) -> "Figure":
    """Draw a panel for every number of points and learning rate, width against epochs in each.

    The colour is τ, blue where a higher frequency has the longer trajectory and red where it has the shorter; the black line is
    the boundary between cells that are fit and the others, which are dotted.

    Parameters
    ----------
    found : as from `bthcheck.evidence.phases.phases`
    """
    from matplotlib.figure import Figure

    points, rates = found.points.values, found.learning_rate.values
    with style():
        figure = Figure(figsize=(1.9 * len(rates) + 1.3, 1.5 * len(points) + 0.9))
        panels = np.atleast_2d(figure.subplots(len(points), len(rates), sharex=True, sharey=True, squeeze=False))
        figure.subplots_adjust(left=0.09, right=0.86, bottom=0.12, top=0.94, wspace=0.12, hspace=0.2)
        image: Any = None
        for (row, column), axes in np.ndenumerate(panels):
            cell = found.isel(points=len(points) - 1 - row, learning_rate=column).transpose("width", "epochs")
            image = axes.imshow(cell.tau.values, cmap="RdBu", vmin=-1, vmax=1, origin="lower", aspect="auto")
            axes.grid(False)
            _boundary(axes, cell.fit.values)
            axes.set_xticks(
                range(found.sizes["epochs"]), [str(value) for value in found.epochs.values], rotation=60, fontsize=7
            )
            axes.set_yticks(range(found.sizes["width"]), [str(value) for value in found.width.values], fontsize=7)
            axes.set_title(f"{points[len(points) - 1 - row]} points, α = {rates[column]:g}", fontsize=7, pad=2)
        figure.supxlabel("epochs", fontsize=9)
        figure.supylabel("width of two hidden layers", fontsize=9, x=0.015)
        bar = figure.colorbar(image, ax=panels.ravel().tolist(), fraction=0.03, pad=0.02)
        bar.set_label("mean τ between frequency and φ", fontsize=8)
        return figure


def _boundary(axes: "Axes", fit: np.ndarray) -> None:
    """Draw lines where a cell that is fit meets one that is not, and a dot in each of the latter."""
    rows, columns = fit.shape
    for row, column in np.argwhere(~fit):
        axes.plot(column, row, ".", color="0.15", markersize=2.5)
    for row, column in np.ndindex(rows, columns):
        if column + 1 < columns and fit[row, column] != fit[row, column + 1]:
            axes.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], color="black", linewidth=1.6)
        if row + 1 < rows and fit[row, column] != fit[row + 1, column]:
            axes.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, color="black", linewidth=1.6)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)
