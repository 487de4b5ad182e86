"""The figure of a watched training: what its gradients, its first bias and its Lipschitz constants did."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bthcheck.figures.style import legend, style, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HALF_WIDTH = 20  # records on either side that a mean is taken over
_STATES = ("distance_to_init", "lipschitz_mean", "lipschitz_max")  # which do not depend on what a batch happened to hold


def watched(records: xr.Dataset) -> "Figure":
    """Draw φ and ‖g‖, λ where it was probed, the bias's way, and the loss against the step.

    What depends on the batch is drawn as the mean of 41 records around each, over the faint values themselves.

    Parameters
    ----------
    records : from `bthcheck.watch`, dimension "step"; a panel without a number in it is left out. Where its attributes have λ
        before the first step, the line begins with that, at step 0
    """
    panels = {
        "output / input": ("phi", "gradient_norm_mean", "lipschitz_mean", "lipschitz_max"),
        "first bias": ("update", "distance_to_init"),
        "loss": ("train_loss",),
    }
    names = {"phi": "φ", "gradient_norm_mean": "mean ‖g‖", "lipschitz_mean": "mean λ", "lipschitz_max": "largest λ",
             "update": "‖Δb₁‖", "distance_to_init": "distance", "train_loss": "loss"}  # fmt: skip
    shown = {label: [name for name in some if np.isfinite(records[name]).any()] for label, some in panels.items()}
    shown = {label: some for label, some in shown.items() if some} or {"output / input": []}
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(5.6, 0.5 + 2.1 * len(shown)))
        figure.subplots_adjust(left=0.14, right=0.97, bottom=0.5 / (0.5 + 2.1 * len(shown)), top=0.97, hspace=0.18)
        rows = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, some) in zip(rows, shown.items(), strict=True):
            for number, name in enumerate(some):
                _line(axes, records[name], records.attrs.get(f"{name}_at_start"), names[name], f"C{number}")
            if any((records[name].values > 0).any() for name in some):
                axes.set_yscale("log")
            axes.set_ylabel(label)
            if len(some) > 1:
                legend(axes)
        rows[-1].set_xlabel("step")
        return figure


def _line(axes: "Axes", values: xr.DataArray, start: float | None, label: str, color: str) -> None:
    finite = np.isfinite(values.values)
    steps, raw = values.step.values[finite], values.values[finite]
    which = thinned(len(raw))
    if values.name in _STATES:
        x, y = steps[which], raw[which]
        if start is not None and np.isfinite(start):
            x, y = np.r_[0, x], np.r_[start, y]
        axes.plot(x, y, ".-" if len(raw) < len(values) else "-", color=color, label=label, markersize=4, linewidth=1.2)
        return
    window = np.ones(2 * min(_HALF_WIDTH, (len(raw) - 1) // 2) + 1)
    mean = np.convolve(raw, window, "same") / np.convolve(np.ones_like(raw), window, "same")
    axes.plot(steps[which], raw[which], color=color, linewidth=0.4, alpha=0.5)
    axes.plot(steps[which], mean[which], color=color, label=label, linewidth=1.4)
