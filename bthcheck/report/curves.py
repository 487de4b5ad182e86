"""Every statistic of a training as a small drawing, of lines alone: cheap enough to be made of each experiment of a session.

The figures of claims are Matplotlib's, which takes a second for as many as an experiment has statistics.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bthcheck.figures.statistics import places
from bthcheck.report.numbers import cell
from bthcheck.training.statistics import STATISTICS

if TYPE_CHECKING:
    import xarray as xr

WIDTH, HEIGHT = 320, 120
MARGIN = 4
MOST = 120
"""Points of a line; of more, as many are drawn, evenly spaced, the first and the last among them."""
_VIRIDIS = (
    "#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d", "#2c728e", "#26828e", "#21918c", "#1fa088", "#28ae80",
    "#3fbc73", "#5ec962", "#84d44b", "#addc30", "#d8e219", "#fde725",
)  # fmt: skip
DASHES = ("", "7 3", "2 2", "9 3 2 3", "1 3", "12 4")


class Line(NamedTuple):
    """One level: its `points` as SVG has them, its `color` and how it is dashed."""

    level: str
    color: str
    dash: str
    points: str


class Panel(NamedTuple):
    """One statistic: its `title` and `units`, the `low` and `high` ends of its axis as text, and whether that is logarithmic.

    said : what the drawing shows, in words
    """

    title: str
    units: str
    low: str
    high: str
    log: bool
    lines: list[Line]
    said: str


def panels(dataset: "xr.Dataset") -> list[Panel]:
    """Return a panel for every statistic that has a finite number: medians over seeds against the epoch, a line a level.

    Parameters
    ----------
    dataset : from `bthcheck.run`, dimensions (level, "seed", "epoch")
    """
    found = (_panel(dataset, name) for name in STATISTICS if name in dataset)
    return [panel for panel in found if panel is not None]


def _panel(dataset: "xr.Dataset", name: str) -> Panel | None:
    level = str(dataset.attrs["level"])
    table = np.median(dataset[name].transpose(level, "seed", "epoch").values, axis=1)
    epochs = dataset["epoch"].values.astype(float)
    finite = np.isfinite(table)
    if not finite.any():
        return None
    log = bool((table[finite] > 0).all())
    table = np.log10(np.where(finite, table, 1.0)) if log else np.where(finite, table, 0.0)
    low, high = float(table[finite].min()), float(table[finite].max())
    colors = level_colors(dataset[level].values.tolist())
    lines, words = [], []
    for i, (value, color) in enumerate(zip(dataset[level].values.tolist(), colors, strict=True)):
        there = np.flatnonzero(finite[i])
        if not len(there):
            continue
        there = there[np.unique(np.linspace(0, len(there) - 1, MOST).round().astype(int))]
        x = _onto(epochs[there], epochs[0], epochs[-1], MARGIN, WIDTH - MARGIN)
        y = _onto(table[i, there], low, high, HEIGHT - MARGIN, MARGIN)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        lines.append(Line(f"{level} {cell(value)}", color, DASHES[i % len(DASHES)], points))
        ends = table[i, there[[0, -1]]]
        first, last = (cell(float(10**end if log else end)) for end in ends)
        words.append(f"{level} {cell(value)} from {first} to {last}")
    title, units = STATISTICS[name]
    bottom, top = (cell(float(10**end if log else end)) for end in (low, high))
    said = f"{title}, median over seeds, over the epochs: {'; '.join(words)}"
    return Panel(title, units, bottom, top, log, lines, said)


def level_colors(levels: list[Any]) -> list[str]:
    """Return the colours that levels have in all figures, as "#rrggbb", to within 2 %: without importing what draws those."""
    ends = np.linspace(0.0, 1.0, len(_VIRIDIS))
    table = np.array([[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in _VIRIDIS])
    mixed = np.rint([np.interp(places(levels), ends, column) for column in table.T]).astype(int)
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in mixed.T]


def _onto(values: np.ndarray, low: float, high: float, start: float, end: float) -> np.ndarray:
    """Map [low, high] to [start, end] linearly; the middle where both ends are one."""
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return start + share * (end - start)
