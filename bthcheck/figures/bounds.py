"""Figures of bounds: how they grow, how loose they are, and how deviations are spread that a bound is about."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bthcheck.figures.style import blank, legend, style, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def growth(
    values: dict[str, dict[int, float]],
    laws: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    xlabel: str,
    ylabel: str,
    level: float | None = None,
    linear: bool = False,
) -> "Figure":
    """Draw how quantities grow with a size, on logarithmic axes.

    Parameters
    ----------
    values : label → size → value, a line each; what is not finite or not positive is left out
    laws : label → a function of the size, drawn dashed for comparison
    level : where to draw a horizontal line, if anywhere
    linear : whether the axis of sizes is linear
    """
    from matplotlib.ticker import LogFormatter

    with style():
        figure, axes = blank()
        sizes = np.unique([size for one in values.values() for size in one])
        grid = np.linspace(sizes[0], sizes[-1], 100) if linear else np.geomspace(sizes[0], sizes[-1], 100)
        for label, law in laws.items():
            axes.plot(grid, law(grid), color="0.5", linestyle="--", linewidth=1, label=label)
        for (label, one), marker in zip(values.items(), "os^Dv" * len(values), strict=False):
            shown = {size: value for size, value in one.items() if np.isfinite(value) and value > 0}
            axes.plot(list(shown), list(shown.values()), marker + "-", label=label, markersize=4, linewidth=1.2)
        if level is not None:
            axes.axhline(level, color="0.3", linestyle=":", linewidth=1)
        axes.set(xscale="linear" if linear else "log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        axes.xaxis.minorticks_off()
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))  # numbers also within a decade
        legend(axes)
        return figure


def looseness(ratios: dict[str, np.ndarray], *, xlabel: str = "bound / value") -> "Figure":
    """Draw how far bounds exceed what they bound, a cumulative curve each; 1 is a bound that is met."""
    with style():
        figure, axes = blank()
        for label, ratio in ratios.items():
            finite = np.sort(ratio[np.isfinite(ratio) & (ratio > 0)])
            finite = finite[thinned(len(finite))]
            axes.plot(finite, np.linspace(0, 1, len(finite)), label=label)
        axes.axvline(1, color="0.3", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel=xlabel, ylabel="share of cases")
        legend(axes)
        return figure


def normal_scores(scores: dict[str, np.ndarray]) -> "Figure":
    """Draw standardised deviations as histograms against the standard normal density."""
    with style():
        figure, axes = blank()
        grid = np.linspace(-4, 4, 161)
        for label, values in scores.items():
            axes.hist(values, bins=list(np.linspace(-4, 4, 41)), density=True, alpha=0.45, label=label)
        axes.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color="0.2", linewidth=1, label="standard normal")
        axes.set(xlabel="standardised deviation of the trajectory from the average over X", ylabel="density")
        legend(axes)
        return figure
