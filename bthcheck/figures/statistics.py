"""Figures of statistics over levels and seeds: along training, as distributions, one against another."""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bthcheck.figures.reading import note
from bthcheck.figures.style import blank, hover, legend, literal, log_ticks, power, style, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOLD_APART = 0.08
"""By how much two numbers must differ for their colours to."""
MOST_SEEDS = 50
"""Of how many seeds each is drawn, beside the extremes: more cannot be told apart, and would be most of a report."""


def curves(
    values: xr.DataArray,
    along: str,
    *,
    ylabel: str | None = None,
    log: bool = True,
    windows: dict[str, tuple[float, float]] | None = None,
) -> "Figure":
    """Draw values against the epoch, a line a level: the median over seeds, in a band from the smallest to the largest.

    Parameters
    ----------
    values : dimensions (`along`, "seed", "epoch"); epochs without a value (NaN) are left out
    windows : label → (first, last) epoch, shaded; a line where the two are one
    """
    with style():
        figure, axes = blank()
        values = values.dropna("epoch", how="all")
        values = values.isel(epoch=thinned(values.sizes["epoch"]))
        for level, color in _colors(values, along):
            one = values.sel({along: level})
            axes.fill_between(one.epoch, one.min("seed"), one.max("seed"), color=color, alpha=0.18, linewidth=0)
            axes.plot(one.epoch, one.median("seed"), color=color, label=_label(along, level), linewidth=1.4)
            _noted(axes, one.epoch, f"median, {_label(along, level)}", one.median("seed"))
            _noted(axes, one.epoch, f"smallest, {_label(along, level)}", one.min("seed"), told=False)
            _noted(axes, one.epoch, f"largest, {_label(along, level)}", one.max("seed"), told=False)
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
        legend(axes)
        return figure


def means(values: xr.DataArray, along: str, *, ylabel: str, marks: bool = True) -> "Figure":
    """Draw mean ± standard deviation over seeds against the epoch on linear axes, and the median dotted, a colour a level.

    Parameters
    ----------
    values : dimensions (`along`, "seed", "epoch"), such as a loss, or ``trajectory_length.cumsum("epoch")``
    marks : whether to draw the medians
    """
    with style():
        figure, axes = blank()
        values = values.dropna("epoch", how="all")
        values = values.isel(epoch=thinned(values.sizes["epoch"]))
        for level, color in _colors(values, along):
            one = values.sel({along: level})
            mean, spread = one.mean("seed", skipna=False), one.std("seed", skipna=False)
            axes.fill_between(one.epoch, mean - spread, mean + spread, color=color, alpha=0.18, linewidth=0)
            axes.plot(one.epoch, mean, color=color, label=_label(along, level), linewidth=1.2)
            _noted(axes, one.epoch, f"mean, {_label(along, level)}", mean)
            _noted(axes, one.epoch, f"standard deviation, {_label(along, level)}", spread, told=False)
            _noted(axes, one.epoch, f"median, {_label(along, level)}", one.median("seed"), told=False)
            if marks:
                axes.plot(one.epoch, one.median("seed"), color=color, linewidth=0.9, linestyle=":")
        axes.set(xlabel="epoch", ylabel=ylabel)
        legend(axes)
        return figure


def smoothed(values: xr.DataArray, along: str, *, ylabel: str, weight: float = 0.95, log: bool = True) -> "Figure":
    """Draw single steps: the raw values faintly, and their exponential moving average, a colour a level.

    Parameters
    ----------
    values : dimensions (`along`, "step")
    weight : of the average so far, against 1 − `weight` of the step's value; the average begins with the first value
    """
    with style():
        figure, axes = blank()
        shown = thinned(values.sizes["step"])
        for level, color in _colors(values, along):
            raw = values.sel({along: level}).values
            average = np.array(list(accumulate(raw, lambda so_far, value: weight * so_far + (1 - weight) * value)))
            axes.plot(shown, raw[shown], color=color, linewidth=0.4, alpha=0.5)
            axes.plot(shown, average[shown], color=color, label=_label(along, level), linewidth=1.4)
        if log:
            axes.set_yscale("log")
        axes.set(xlabel="step", ylabel=ylabel)
        legend(axes)
        return figure


