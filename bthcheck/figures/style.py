"""How all figures are drawn, and what they have in common: size, legend, the number of points of a curve, the file.

Matplotlib is imported when something is drawn: a session whose figures were all drawn before does without.
"""

import functools
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from bthcheck.figures.reading import described, numbers
from bthcheck.files import write_whole
from bthcheck.text import visible

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is not about how figures look: where and with what they are shown.
_NOT_STYLE = ("backend", "date.epoch", "docstring", "interactive", "macosx", "savefig.directory", "tk.", "toolbar", "webagg")
_STYLE: Any = {
    "font.size": 10,  # which is readable where a figure is as wide as a telephone
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.limits": (-4, 4),  # longer numbers have no room beside an axis
    "axes.formatter.use_mathtext": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "bthcheck",  # the same figure is the same file
}
_LONGEST = 60  # characters of a label
_TITLES = "_bthcheck_titles"
_USE = re.compile(r"(<use [^>]*?)\s*/>")
_POINTS = 160  # drawn of each curve; more is only weight in the report


def save(figure: "Figure", path: Path) -> None:
    """Write a figure, the same bytes for the same figure, whole or not at all: as PNG if `path` ends so, else as SVG."""
    if path.suffix != ".png":
        write(_svg(figure), path)
        return
    with style():
        _label_decades(figure)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=200, metadata={"Software": None})
    write(drawn.getvalue(), path)


def write(content: bytes, path: Path) -> None:
    """Write what is in a file of a figure, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


class Drawn(NamedTuple):
    """A figure as it is kept and written.

    svg, csv, said : bytes of UTF-8: the file, the numbers it shows (see `bthcheck.figures.reading.numbers`), and in words what
        it shows; either of the latter may be empty
    width : inches
    """

    svg: np.ndarray
    width: float
    csv: np.ndarray
    said: np.ndarray


def drawn(draw: "Callable[..., Figure]", *arguments: Any, **options: Any) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Return the figure that a function draws, with the fields of `Drawn`.

    It is the same for the same arguments, so that it may be kept.
    """
    found = read(draw(*arguments, **options))
    return found.svg, found.width, found.csv, found.said  # a plain tuple, which can be kept


def read(figure: "Figure") -> Drawn:
    """Return a figure as what is written of it."""
    with style():
        texts = [numbers(figure), visible(described(figure))]
    csv, said = (np.frombuffer(text.encode("utf-8", "backslashreplace"), np.uint8) for text in texts)
    return Drawn(np.frombuffer(_svg(figure), np.uint8), float(figure.get_figwidth()), csv, said)


def hover(artist: "Artist", titles: Sequence[str]) -> None:
    """Have a browser show a text for each point of a line of markers, when a pointer is above it."""
    setattr(artist, _TITLES, list(titles))


def _svg(figure: "Figure") -> bytes:
    hovered = figure.findobj(lambda artist: hasattr(artist, _TITLES))
    for number, artist in enumerate(hovered):
        artist.set_gid(f"hover-{number}")
    text = io.StringIO()
    with style():
        _label_decades(figure)
        figure.savefig(text, format="svg", metadata={"Date": None})
    written = text.getvalue()
    for number, artist in enumerate(hovered):
        written = _with_titles(written, f"hover-{number}", getattr(artist, _TITLES))
    # Matplotlib puts every label into a comment, as it is.
    return visible(written, keep="\n\t").encode("utf-8", "backslashreplace")


def _with_titles(svg: str, gid: str, titles: list[str]) -> str:
    """Return an SVG in which the markers of a group have titles; as it is where some of them are not drawn."""
    start = svg.find(f'<g id="{gid}">')
    end = svg.find('<g id="', start + 1)
    group = svg[start : end if end >= 0 else len(svg)]
    if start < 0 or group.count("<use ") != len(titles):
        return svg
    waiting = iter(titles)
    group = _USE.sub(lambda found: f"{found[1]}><title>{escape(visible(next(waiting)))}</title></use>", group)
    return svg[:start] + group + (svg[end:] if end >= 0 else "")


def _label_decades(figure: "Figure") -> None:
    """Give logarithmic axes ticks that all have a number, unless somebody chose their ticks."""
    from matplotlib.ticker import LogLocator

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log" and type(axis.get_major_locator()) is LogLocator:
                ticks = log_ticks(*sorted(axis.get_view_interval()))
                axis.set_ticks(ticks, [power(tick) for tick in ticks])
                axis.set_ticks([], minor=True)


def log_ticks(low: float, high: float) -> list[float]:
    """Return places for ticks on a logarithmic axis: the powers of ten in it, or, if these are few, what lies between them."""
    if not 0 < low < high < np.inf:
        return []
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for step, factors in [(max(1, -(-(last - first) // 6)), (1,)), (1, (1, 3)), (1, (1, 2, 5)), (1, range(1, 10))]:
        ticks = [factor * 10.0**exponent for exponent in range(first, last + 1, step) for factor in factors]
        ticks = [float(f"{tick:.3g}") for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) >= 3:
            return ticks
    from matplotlib.ticker import MaxNLocator

    return [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def power(value: float) -> str:
    """Return how a tick of a logarithmic axis is labelled: in full between 0.0001 and 10000."""
    if 1e-4 <= value < 99_999:
        return f"{value:g}"
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = value / 10.0**exponent
    return f"$10^{{{exponent}}}$" if abs(factor - 1) < 1e-9 else rf"${factor:g}\times10^{{{exponent}}}$"


def literal(text: str) -> str:
    """Return what a label has to be for a figure to show this text: no formula, no control, not all too long."""
    shown = visible(text)
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")  # a legend leaves out what begins with _


@contextmanager
def defaults(**changes: Any) -> Iterator[None]:
    """Draw with Matplotlib's own defaults, not with what a user's matplotlibrc makes of them: text.usetex needs LaTeX.

    Only what differs is set: to set, and check, all of them takes a hundred times as long.
    """
    import matplotlib

    wanted: Any = _matplotlibs() | changes
    with matplotlib.rc_context({name: value for name, value in wanted.items() if matplotlib.rcParams[name] != value}):
        yield


@functools.cache
def _matplotlibs() -> Any:
    import matplotlib

    return {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith(_NOT_STYLE)}


def style(**changes: Any) -> AbstractContextManager[None]:
    """Draw as all figures of a report are drawn, but for some of Matplotlib's settings, dots in their names as underscores."""
    return defaults(**_STYLE | {name.replace("_", "."): value for name, value in changes.items()})


def blank() -> "tuple[Figure, Axes]":
    """Return an empty figure with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.1))
    figure.subplots_adjust(left=0.16, right=0.97, bottom=0.17, top=0.91)  # laying out by measuring takes thrice as long
    return figure, figure.subplots()


def thinned(size: int) -> np.ndarray:
    """Return which of `size` points of a curve are drawn."""
    return np.unique(np.linspace(0, size - 1, min(size, _POINTS)).round().astype(int))


def legend(axes: "Axes") -> None:
    """Name what is labelled, if anything is."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9)
