"""Figures of linear regions: maps over a plane as images, so that a hundred regions cost no more than one."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bthcheck.figures.reading import note
from bthcheck.figures.style import defaults, style
from bthcheck.geometry.regions import PlaneGrid, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_INFEASIBLE = "0.78"
_UNDECIDED = "#d55e00"
_MISSING = "#56b4e9"


@defaults()
def maps(regions: xr.Dataset, target: xr.DataArray, points: np.ndarray | None = None) -> "Figure":
    """Draw what is learned, what was, the regions, their slopes, and what Theorem 2 says of them.

    Parameters
    ----------
    regions : of `bthcheck.geometry.regions.plane_regions`
    target : ("u", "v"), the ground truth
    points : (m, 2), (u, v) of the training points, drawn as dots
    """
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, panels = _panels(5)
    status = regions.status[regions.region_number]
    bound, nonzeros = regions.bound[regions.region_number], regions.nonzeros[regions.region_number]
    shown = np.concatenate([target.values.ravel(), regions.output.values.ravel()])
    heights = Normalize(shown.min(), shown.max())
    slopes = _slope_norm(regions)
    for axes, values, title, norm, colors in (
        (panels[0], target, "ground truth", heights, "cividis"),
        (panels[1], regions.output, "network output, region borders", heights, "cividis"),
        (panels[2], regions.lipschitz, "local Lipschitz constant λ", slopes, "magma"),
        (panels[3], bound, "bound of Theorem 2 on λ", slopes, "magma"),
        (panels[4], nonzeros, "training patterns combined", _counts(nonzeros), "viridis"),
    ):
        known = values.where((status == Status.OCCUPIED) | (status == Status.BOUNDED)) if axes in panels[3:] else values
        image = _image(axes, known.transpose("v", "u").values, regions, norm=norm, cmap=colors)
        axes.set_title(title, fontsize=8)
        _scale(figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03), norm)
    _image(panels[1], _borders(regions.region_number), regions)
    for axes in panels[3:]:
        _image(axes, _painted(status, {Status.INFEASIBLE: _INFEASIBLE, Status.UNDECIDED: _UNDECIDED}), regions)
    if points is not None:
        panels[0].plot(*points.T, ".", color="white", markersize=1.8, markeredgewidth=0, rasterized=True)
    handles: list[Any] = [Patch(color=_INFEASIBLE, label="no bound: s(x) is not a combination\nof those at training points")]
    if bool((status == Status.UNDECIDED).any()):
        handles.append(Patch(color=_UNDECIDED, label="not decided by the solver"))
    if points is not None:
        handles.append(Line2D([], [], marker=".", linestyle="", color="0.4", label="training points"))
    figure.legend(handles=handles, loc="center", bbox_to_anchor=(0.83, 0.26), fontsize=8, frameon=False)
    return figure


@defaults()
def surfaces(values: dict[str, xr.DataArray], points: np.ndarray) -> "Figure":
    """Draw up to three surfaces over a plane side by side, in colours of their own scales, with the training points as dots.

    Parameters
    ----------
    values : title → ("u", "v"); what is not finite is left white
    points : (m, 2), (u, v) of the training points
    """
    from matplotlib.colors import Normalize

    figure, panels = _panels(len(values), rows=1)
    for axes, (title, surface) in zip(panels, values.items(), strict=True):
        shown = surface.where(np.isfinite(surface))
        norm = Normalize(float(shown.min()), float(shown.max()))
        image = _image(axes, shown.transpose("v", "u").values, surface, norm=norm, cmap="cividis")
        axes.set_title(title, fontsize=8)
        _scale(figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03), norm)
        axes.plot(*points.T, ".", color="white", markersize=1.8, markeredgewidth=0, rasterized=True)
    return figure


@defaults()
def condition(grid: PlaneGrid, held: np.ndarray, points: np.ndarray) -> "Figure":
    """Draw f and λ on a plane, and in colour where the condition of Theorem 3 does not hold.

    Parameters
    ----------
    grid : of `bthcheck.geometry.regions.plane_grid` for a classifier
    held : (points of the grid,) bool, where s(x) ≤ Σ s(x_i)
    points : (m, 2), (u, v) of the training points, drawn as dots
    """
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shape = (len(grid.u), len(grid.v))
    names = {"u": grid.u, "v": grid.v}
    f, slopes, missing = (
        xr.DataArray(values.reshape(shape), names, ("u", "v"))
        for values in (1 / (1 + np.exp(-np.clip(grid.logit, -700, 700))), grid.lipschitz, ~held)
    )
    figure, panels = _panels(2, rows=1)
    norm = Normalize(0, float(slopes.max()) or 1.0)
    for axes, values, title, scale, colors in (
        (panels[0], f, "network output f", Normalize(0, 1), "cividis"),
        (panels[1], slopes, "local Lipschitz constant λ", norm, "magma"),
    ):
        image = _image(axes, values.transpose("v", "u").values, f, norm=scale, cmap=colors)
        axes.set_title(title, fontsize=8)
        _scale(figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03), scale)
    _image(panels[1], _painted(missing, {True: _MISSING}), f)
    panels[0].plot(*points.T, ".", color="white", markersize=1.8, markeredgewidth=0, rasterized=True)
    handles: list[Any] = [
        Patch(color=_MISSING, label="some combination of neurons\nis on at no training point"),
        Line2D([], [], marker=".", linestyle="", color="0.4", label="training points"),
    ]
    figure.legend(handles=handles, loc="center", bbox_to_anchor=(0.83, 0.5), fontsize=8, frameon=False)
    return figure


@defaults()
def stability(changed: xr.DataArray, gamma: xr.DataArray) -> "Figure":
    """Draw Assumption 1 against the learning rate, a dot a seed: points that change pattern, and γ.

    Parameters
    ----------
    changed : ("learning_rate", "seed"), share of the training points
    gamma : ("learning_rate", "seed"), largest relative change of a slope
    """
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(5.6, 2.8))
        figure.subplots_adjust(left=0.11, right=0.97, bottom=0.19, top=0.94, wspace=0.34)
        for axes, values, label in zip(
            figure.subplots(1, 2),
            (100 * changed, gamma),
            ("points that change pattern (%)", "γ: largest change of a slope"),
            strict=True,
        ):
            table = values.transpose("learning_rate", "seed")
            axes.plot(values.learning_rate, table.median("seed"), color="0.6", linewidth=1)
            axes.plot(values.learning_rate, table, "o", color="#0072b2", markersize=4, alpha=0.7)
            note(axes, f"median, {label}", values.learning_rate, table.median("seed"))
            for seed in table.seed.values.tolist():
                note(axes, f"seed {seed}", values.learning_rate, table.sel(seed=seed), told=False)
            axes.set(xscale="log", xlabel="learning rate of the epoch", ylabel=label)
        axes.set_yscale("log")
        return figure


def _panels(count: int, rows: int = 2) -> "tuple[Figure, list[Axes]]":
    """Return a figure of `rows` × 3 places with a map in each of the first `count`."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LinearLocator

    with style(axes_grid=False, font_size=7):
        figure = Figure(figsize=(7.4, 2.3 * rows))
        figure.subplots_adjust(left=0.05, right=0.96, bottom=0.12 / rows, top=1 - 0.1 / rows, wspace=0.34, hspace=0.22)
        panels = list(figure.subplots(rows, 3).ravel())
        for axes in panels[count:]:
            axes.remove()
        for axes in panels[:count]:
            axes.tick_params(labelsize=7, length=2)
            axes.xaxis.set_major_locator(LinearLocator(3))
            axes.yaxis.set_major_locator(LinearLocator(3))
            axes.xaxis.set_major_formatter("{x:.2g}")
            axes.yaxis.set_major_formatter("{x:.2g}")
            axes.set_xlabel("u", labelpad=1)
            axes.set_ylabel("v", labelpad=0)
        return figure, panels[:count]


