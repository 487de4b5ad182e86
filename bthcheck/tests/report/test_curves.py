"""The small drawings of an experiment's page, against the medians they are of."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.figures import statistics
from bthcheck.networks import MLP
from bthcheck.report.curves import HEIGHT, MARGIN, MOST, WIDTH, level_colors, panels


@pytest.fixture(scope="module")
def trained():
    experiment = SINUSOIDS.replace(
        levels=(0.3, 0.9), seeds=(0, 2, 5), epochs=300, lipschitz_every=50, network=MLP((10, 10, 4, 1))
    )
    return bthcheck.run(experiment, cache=None, progress=False)


def places(line):
    return np.array([[float(number) for number in point.split(",")] for point in line.points.split()])


def test_lines_are_medians_on_axes_that_reach_from_end_to_end(trained):
    found = {panel.title: panel for panel in panels(trained)}
    losses = found["mean loss of the epoch's steps, each before its update"]
    medians = np.log10(trained.train_loss.median("seed").transpose("frequency", "epoch").values)
    low, high = medians.min(), medians.max()
    assert losses.log
    assert [float(losses.low), float(losses.high)] == pytest.approx([10**low, 10**high], rel=1e-3)
    for line, median in zip(losses.lines, medians, strict=True):
        points = places(line)
        assert len(points) == MOST
        epoch = np.rint((points[:, 0] - MARGIN) / (WIDTH - 2 * MARGIN) * 299).astype(int)
        assert (epoch[0], epoch[-1]) == (0, 299)
        height = (HEIGHT - MARGIN - points[:, 1]) / (HEIGHT - 2 * MARGIN)
        np.testing.assert_allclose(height, (median[epoch] - low) / (high - low), atol=0.06 / (HEIGHT - 2 * MARGIN) + 1e-9)
    assert [line.level for line in losses.lines] == ["frequency 0.3", "frequency 0.9"]
    assert [line.color for line in losses.lines] == level_colors([0.3, 0.9])
    assert "frequency 0.9 from" in losses.said
    assert len({line.dash for line in losses.lines}) == 2


def test_what_was_not_measured_is_left_out(trained):
    titles = [panel.title for panel in panels(trained)]
    assert not any("misclassif" in title for title in titles)  # of a regression
    (constants,) = [panel for panel in panels(trained) if panel.title.startswith("mean local Lipschitz")]
    assert [len(places(line)) for line in constants.lines] == [6, 6]


def test_runs_that_diverged_end_and_constants_are_in_the_middle(trained):
    changed = trained.copy(deep=True)
    changed.train_loss.values[1, :, 100:] = np.inf
    changed.trajectory_max.values[...] = 2.0
    changed.distance_to_init.values[...] = np.inf
    changed.update_sum.values[...] = np.linspace(-1, 1, 300)
    found = {panel.title: panel for panel in panels(changed)}
    one, other = found["mean loss of the epoch's steps, each before its update"].lines
    assert places(one)[-1, 0] == WIDTH - MARGIN
    assert places(other)[-1, 0] == pytest.approx(MARGIN + 99 / 299 * (WIDTH - 2 * MARGIN), abs=0.06)
    assert set(places(found["largest φ of the epoch's steps"].lines[0])[:, 1]) == {HEIGHT / 2}
    assert not any("initial value" in title for title in found)
    linear = next(panel for title, panel in found.items() if "‖Δb_1‖ over" in title)
    assert (linear.log, linear.low, linear.high) == (False, "-1", "1")


@pytest.mark.parametrize("levels", [[0.0, 0.2, 0.4, 0.6], [0.25, 1.0], ["4", "8", "16", "32", "64"], [0.5]])
def test_colours_are_those_of_the_figures_to_the_eye(levels):
    drawn = [255 * np.array(color[:3]) for color in matplotlib.colormaps["viridis"](statistics.places(levels))]
    mixed = [[int(color[place : place + 2], 16) for place in (1, 3, 5)] for color in level_colors(levels)]
    np.testing.assert_allclose(mixed, drawn, atol=0.02 * 255 + 0.5)


def test_curves_need_no_matplotlib():
    code = "import sys; from bthcheck.report.curves import level_colors as of; of([0, 0.5]); print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
