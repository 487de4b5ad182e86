"""How all figures are drawn, and what they have in common: size, legend, the number of points of a curve, the file.

Matplotlib is imported when something is drawn: a session whose figures were all drawn before does without.
"""

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck.files import write_whole
from bthcheck.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is not about how figures look: where and with what they are shown.
_NOT_STYLE = ("backend", "date.epoch", "docstring", "interactive", "macosx", "savefig.directory", "tk.", "toolbar", "webagg")
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "bthcheck",  # the same figure is the same file
}
_LONGEST = 60  # characters of a label
_POINTS = 160  # drawn of each curve; more is only weight in the report


def save(figure: "Figure", path: Path) -> None:
    """Write a figure, the same bytes for the same figure, whole or not at all: as PNG if `path` ends so, else as SVG."""
    if path.suffix != ".png":
        write(_svg(figure), path)
        return
    with style():
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=200, metadata={"Software": None})
    write(drawn.getvalue(), path)


def write(content: bytes, path: Path) -> None:
    """Write what is in a file of a figure, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)


def drawn(draw: "Callable[..., Figure]", *arguments: Any, **options: Any) -> tuple[np.ndarray, float]:
    """Return the figure that a function draws as the bytes of an SVG file, and its width in inches.

    It is the same for the same arguments, so that it may be kept.
    """
    figure = draw(*arguments, **options)
    return np.frombuffer(_svg(figure), np.uint8), float(figure.get_figwidth())


def _svg(figure: "Figure") -> bytes:
    text = io.StringIO()
    with style():
        figure.savefig(text, format="svg", metadata={"Date": None})
    # Matplotlib puts every label into a comment, as it is.
    return visible(text.getvalue(), keep="\n\t").encode("utf-8", "backslashreplace")


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

    figure = Figure(figsize=(5.6, 3.3))
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.15, top=0.92)  # laying out by measuring takes thrice as long
    return figure, figure.subplots()


def thinned(size: int) -> np.ndarray:
    """Return which of `size` points of a curve are drawn."""
    return np.unique(np.linspace(0, size - 1, min(size, _POINTS)).round().astype(int))


def legend(axes: "Axes") -> None:
    """Name what is labelled, if anything is."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
