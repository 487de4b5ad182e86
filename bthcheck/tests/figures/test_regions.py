import numpy as np
import pytest
import xarray as xr

from bthcheck import figures
from bthcheck.experiments import DROPOUT, REGIONS
from bthcheck.figures import regions
from bthcheck.figures.reading import numbers
from bthcheck.geometry.regions import Status, plane_grid, plane_regions
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream


@pytest.fixture
def found():
    run = Run(REGIONS, 0.5, 0)
    result = plane_regions(run.network(), run.data().x_train[:40], REGIONS.task.plane(stream(0, "data")))
    assert {Status.OCCUPIED, Status.BOUNDED, Status.INFEASIBLE} == set(result.status.values)
    return result


def images(figure):
    return [[image.get_array() for image in axes.images] for axes in figure.axes[:5]]


def test_maps_show_each_surface_with_v_upwards(found, tmp_path):
    target = found.output + found.u
    figure = figures.maps(found, target, np.zeros((3, 2)))
    truth, output, slopes, bounds, combined = images(figure)
    np.testing.assert_allclose(truth[0], target.transpose("v", "u"))
    np.testing.assert_allclose(output[0], found.output.transpose("v", "u"))
    np.testing.assert_allclose(slopes[0], found.lipschitz.transpose("v", "u"))
    status = found.status.values[found.region_number.values.T]
    known = (status == Status.OCCUPIED) | (status == Status.BOUNDED)
    np.testing.assert_array_equal(bounds[0].mask, ~known)
    np.testing.assert_allclose(bounds[0][known], found.bound.values[found.region_number.values.T][known])
    np.testing.assert_array_equal(combined[0][known], found.nonzeros.values[found.region_number.values.T][known])
    for painted in (bounds[1], combined[1]):  # grey where there is no bound, and nowhere else
        np.testing.assert_array_equal(np.asarray(painted)[..., 3] > 0, status == Status.INFEASIBLE)
    path = tmp_path / "maps.svg"
    figures.save(figure, path)
    assert path.stat().st_size < 300_000
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("no bound" in label for label in labels)
    assert not any("not decided" in label for label in labels)


def test_undecided_regions_are_drawn_as_such(found):
    found["status"] = found.status.where(found.status != Status.INFEASIBLE, Status.UNDECIDED)
    figure = figures.maps(found, found.output)
    assert "not decided by the solver" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_borders_lie_between_regions():
    number = xr.DataArray([[0, 0], [0, 1]], dims=("u", "v"))
    border = regions._borders(number, fine=2)[..., 3] > 0
    assert border.tolist() == [
        [False, False, False, False],
        [False, False, True, True],  # v = 0 below v = 1 at u = 1
        [False, True, False, False],  # u = 0 left of u = 1 at v = 1
        [False, True, False, False],
    ]


def test_stability_draws_a_dot_a_seed():
    values = xr.DataArray([[0.1, 0.2], [0.0, 0.0]], {"learning_rate": [1e-3, 1e-7], "seed": [0, 1]}, ("learning_rate", "seed"))
    figure = figures.stability(values, values + 0.1)
    shares, gammas = figure.axes
    assert [line.get_ydata().tolist() for line in shares.lines[1:]] == [[10, 0], [20, 0]]
    assert gammas.get_yscale() == "log"
    assert "2,seed 1,,0.001,0.3," in numbers(figure).splitlines()


def test_condition_paints_what_is_missing_over_the_slopes(tmp_path):
    run = Run(DROPOUT, 0.5, 0)
    grid = plane_grid(run.network(), DROPOUT.task.plane(stream(0, "data")), u=np.linspace(-1, 1, 7), v=np.linspace(-1, 1, 5))
    held = np.arange(35) % 3 > 0
    figure = figures.condition(grid, held, np.zeros((2, 2)))
    output, slopes = images(figure)[:2]
    np.testing.assert_allclose(output[0], (1 / (1 + np.exp(-grid.logit))).reshape(7, 5).T)
    np.testing.assert_allclose(slopes[0], grid.lipschitz.reshape(7, 5).T)
    np.testing.assert_array_equal(np.asarray(slopes[1])[..., 3] > 0, ~held.reshape(7, 5).T)
    figures.save(figure, tmp_path / "condition.svg")


def test_growth_draws_a_line_a_quantity_and_leaves_out_what_is_infinite():
    figure = figures.growth({"bound": {2: 1.0, 4: np.inf, 8: 3.0}}, {"law": np.sqrt}, xlabel="size", ylabel="value", level=1.0)
    law, line, level = figure.axes[0].lines
    assert law.get_label() == "law"
    np.testing.assert_allclose(law.get_ydata(), np.sqrt(law.get_xdata()))
    assert list(line.get_xdata()) == [2, 8]
    assert list(line.get_ydata()) == [1.0, 3.0]
    assert list(level.get_ydata()) == [1.0, 1.0]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["2", "4", "8"]


def test_surfaces_are_drawn_side_by_side_with_v_upwards(found):
    unknown = found.lipschitz.where(found.u > 0, np.nan)
    figure = figures.surfaces({"f": found.output, "λ": unknown}, np.array([[0.5, -0.5]]))
    output, slopes = images(figure)[:2]
    np.testing.assert_allclose(output[0], found.output.transpose("v", "u"))
    np.testing.assert_array_equal(np.ma.getmaskarray(slopes[0]), np.isnan(unknown.transpose("v", "u")))
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["f", "λ"]
    assert all(axes.lines[0].get_xydata().tolist() == [[0.5, -0.5]] for axes in panels)
