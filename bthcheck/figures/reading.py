"""A figure in words and in numbers: for those who cannot see it, and for those who want to compute with what it shows."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 200_000
"""Of the numbers of a figure: those of a larger one, such as a map of a fine grid, are not written."""
_MOST_SERIES = 8
"""That a description goes through one by one."""
_NOTED = "_bthcheck_series"


@dataclass(frozen=True)
class Series:
    """Points that a figure draws, with the name of what they are of.

    names : of each point, such as "seed 3"; empty where they have none
    told : whether a description speaks of them
    """

    name: str
    x: tuple[Any, ...]
    y: tuple[float, ...]
    names: tuple[str, ...] = ()
    told: bool = True


def note(axes: "Axes", name: str, x: Any, y: Any, names: Any = (), *, told: bool = True) -> None:
    """Say what numbers are drawn in some axes; without that, those of its lines with a label are what is known.

    Parameters
    ----------
    x, y : (points,)
    """
    made = Series(name, tuple(np.asarray(x).tolist()), tuple(np.asarray(y, dtype=float).tolist()), tuple(names), told)
    setattr(axes, _NOTED, [*getattr(axes, _NOTED, []), made])


@neutral()
def numbers(figure: "Figure") -> str:
    """Return what a figure shows as the text of a CSV file, a row a point: panel, series, point, x, y; and value, of a map.

    Empty where nothing is known of it, or it has more than `MOST_ROWS` points.
    """
    rows: list[tuple[Any, ...]] = []
    for number, axes in enumerate(_panels(figure), start=1):
        panel = one_line(axes.get_title()) or str(number)
        for series in _series(axes):
            names = series.names or ("",) * len(series.x)
            rows += [
                (panel, series.name, name, x, y, "") for name, x, y in zip(names, series.x, series.y, strict=True) if y == y
            ]
        for table in _maps(axes):
            if table.size > MOST_ROWS:
                return ""
            rows += [(panel, "map", "", x, y, value) for (y, x), value in np.ndenumerate(table) if value == value]
        if len(rows) > MOST_ROWS:
            return ""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("panel", "series", "point", "x", "y", "value"))
    writer.writerows([_shown(entry) for entry in row] for row in rows)
    return text.getvalue()


@neutral()
def described(figure: "Figure") -> str:
    """Return what a figure shows in a few sentences: its axes, and where each of its lines begins and ends."""
    panels = _panels(figure)
    said = [text for axes in panels[:_MOST_SERIES] if (text := _panel(axes))]
    if len(panels) > 1:
        said.insert(0, f"{len(panels)} panels")
    return ". ".join(said) + "." if said else ""


def _panel(axes: "Axes") -> str:
    x, y, title = (one_line(text) for text in (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()))
    log = [name for name, scale in (("x", axes.get_xscale()), ("y", axes.get_yscale())) if scale == "log"]
    head = f"{y} against {x}" if x and y else x or y
    head = ": ".join(part for part in (title, head) if part)
    if log:
        head += f", {' and '.join(log)} logarithmic"
    shown = [series for series in _series(axes) if series.told]
    texts = [text for series in shown[:_MOST_SERIES] if (text := _told(series))]
    if len(shown) > _MOST_SERIES:
        texts.append(f"and {len(shown) - _MOST_SERIES} more")
    maps = [f"a map of {table.shape[1]} by {table.shape[0]}, from {_range(table)}" for table in _maps(axes)]
    return ": ".join(part for part in (head, "; ".join([*texts, *maps])) if part)


def _told(series: Series) -> str:
    finite = [value for value in series.y if math.isfinite(value)]
    if not finite:
        return ""
    if series.names:
        return f"{series.name}, {len(finite)} points from {min(finite):.3g} to {max(finite):.3g}"
    return f"{series.name} from {finite[0]:.3g} to {finite[-1]:.3g}" if len(finite) > 1 else f"{series.name} {finite[0]:.3g}"


def _range(table: np.ndarray) -> str:
    finite = table[np.isfinite(table)]
    return f"{finite.min():.3g} to {finite.max():.3g}" if finite.size else "nothing"


def _panels(figure: "Figure") -> list["Axes"]:
    """Return the axes of a figure but those of its colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def _series(axes: "Axes") -> Iterator[Series]:
    noted = getattr(axes, _NOTED, None)
    if noted:
        yield from noted
        return
    for line in axes.get_lines():
        name = str(line.get_label())
        x, y = (np.ravel(np.asarray(values)) for values in line.get_data())
        if not name.startswith("_") and len(x) == len(y) and len(x):
            yield Series(one_line(name), tuple(x.tolist()), tuple(y.astype(float).tolist()))


def _maps(axes: "Axes") -> Iterator[np.ndarray]:
    for image in axes.get_images():
        table = image.get_array()
        if table is not None and table.ndim == 2:
            yield np.ma.filled(np.ma.asarray(table, dtype=float), np.nan)


def _shown(entry: Any) -> Any:
    return f"{entry:.6g}" if isinstance(entry, float) else entry