def violins(values: xr.DataArray, along: str, *, ylabel: str | None = None, log: bool = False) -> "Figure":
    """Draw the distribution over seeds at each level, with the seeds as points joined by lines.

    Of more than `MOST_SEEDS` seeds those of `drawn` are, which the figure says; the distribution is that of all.

    Parameters
    ----------
    values : dimensions (`along`, "seed")
    """
    with style():
        figure, axes = blank()
        table = values.transpose("seed", along).values
        positions = np.arange(table.shape[1])
        every = np.log10(table) if log else table
        some = _few(axes, table)
        shown, seeds = every[some], [f"seed {seed}" for seed in values["seed"].values[some].tolist()]
        if np.isfinite(every).all():
            parts = axes.violinplot(every, positions, showextrema=False, widths=0.7)
            bodies: Any = parts["bodies"]
            for body, (_, color) in zip(bodies, _colors(values, along), strict=True):
                body.set(facecolor=color, alpha=0.3)
        axes.plot(positions, shown.T, color="0.6", linewidth=0.5, alpha=0.7)
        for position, (level, color) in zip(positions, _colors(values, along), strict=True):
            (points,) = axes.plot(np.full(len(shown), position), shown[:, position], ".", color=color, markersize=5)
            said = table[some, position]
            hover(points, [f"{seed}, {_label(along, level)}: {value:.4g}" for seed, value in zip(seeds, said, strict=True)])
            _noted(axes, np.full(len(said), _tick(level)), _label(along, level), said, seeds)
        axes.set_xticks(positions, [_tick(level) for level in values[along].values.tolist()])
        if log:
            low, high = axes.get_ylim()
            ticks = log_ticks(10.0**low, 10.0**high)
            axes.set_yticks(np.log10(ticks), [power(tick) for tick in ticks])
        axes.set_xlabel(along)
        axes.set_ylabel(ylabel or _title(values))
        return figure


def scatter(first: xr.DataArray, second: xr.DataArray, along: str, *, xlabel: str, ylabel: str) -> "Figure":
    """Draw one quantity against another, a colour a level and a thin line a seed; both of dimensions (`along`, "seed").

    Of more than `MOST_SEEDS` seeds those of `drawn` are, which the figure says.
    """
    with style():
        figure, axes = blank()
        both = [values.transpose("seed", along).values for values in (first, second)]
        some = _few(axes, np.hstack(both))
        first, second = first.isel(seed=some), second.isel(seed=some)
        axes.plot(first.transpose(along, "seed"), second.transpose(along, "seed"), color="0.75", linewidth=0.6)
        for level, color in _colors(first, along):
            x, y = first.sel({along: level}).values, second.sel({along: level}).values
            (points,) = axes.plot(x, y, "o", color=color, markersize=4, label=_label(along, level))
            seeds = [f"seed {seed}" for seed in first["seed"].values.tolist()]
            hover(points, [f"{one}, {_label(along, level)}: {a:.4g}, {b:.4g}" for one, a, b in zip(seeds, x, y, strict=True)])
            _noted(axes, x, _label(along, level), y, seeds)
        axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        legend(axes)
        return figure


def compared(values: dict[str, xr.DataArray], along: str, *, ylabel: str, log: bool = True) -> "Figure":
    """Draw several measures of the same runs against the level: a line of medians each, and the seeds as points.

    Of more than `MOST_SEEDS` seeds those of `drawn` are, which the figure says; the medians are those of all.

    Parameters
    ----------
    values : label → dimensions (`along`,) or (`along`, "seed"); what is not finite is left out
    """
    import matplotlib

    with style():
        figure, axes = blank()
        positions = np.arange(next(iter(values.values())).sizes[along])
        for number, (label, array) in enumerate(values.items()):
            color = matplotlib.colormaps["cividis"](number / max(1, len(values) - 1) * 0.85)
            finite = array.where(np.isfinite(array))
            line = finite.median("seed") if "seed" in array.dims else finite
            axes.plot(positions, line.values, "o-", color=color, label=label, linewidth=1.4, markersize=4)
            levels = [_tick(level) for level in array[along].values.tolist()]
            _noted(axes, levels, f"median, {label}" if "seed" in array.dims else label, line)
            if "seed" in array.dims:
                dodge = 0.06 * (number - (len(values) - 1) / 2)
                points = finite.transpose(along, "seed").values
                some = _few(axes, points.T)
                points = points[:, some]
                for seed, column in zip(array["seed"].values[some].tolist(), points.T, strict=True):
                    _noted(axes, levels, f"{label}, seed {seed}", column, told=False)
                axes.plot(positions + dodge, points, ".", color=color, markersize=3, alpha=0.5)
        axes.set_xticks(positions, [_tick(level) for level in next(iter(values.values()))[along].values.tolist()])
        axes.set(yscale="log" if log else "linear", xlabel=along, ylabel=ylabel)
        legend(axes)
        return figure


