"""A figure in numbers and in words, its ticks, colours, and what a pointer shows: as what was drawn."""

import csv
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from bthcheck import figures
from bthcheck.figures import reading, style
from bthcheck.figures.reading import described, numbers
from bthcheck.figures.statistics import places
from bthcheck.figures.style import log_ticks, power


def rows(figure):
    return list(csv.DictReader(io.StringIO(numbers(figure))))


def over_epochs(blocks, seeds=5):
    table = np.random.default_rng(0).lognormal(size=(seeds, 4))
    return (blocks(table) * (1 + 0 * blocks(table))).expand_dims(epoch=[1, 2, 3]) * 1.0


def test_the_numbers_of_curves_are_median_and_extremes(blocks):
    values = over_epochs(blocks)
    found = rows(figures.curves(values, "frequency", ylabel="height"))
    level = float(values.frequency[0])
    for name, reduced in (("median", values.median("seed")), ("smallest", values.min("seed")), ("largest", values.max("seed"))):
        mine = [row for row in found if row["series"] == f"{name}, frequency {level:g}"]
        assert [float(row["x"]) for row in mine] == [1, 2, 3]
        assert [float(row["y"]) for row in mine] == pytest.approx(reduced.sel(frequency=level).values.tolist(), rel=1e-5)


@pytest.mark.parametrize("log", [False, True])
def test_the_numbers_of_a_distribution_are_those_of_its_seeds(blocks, log):
    table = np.random.default_rng(0).lognormal(size=(5, 4))
    values = blocks(table)
    found = rows(figures.violins(values, "frequency", log=log))
    assert len(found) == table.size
    for row in found:
        level, seed = float(row["x"]), int(row["point"].removeprefix("seed "))
        assert float(row["y"]) == pytest.approx(float(values.sel(frequency=level, seed=seed)), rel=1e-5)


def test_any_figure_has_the_numbers_of_its_labelled_lines_and_maps():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.plot([1, 2], [3, np.nan], label="a")
    left.plot([1, 2], [3, 4])  # which has no name
    right.imshow([[1.0, 2.0], [3.0, 4.0]])
    right.set_title("a map")
    found = [tuple(row.values()) for row in rows(figure)]
    assert found == [
        ("1", "a", "", "1", "3", ""), ("a map", "map", "", "0", "0", "1"), ("a map", "map", "", "1", "0", "2"),
        ("a map", "map", "", "0", "1", "3"), ("a map", "map", "", "1", "1", "4"),
    ]  # fmt: skip
    assert numbers(Figure()) == ""


def test_a_figure_of_too_many_numbers_has_none(monkeypatch):
    figure = Figure()
    figure.subplots().plot(range(11), range(11), label="a")
    monkeypatch.setattr(reading, "MOST_ROWS", 10)
    assert numbers(figure) == ""


def test_a_figure_is_described_by_its_axes_and_ends(blocks):
    said = described(figures.curves(over_epochs(blocks), "frequency", ylabel="height"))
    assert said.startswith("height against epoch, y logarithmic: median, frequency 0.25 from ")
    assert said.count(" from ") == 4
    scattered = figures.scatter(blocks(np.full((5, 4), 2.0)), blocks(np.full((5, 4), 3.0)), "frequency", xlabel="a", ylabel="b")
    assert "b against a, x and y logarithmic: frequency 0.25, 5 points from 3 to 3;" in described(scattered)
    assert described(Figure()) == ""


def titles(svg):
    return re.findall(r"<use [^>]*><title>([^<]*)</title></use>", svg.tobytes().decode())


def test_a_pointer_is_told_seed_level_and_value(blocks):
    table = np.arange(1.0, 21.0).reshape(5, 4)
    found = titles(style.read(figures.violins(blocks(table), "frequency", log=True)).svg)
    assert found[:2] == ["seed 0, frequency 0.25: 1", "seed 1, frequency 0.25: 5"]
    assert len(found) == table.size
    drawn = figures.scatter(blocks(table), blocks(table) ** 2, "frequency", xlabel="x", ylabel="y")
    assert titles(style.read(drawn).svg)[-1] == "seed 4, frequency 1: 20, 400"


def test_markers_that_are_not_drawn_shift_no_title(blocks):
    table = np.arange(1.0, 21.0).reshape(5, 4)
    table[2, 0] = np.nan
    found = titles(style.read(figures.violins(blocks(table), "frequency")).svg)
    assert not [text for text in found if "0.25" in text]
    assert "seed 0, frequency 0.5: 2" in found


def test_what_is_kept_is_what_is_drawn(blocks):
    values = blocks(np.arange(1.0, 21.0).reshape(5, 4))
    one, two = style.Drawn(*style.drawn(figures.violins, values, "frequency")), style.read(figures.violins(values, "frequency"))
    assert one.width == two.width
    for name in ("svg", "csv", "said"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


@pytest.mark.parametrize(
    ("low", "high"), [(1e-4, 1.0), (0.02, 1.7), (0.1, 0.13), (3e-9, 2e8), (5, 60), (1, 10), (0.9, 1.1), (1e-300, 1e300)]
)
def test_a_logarithmic_axis_has_some_ticks_and_not_many(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_ticks_have_labels_of_their_own_values():
    assert [power(value) for value in (0.001, 0.3, 1, 20, 5000, 1e5, 3e-7)] == [
        "0.001", "0.3", "1", "20", "5000", "$10^{5}$", r"$3\times10^{-7}$",
    ]  # fmt: skip
    assert [power(tick) for tick in log_ticks(0.02, 1.7)] == ["0.03", "0.1", "0.3", "1"]
    for bad in ((0, 1), (2, 1), (-1, 1), (1, np.inf), (np.nan, 1)):
        assert log_ticks(*bad) == []


def test_every_tick_of_a_logarithmic_axis_has_a_label(blocks):
    figure = figures.curves(over_epochs(blocks), "frequency")
    style.read(figure)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) >= 2
    assert all(labels)
    assert not axes.yaxis.get_minorticklocs().size


def test_a_level_has_one_colour_wherever_it_is_drawn():
    whole, part = places([0.0, 0.2, 0.4, 0.6]), places([0.2, 0.6])
    assert whole[[1, 3]].tolist() == part.tolist()
    assert places([0.25, 1.0])[1] == places([0.5, 1.0])[1]
    assert (np.diff(whole) < 0).all()


@pytest.mark.parametrize("levels", [[0.5, 0.51], ["CNN", "MLP"], [8, 16, 32], [2.0], [True, False], [0.1, 0.1]])
def test_levels_that_are_no_shares_are_evenly_spaced(levels):
    found = places(levels)
    assert found[0] == 0.8
    assert np.ptp(np.diff(found)) < 1e-12 if len(found) > 2 else True