def _image(axes: "Axes", pixels: np.ndarray, regions: xr.Dataset | xr.DataArray, **options: Any) -> Any:
    edges: list[float] = []
    for axis in (regions.u.values, regions.v.values):  # a grid point is the middle of its pixel
        half = (axis[-1] - axis[0]) / max(1, len(axis) - 1) / 2
        edges += [axis[0] - half, axis[-1] + half]
    return axes.imshow(
        pixels, origin="lower", extent=(edges[0], edges[1], edges[2], edges[3]), interpolation="nearest", **options
    )


def _scale(bar: Any, norm: Any) -> None:
    """Put a few plain numbers beside a colour bar; Matplotlib's own on a short logarithmic one overlap."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    if isinstance(norm, LogNorm):
        ticks = np.geomspace(bar.vmin, bar.vmax, 4)
        bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
        bar.minorticks_off()
    else:
        bar.locator = MaxNLocator(4, integer=norm.vmin == 0)
        bar.update_ticks()
    bar.ax.tick_params(labelsize=7, length=2)


def _borders(number: xr.DataArray, fine: int = 3) -> np.ndarray:
    """Return an image (v, u, RGBA), `fine` times finer, dark where the next grid point is in another region."""
    values = np.kron(number.transpose("v", "u").values, np.ones((fine, fine), int))
    border = np.zeros(values.shape)
    border[:, :-1][values[:, 1:] != values[:, :-1]] = 0.8
    border[:-1][values[1:] != values[:-1]] = 0.8
    return np.stack([np.zeros_like(border)] * 3 + [border], axis=-1)


def _painted(status: xr.DataArray, colors: dict[Any, str]) -> np.ndarray:
    """Return an image (v, u, RGBA) with the regions of some kinds in one colour each, else transparent."""
    from matplotlib.colors import to_rgba

    values = status.transpose("v", "u").values
    image = np.zeros((*values.shape, 4))
    for kind, color in colors.items():
        image[values == kind] = to_rgba(color)
    return image


def _slope_norm(regions: xr.Dataset) -> "Normalize":
    """One logarithmic scale for λ and its bounds, at most three decades; what is below has the lowest colour."""
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([regions.lipschitz.values.ravel(), regions.bound.values])
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        return Normalize(0, 1)
    return LogNorm(max(values.min(), values.max() / 1000), values.max(), clip=True)


def _counts(nonzeros: xr.DataArray) -> "Normalize":
    from matplotlib.colors import Normalize

    return Normalize(0, max(1, int(nonzeros.max())))
