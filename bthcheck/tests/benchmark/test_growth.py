"""The benchmark of growth: exponents and surprises on made-up costs, and every measurement at a size that takes no time."""

import json

import numpy as np
import pytest

from bthcheck.benchmark import growth, lookups, report_size, shortened
from bthcheck.benchmark.growth import AXES, Axis, Point, exponent, surprises
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, DROPOUT, MNIST_ARCHITECTURES_SMALL, SINUSOIDS


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_its_power(power):
    sizes = [10, 30, 100, 700]
    assert exponent(sizes, [3e-3 * size**power for size in sizes]) == pytest.approx(power, abs=1e-12)
    assert exponent([2, 8], [5.0, 5.0 * 4**power]) == pytest.approx(power, abs=1e-12)


def test_the_exponent_is_that_of_a_least_squares_line():
    sizes, costs = [1, 2, 5, 9, 17], [1.0, 2.7, 4.0, 11.0, 15.0]
    assert exponent(sizes, costs) == pytest.approx(np.polyfit(np.log(sizes), np.log(costs), 1)[0], rel=1e-12)
    assert exponent([1, 2, 4, 8], [0.0, 3.0, 6.0, 12.0]) == pytest.approx(1)
    assert np.isnan(exponent([1, 2], [0.0, 3.0]))


def test_what_grows_faster_than_expected_is_said_and_nothing_else():
    axis = Axis("seeds", (1, 10), (), lambda size: SINUSOIDS, 1, None)
    linear = [Point(size, 0.1 * size, 1e8) for size in (1, 10, 100)]
    square = [Point(size, 0.1 * size**2, 1e3 * size**2) for size in (1, 10, 100)]
    assert surprises(axis, linear) == []
    assert surprises(axis, square) == ["time grows with seeds to the power 2.00, expected at most 1"]
    both = Axis("seeds", (1, 10), (), lambda size: SINUSOIDS, 2, 1)
    large = [Point(size, 0.1 * size**2, 1e7 * size**1.5) for size in (1, 10, 100)]
    assert surprises(both, large) == ["memory grows with seeds to the power 1.50, expected at most 1"]
    assert surprises(both, square) == []  # of memory that an allocator takes anyway nothing is known


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)
def test_every_axis_makes_experiments_of_its_sizes(axis):
    smallest, largest = (axis.made(size) for size in (axis.sizes[0], (*axis.sizes, *axis.large)[-1]))
    assert smallest != largest
    assert list(axis.sizes) == sorted(axis.sizes)


def test_a_point_is_measured_in_a_process_of_its_own(monkeypatch, capsys):
    tiny = SINUSOIDS.replace(levels=(0.5,), epochs=2)
    axis = Axis("seeds", (1, 2), (3,), lambda size: tiny.replace(seeds=tuple(range(size))), 1, 1)
    monkeypatch.setattr(growth, "AXES", (axis,))
    monkeypatch.setattr(growth, "_MODULES", [])
    done = growth.point("seeds", 2)
    assert (done.size, done.seconds > 0, done.bytes >= 0) == (2, True, True)
    asked = []

    def made_up(axis, full):
        asked.append(full)
        return [Point(size, size, 0.0) for size in (*axis.sizes, *axis.large * full)]

    monkeypatch.setattr(growth, "measured", made_up)
    found = growth.report(full=True)
    assert [point["size"] for point in found["seeds"]] == [1, 2, 3]
    assert asked == [True]
    assert "exponents 1.00 of time, nan of memory" in capsys.readouterr().out


def test_a_folder_of_runs_is_looked_through():
    found = lookups.measured(20)
    assert set(found) == {*lookups.CONSTANT, *lookups.LINEAR}
    assert all(seconds >= 0 for seconds in found.values())


def test_a_shortened_experiment_is_the_same_but_for_its_size():
    for experiment in (SINUSOIDS, CORRUPTED_CIFAR_SMALL, MNIST_ARCHITECTURES_SMALL, DROPOUT):
        short = shortened.shortened(experiment)
        assert (short.name, short.levels, short.seeds) == (experiment.name, experiment.levels, experiment.seeds)
        assert (short.training.epochs, short.task.train) == (shortened.EPOCHS, shortened.POINTS)
    assert len(shortened.shortened(SINUSOIDS, 7).levels) == len(shortened.shortened(CORRUPTED_CIFAR_SMALL, 7).levels) == 7
    assert shortened.shortened(MNIST_ARCHITECTURES_SMALL, 7).levels == MNIST_ARCHITECTURES_SMALL.levels
    assert shortened.shortened(DROPOUT, 7).levels == DROPOUT.levels


def test_a_session_of_short_trainings_leaves_a_report(tmp_path):
    if not (report_size.ROOT / "claims").is_dir():
        pytest.skip("the claims are in a checkout")
    asked = report_size.Session(("claims/test_trajectory.py::test_slower_training",), 3, 5)
    found = report_size.measured(asked, tmp_path / "report", workers=0)
    records = json.loads((tmp_path / "report" / "records.json").read_text(encoding="utf-8"))
    (experiment,) = records["experiments"]
    assert (len(experiment["configuration"]["levels"]), len(experiment["configuration"]["seeds"])) == (5, 3)
    assert experiment["configuration"]["training"]["epochs"] == shortened.EPOCHS
    assert found.claims == 1
    assert found.page == (tmp_path / "report" / "index.html").stat().st_size
    assert found.records == (tmp_path / "report" / "records.json").stat().st_size
    figure = (tmp_path / "report" / "figures" / "T3-1.svg").stat().st_size
    assert found.figures == found.largest
    assert 0.1 * figure < found.figures < 0.8 * figure  # without what a page need not have
    assert 0 < found.figures < found.page
    assert found.render > 0


def test_a_session_without_a_report_says_why(tmp_path):
    if not (report_size.ROOT / "claims").is_dir():
        pytest.skip("the claims are in a checkout")
    with pytest.raises(RuntimeError, match=r"(?s)the session left no report:\n.*claims/none.py"):
        report_size.measured(report_size.Session(("claims/none.py",), 3), tmp_path / "report", workers=0)