def strips(values: dict[str, xr.DataArray], *, xlabel: str) -> "Figure":
    """Draw a row for every label, the seeds as points and their mean as a bar, around a line at 0.

    Parameters
    ----------
    values : label → dimensions ("seed",); what is not finite is left out
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(6.4, 0.24 * len(values) + 0.8), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="0.5", linewidth=1)
        for row, (label, array) in enumerate(values.items()):
            finite = array.values[np.isfinite(array.values)]
            mean = finite.mean() if len(finite) else np.nan
            _noted(axes, [row], f"mean, {label}", [mean])
            seeds = [f"seed {seed}" for seed in array["seed"].values.tolist()]
            _noted(axes, np.full(array.size, row), label, array.values, seeds, told=False)
            finite = finite[_few(axes, finite[:, None])]
            axes.plot(finite, np.full(len(finite), row), ".", color="0.45", markersize=4, alpha=0.7)
            if len(finite):
                axes.plot([mean], [row], "|", color="black", markersize=12, markeredgewidth=2)
        axes.set_yticks(range(len(values)), [literal(label) for label in values])
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.set_xlabel(xlabel)
        return figure


def drawn(table: np.ndarray) -> np.ndarray:
    """Return which rows of a table (seeds, columns) a figure draws one by one: all, unless there are more than `MOST_SEEDS`.

    Of many, those are drawn that are evenly spaced in the order of their mean rank, from the first to the last, and those with
    the smallest and the largest number of every column, so that no figure hides how far the numbers reach. NaN counts as the
    largest.
    """
    if len(table) <= MOST_SEEDS:
        return np.arange(len(table))
    ranks = np.argsort(np.argsort(table, axis=0, kind="stable"), axis=0, kind="stable")
    order = np.argsort(ranks.mean(1), kind="stable")
    spaced = order[np.linspace(0, len(table) - 1, MOST_SEEDS).round().astype(int)]
    return np.unique([*spaced, *ranks.argmin(0), *ranks.argmax(0)])


def _few(axes: Any, table: np.ndarray) -> np.ndarray:
    """Return `drawn` of a table, and have the figure say so if that is not all."""
    some = drawn(table)
    if len(some) < len(table) and not axes.texts:
        said = f"{MOST_SEEDS} of {len(table)} seeds and the extremes are drawn"
        axes.text(1.0, 1.01, said, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color="0.4")
    return some


def _colors(values: xr.DataArray, along: str) -> list[tuple[Any, Any]]:
    """Return levels with colours that follow their order.

    A share or a frequency, from 0 to 1, has the same colour wherever it is drawn, and with whatever others.
    """
    import matplotlib

    levels = values[along].values.tolist()
    palette = matplotlib.colormaps["viridis"](places(levels))
    return list(zip(levels, palette, strict=True))


def places(levels: list[Any]) -> np.ndarray:
    """Return where on a scale of colours levels lie, (levels,), from 0.8 of the least down to 0.05, light to dark.

    Numbers from 0 to 1 have a place of their own, if they are far enough apart to be told; others are evenly spaced.
    """
    numbers = [float(level) for level in levels if isinstance(level, (int, float)) and not isinstance(level, bool)]
    shares = len(numbers) == len(levels) and all(0 <= number <= 1 for number in numbers)
    if shares and len(numbers) > 1 and min(np.diff(sorted(numbers))) >= _TOLD_APART:
        return 0.8 - 0.75 * np.array(numbers)
    return np.linspace(0.8, 0.05, len(levels))


def _noted(axes: "Axes", x: Any, name: str, y: Any, names: Any = (), *, told: bool = True) -> None:
    note(axes, name.replace(r"\$", "$").strip(), x, y, names, told=told)


def _label(along: str, level: Any) -> str:
    return literal(f"{along} {level:g}" if isinstance(level, float) else str(level))


def _tick(level: Any) -> str:
    return literal(f"{level:g}" if isinstance(level, float) else str(level))


def _title(values: xr.DataArray) -> str:
    units = str(values.attrs.get("units") or "1")
    title = str(values.attrs.get("long_name", values.name or ""))
    return literal(title if units == "1" or f"({units})" in title else f"{title} ({units})")
