"""Every figure, a function each: takes labelled arrays, returns a matplotlib Figure. None of them touches pyplot's state."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogFormatter, MaxNLocator

from bthcheck.training.streams import stream

if TYPE_CHECKING:
    from bthcheck.tasks import CorruptedImages

_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "bthcheck",  # the same figure is the same file
}
_POINTS = 160  # drawn of each curve; more is only weight in the report


def curves(
    values: xr.DataArray,
    along: str,
    *,
    ylabel: str | None = None,
    log: bool = True,
    windows: dict[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw values against the epoch, a line a level: the median over seeds, in a band from the smallest to the largest.

    Parameters
    ----------
    values : dimensions (`along`, "seed", "epoch"); epochs without a value (NaN) are left out
    windows : label → (first, last) epoch, shaded; a line where the two are one
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        values = values.dropna("epoch", how="all")
        values = values.isel(epoch=_thinned(values.sizes["epoch"]))
        for level, color in _colors(values, along):
            one = values.sel({along: level})
            axes.fill_between(one.epoch, one.min("seed"), one.max("seed"), color=color, alpha=0.18, linewidth=0)
            axes.plot(one.epoch, one.median("seed"), color=color, label=_label(along, level), linewidth=1.4)
        for label, (first, last) in (windows or {}).items():
            if first == last:
                axes.axvline(first, color="0.5", linewidth=1, linestyle=":")
            axes.axvspan(first, last, color="0.5", alpha=0.15, linewidth=0)
            axes.annotate(
                label, ((first + last) / 2, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8
            )
        if log:
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(ylabel or _title(values))
        _legend(axes)
        return figure


def violins(values: xr.DataArray, along: str, *, ylabel: str | None = None, log: bool = False) -> Figure:
    """Draw the distribution over seeds at each level, with the seeds as points joined by lines.

    Parameters
    ----------
    values : dimensions (`along`, "seed")
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        table = values.transpose("seed", along).values
        positions = np.arange(table.shape[1])
        shown = np.log10(table) if log else table
        if np.isfinite(shown).all():
            parts = axes.violinplot(shown, positions, showextrema=False, widths=0.7)
            bodies: Any = parts["bodies"]
            for body, (_, color) in zip(bodies, _colors(values, along), strict=True):
                body.set(facecolor=color, alpha=0.3)
        axes.plot(positions, shown.T, color="0.6", linewidth=0.5, alpha=0.7)
        for position, (_, color) in zip(positions, _colors(values, along), strict=True):
            axes.plot(np.full(len(shown), position), shown[:, position], ".", color=color, markersize=4)
        axes.set_xticks(positions, [_tick(level) for level in values[along].values.tolist()])
        if log:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            axes.yaxis.set_major_formatter(lambda y, _: f"$10^{{{y:g}}}$")
        axes.set_xlabel(along)
        axes.set_ylabel(ylabel or _title(values))
        return figure


def scatter(first: xr.DataArray, second: xr.DataArray, along: str, *, xlabel: str, ylabel: str) -> Figure:
    """Draw one quantity against another, a colour a level and a thin line a seed; both of dimensions (`along`, "seed")."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        axes.plot(first.transpose(along, "seed"), second.transpose(along, "seed"), color="0.75", linewidth=0.6)
        for level, color in _colors(first, along):
            axes.plot(
                first.sel({along: level}), second.sel({along: level}), "o", color=color, markersize=4,
                label=_label(along, level),
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        _legend(axes)
        return figure


def compared(values: dict[str, xr.DataArray], along: str, *, ylabel: str) -> Figure:
    """Draw several measures of the same runs against the level: a line of medians each, and the seeds as points.

    Parameters
    ----------
    values : label → dimensions (`along`,) or (`along`, "seed"); what is not finite is left out
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        positions = np.arange(next(iter(values.values())).sizes[along])
        for number, (label, array) in enumerate(values.items()):
            color = matplotlib.colormaps["cividis"](number / max(1, len(values) - 1) * 0.85)
            finite = array.where(np.isfinite(array))
            line = finite.median("seed") if "seed" in array.dims else finite
            axes.plot(positions, line.values, "o-", color=color, label=label, linewidth=1.4, markersize=4)
            if "seed" in array.dims:
                dodge = 0.06 * (number - (len(values) - 1) / 2)
                axes.plot(positions + dodge, finite.transpose(along, "seed").values, ".", color=color, markersize=3, alpha=0.5)
        axes.set_xticks(positions, [_tick(level) for level in next(iter(values.values()))[along].values.tolist()])
        axes.set(yscale="log", xlabel=along, ylabel=ylabel)
        _legend(axes)
        return figure


