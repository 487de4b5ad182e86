"""Figures of statistics and images: reproducible files, and nothing lost to values that are not finite."""

import csv
import io
import os
import shutil

import numpy as np
import pytest
import xarray as xr

from bthcheck import figures
from bthcheck.figures import reading, statistics, style
from bthcheck.tasks import CorruptedImages
from bthcheck.training.streams import stream

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("BTHCHECK_REQUIRE_CHROMIUM") == "1"


def test_figures_are_the_same_file_every_time(tmp_path, blocks):
    values = blocks(np.random.default_rng(0).lognormal(size=(6, 4)))
    for name in ("a", "b"):
        figures.save(figures.violins(values, "frequency", log=True), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


FEW, MANY = 20, 1000
DRAWN = {
    "violins": lambda values: figures.violins(values, "frequency", log=True),
    "scatter": lambda values: figures.scatter(values, values**2, "frequency", xlabel="x", ylabel="y"),
    "compared": lambda values: figures.compared({"a": values, "b": values**2}, "frequency", ylabel="y"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_of_many_seeds_is_hardly_larger_and_hides_no_extreme(name, blocks, tmp_path):
    table = np.random.default_rng(0).lognormal(size=(MANY, 4))
    for seeds in (FEW, statistics.MOST_SEEDS, MANY):
        figures.save(DRAWN[name](blocks(table[:seeds])), tmp_path / f"{seeds}.svg")
    few, most, many = ((tmp_path / f"{seeds}.svg").stat().st_size for seeds in (FEW, statistics.MOST_SEEDS, MANY))
    assert few < most < many < 1.5 * most
    (axes,) = DRAWN[name](blocks(table)).axes
    said = f"{statistics.MOST_SEEDS} of {MANY} seeds and the extremes are drawn"
    assert [text.get_text() for text in axes.texts] == [said]
    (axes,) = DRAWN[name](blocks(table[: statistics.MOST_SEEDS])).axes
    assert not axes.texts
    (axes,) = DRAWN[name](blocks(table)).axes
    data = np.concatenate([np.ravel(line.get_ydata()) for line in axes.lines])
    shown = {"violins": np.log10, "scatter": np.square, "compared": np.square}[name](table)
    assert np.isin([shown.min(0), shown.max(0)], data).all()


def test_the_seeds_that_are_drawn_are_those_of_evenly_spaced_ranks():
    one = np.random.default_rng(1).permutation(MANY).astype(float)
    drawn = statistics.drawn(np.stack([one, one**3], axis=1))  # one order: the mean rank is the rank
    assert sorted(one[drawn]) == np.linspace(0, MANY - 1, statistics.MOST_SEEDS).round().tolist()
    assert statistics.drawn(one[: statistics.MOST_SEEDS, None]).tolist() == list(range(statistics.MOST_SEEDS))
    assert len(statistics.drawn(np.full((MANY, 3), np.nan))) <= statistics.MOST_SEEDS + 2


def test_a_window_of_one_epoch_is_a_line(blocks):
    values = blocks(np.ones((2, 3))).expand_dims(epoch=np.arange(1, 9)).transpose("frequency", "seed", "epoch")
    (axes,) = figures.curves(values, "frequency", windows={"10 %": (3, 3), "end": (6, 8)}).axes
    assert [line.get_xdata() for line in axes.lines[3:]] == [[3, 3]]
    assert {text.get_text() for text in axes.texts} == {"10 %", "end"}


def test_figures_survive_runs_that_diverged(tmp_path, blocks):
    table = np.random.default_rng(0).lognormal(size=(6, 4))
    table[2, 3] = np.inf
    values = blocks(table)
    curves = values.expand_dims(epoch=np.arange(1, 50)).transpose("frequency", "seed", "epoch")
    for index, figure in enumerate(
        [
            figures.violins(values, "frequency", log=True),
            figures.curves(curves, "frequency"),
            figures.scatter(values, values, "frequency", xlabel="x", ylabel="y"),
            figures.looseness({"a": table.ravel()}),
            figures.compared({"a": values, "b": values.median("seed")}, "frequency", ylabel="y"),
            figures.normal_scores({"a": np.zeros(5)}),
        ]
    ):
        figures.save(figure, tmp_path / f"{index}.svg")
        assert (tmp_path / f"{index}.svg").stat().st_size > 2000


def test_a_contact_sheet_marks_what_was_redrawn():
    task = CorruptedImages(corruption=0.6, train=100, test=2)
    labels = task.labels(stream(3, "data"))
    figure = figures.contact_sheet(task, 3, count=20, columns=8)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 20
    for index, axes in enumerate(shown):
        assert axes.get_title() == task.classes[labels.used[index]]
        assert bool(axes.patches) == labels.redrawn[index]
        assert (axes.title.get_color() == "#b3261e") == (labels.used[index] != labels.clean[index])
        assert np.array_equal(axes.images[0].get_array(), task.images()[index].transpose(1, 2, 0))
    assert {bool(axes.patches) for axes in shown} == {True, False}


def test_means_are_drawn_with_their_deviation_and_the_median(blocks):
    generator = np.random.default_rng(0)
    values = blocks(np.ones((5, 2))).expand_dims(epoch=np.arange(1, 9)).transpose("frequency", "seed", "epoch")
    values = values.copy(data=generator.lognormal(size=values.shape))
    (axes,) = figures.means(values, "frequency", ylabel="loss").axes
    assert axes.get_yscale() == "linear"
    for number, band in enumerate(axes.collections):
        mean, median = axes.lines[2 * number : 2 * number + 2]
        one = values.values[number]
        np.testing.assert_allclose(mean.get_ydata(), one.mean(0))
        np.testing.assert_allclose(median.get_ydata(), np.median(one, axis=0))
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx((one.mean(0) + one.std(0)).max())
        assert heights.min() == pytest.approx((one.mean(0) - one.std(0)).min())
    assert len(figures.means(values, "frequency", ylabel="loss", marks=False).axes[0].lines) == 2


def test_single_steps_are_drawn_with_their_moving_average():
    raw = np.random.default_rng(0).lognormal(size=(2, 50))
    values = xr.DataArray(raw, {"frequency": [0.5, 1.0]}, ("frequency", "step"))
    (axes,) = figures.smoothed(values, "frequency", ylabel="λ", weight=0.8).axes
    for number in range(2):
        shown, average = axes.lines[2 * number : 2 * number + 2]
        expected = [raw[number, 0]]
        for value in raw[number, 1:]:
            expected.append(0.8 * expected[-1] + 0.2 * value)
        np.testing.assert_allclose(shown.get_ydata(), raw[number])
        np.testing.assert_allclose(average.get_ydata(), expected)
    assert axes.get_yscale() == "log"


def test_a_figure_is_written_whole_or_not_at_all(tiny_disk, blocks):
    figure = figures.violins(blocks(np.arange(1.0, 13).reshape(3, 4)), "frequency")
    path = tiny_disk / "figure.svg"
    path.write_text("the last session's")
    (tiny_disk / "filler").write_bytes(b"x" * 56_000)
    with pytest.raises(OSError, match=r"No space left on device: .*figure\.svg"):
        figures.save(figure, path)
    assert path.read_text() == "the last session's"
    assert {one.name for one in tiny_disk.iterdir()} == {"figure.svg", "filler"}


def test_strips_have_a_row_a_label_with_its_mean():
    one = xr.DataArray([0.1, 0.3, np.nan], dims="seed")
    (axes,) = figures.strips({"first_one": one, "TSE": -one}, xlabel="Ψ").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first_one", "TSE"]
    points, mean = axes.lines[1], axes.lines[2]
    assert (points.get_xdata().tolist(), points.get_ydata().tolist()) == ([0.1, 0.3], [0, 0])
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == (pytest.approx(0.2), 0)
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "Ψ"
    rows = list(csv.reader(io.StringIO(reading.numbers(axes.figure))))
    assert rows[1:4] == [
        ["1", "mean, first_one", "", "0", "0.2", ""], ["1", "first_one", "seed 0", "0", "0.1", ""],
        ["1", "first_one", "seed 1", "0", "0.3", ""],
    ]  # fmt: skip
    assert reading.described(axes.figure) == "Ψ: mean, first_one 0.2; mean, TSE -0.2."


def test_the_mean_of_many_seeds_is_that_of_all():
    values = xr.DataArray(np.linspace(0, 1, 401) ** 3, dims="seed")
    (axes,) = figures.strips({"skewed": values}, xlabel="Ψ").axes
    assert len(axes.lines[1].get_xdata()) < 401  # not all are drawn
    assert axes.lines[2].get_xdata()[0] == pytest.approx(float(values.mean()))


@pytest.mark.parametrize("scale", [1e-7, 1.0, 9_000.0, 3.5e5, 1e12])
def test_the_label_of_an_axis_is_within_the_figure_however_long_its_numbers(blocks, tmp_path, scale):
    figure = figures.violins(blocks(np.linspace(0.2, 1, 8).reshape(4, 2) * scale), "frequency", ylabel="total φ")
    figures.save(figure, tmp_path / "one.png")  # which lays it out
    with style.style():
        label = figure.axes[0].yaxis.label.get_window_extent()
    assert label.x0 >= 0, label
