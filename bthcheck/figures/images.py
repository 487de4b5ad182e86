"""Figures of the images that are learned."""

from typing import TYPE_CHECKING

import numpy as np

from bthcheck.figures.style import literal, style
from bthcheck.tasks import CorruptedImages
from bthcheck.training.streams import stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def contact_sheet(task: CorruptedImages, seed: int, count: int = 24, columns: int = 8) -> "Figure":
    """Draw the first training images with the labels that a seed trains with, a thick frame around those that were redrawn."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    images, labels, names = task.images()[:count], task.labels(stream(seed, "data")), task.classes
    rows = -(-len(images) // columns)
    height = 0.95 * rows + 0.45
    with style():
        figure = Figure(figsize=(0.75 * columns, height))
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.3 / height, top=1 - 0.18 / height, hspace=0.45, wspace=0.1)
        for axes in figure.subplots(rows, columns, squeeze=False).flat:
            axes.set_axis_off()
        for axes, image, redrawn, used, clean in zip(
            figure.axes, images, labels.redrawn, labels.used, labels.clean, strict=False
        ):
            axes.imshow(image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            color = "0.2" if not redrawn else "#8a5a00" if used == clean else "#b3261e"
            axes.set_title(
                literal(names[used]), fontsize=7, color=color, pad=2, fontweight="bold" if used != clean else "normal"
            )
            if redrawn:
                axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=color, linewidth=3))
        legend = "red: redrawn and wrong; brown: redrawn and right by chance; no frame: as in the data set"
        figure.text(0.01, 0.02, legend, fontsize=8)
        return figure


def ranked(
    task: CorruptedImages, seed: int, score: np.ndarray, marked: np.ndarray, count: int = 24, columns: int = 8
) -> "Figure":
    """Draw the training images with the largest scores, the largest first, with their labels as a seed trains with them.

    Parameters
    ----------
    score, marked : (images,); a red frame is around those that are marked
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    images, labels, names = task.images(), task.labels(stream(seed, "data")).used, task.classes
    chosen = np.argsort(-np.asarray(score), kind="stable")[:count]
    rows = -(-len(chosen) // columns)
    height = 0.95 * rows + 0.1
    with style():
        figure = Figure(figsize=(0.75 * columns, height))
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=1 - 0.2 / height, hspace=0.45, wspace=0.1)
        for axes in figure.subplots(rows, columns, squeeze=False).flat:
            axes.set_axis_off()
        for axes, index in zip(figure.axes, chosen, strict=False):
            axes.imshow(images[index].transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(literal(names[labels[index]]), fontsize=7, color="#b3261e" if marked[index] else "0.2", pad=2)
            if marked[index]:
                axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color="#b3261e", linewidth=3))
        return figure