def growth(
    values: dict[str, dict[int, float]],
    laws: dict[str, Callable[[np.ndarray], np.ndarray]],
    *,
    xlabel: str,
    ylabel: str,
    level: float | None = None,
    linear: bool = False,
) -> Figure:
    """Draw how quantities grow with a size, on logarithmic axes.

    Parameters
    ----------
    values : label → size → value, a line each; what is not finite or not positive is left out
    laws : label → a function of the size, drawn dashed for comparison
    level : where to draw a horizontal line, if anywhere
    linear : whether the axis of sizes is linear
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
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
        _legend(axes)
        return figure


def looseness(ratios: dict[str, np.ndarray], *, xlabel: str = "bound / value") -> Figure:
    """Draw how far bounds exceed what they bound, a cumulative curve each; 1 is a bound that is met."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        for label, ratio in ratios.items():
            finite = np.sort(ratio[np.isfinite(ratio) & (ratio > 0)])
            finite = finite[_thinned(len(finite))]
            axes.plot(finite, np.linspace(0, 1, len(finite)), label=label)
        axes.axvline(1, color="0.3", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel=xlabel, ylabel="share of cases")
        _legend(axes)
        return figure


def normal_scores(scores: dict[str, np.ndarray]) -> Figure:
    """Draw standardised deviations as histograms against the standard normal density."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        grid = np.linspace(-4, 4, 161)
        for label, values in scores.items():
            axes.hist(values, bins=list(np.linspace(-4, 4, 41)), density=True, alpha=0.45, label=label)
        axes.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color="0.2", linewidth=1, label="standard normal")
        axes.set(xlabel="standardised deviation of the trajectory from the average over X", ylabel="density")
        _legend(axes)
        return figure


def contact_sheet(task: "CorruptedImages", seed: int, count: int = 24, columns: int = 8) -> Figure:
    """Draw the first training images with the labels that a seed trains with, a thick frame around those that were redrawn."""
    images, labels, names = task.images()[:count], task.labels(stream(seed, "data")), task.classes
    rows = -(-len(images) // columns)
    height = 0.95 * rows + 0.45
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(0.75 * columns, height))
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.3 / height, top=1 - 0.18 / height, hspace=0.45, wspace=0.1)
        for axes in figure.subplots(rows, columns, squeeze=False).flat:
            axes.set_axis_off()
        for axes, image, redrawn, used, clean in zip(
            figure.axes, images, labels.redrawn, labels.used, labels.clean, strict=False
        ):
            axes.imshow(image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            color = "0.2" if not redrawn else "#8a5a00" if used == clean else "#b3261e"
            axes.set_title(names[used], fontsize=7, color=color, pad=2, fontweight="bold" if used != clean else "normal")
            if redrawn:
                axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=color, linewidth=3))
        legend = "red: redrawn and wrong; brown: redrawn and right by chance; no frame: as in the data set"
        figure.text(0.01, 0.02, legend, fontsize=8)
        return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, the same bytes for the same figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None})


def style(**changes: Any) -> AbstractContextManager[None]:
    """Draw as all figures of a report are drawn, but for some of Matplotlib's settings, dots in their names as underscores."""
    return matplotlib.rc_context(_STYLE | {name.replace("_", "."): value for name, value in changes.items()})


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.6, 3.3))
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.15, top=0.92)  # laying out by measuring takes thrice as long
    return figure, figure.subplots()


def _colors(values: xr.DataArray, along: str) -> list[tuple[Any, Any]]:
    """Levels with colours that follow their order."""
    palette = matplotlib.colormaps["viridis"](np.linspace(0.85, 0.05, values.sizes[along]))
    return list(zip(values[along].values.tolist(), palette, strict=True))


def _thinned(size: int) -> np.ndarray:
    return np.unique(np.linspace(0, size - 1, min(size, _POINTS)).round().astype(int))


def _label(along: str, level: Any) -> str:
    return f"{along} {level:g}" if isinstance(level, float) else str(level)


def _tick(level: Any) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)


def _title(values: xr.DataArray) -> str:
    return str(values.attrs.get("long_name", values.name or ""))


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
