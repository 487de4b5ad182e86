"""The figure of a watched training: which panels there are, and what their lines show."""

import numpy as np
import pytest
import xarray as xr

from bthcheck import figures
from bthcheck.figures.watched import watched
from bthcheck.watching.labelled import labelled


def records(steps=300, probed=(), **others):
    """Records of a training, by default without a loss; λ is probed after the steps `probed`."""
    generator = np.random.default_rng(0)
    table = {name: generator.lognormal(size=steps) for name in ("phi", "gradient_norm_mean", "update", "distance_to_init")}
    table |= {"step": np.arange(1, steps + 1), "epoch": np.ones(steps), "wall_time": np.arange(steps) / 100}
    for name in ("lipschitz_mean", "lipschitz_max"):
        table[name] = np.where(np.isin(table["step"], probed), generator.lognormal(size=steps), np.nan)
    return labelled({**table, **others}, {}, 0)


def panels(figure):
    return {axes.get_ylabel(): axes for axes in figure.axes}


def named(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_only_what_was_recorded_has_a_panel():
    assert list(panels(watched(records()))) == ["output / input", "first bias"]
    assert list(panels(watched(records(train_loss=np.ones(300))))) == ["output / input", "first bias", "loss"]
    without = records(update=np.full(300, np.nan), distance_to_init=np.full(300, np.nan))
    assert list(panels(watched(without))) == ["output / input"]
    assert set(named(panels(watched(records()))["output / input"])) == {"φ", "mean ‖g‖"}
    assert set(named(panels(watched(records(probed=[9])))["output / input"])) == {"φ", "mean ‖g‖", "mean λ", "largest λ"}


@pytest.mark.parametrize("steps", [1, 2, 30, 300])
def test_what_depends_on_the_batch_is_smoothed_without_delay(steps):
    values = records(steps)
    figure = watched(values)
    shown, mean = panels(figure)["output / input"].lines[:2]
    raw, half = values.phi.values, min(20, (steps - 1) // 2)
    expected = [raw[max(0, i - half) : i + half + 1].mean() for i in range(steps)]
    at = mean.get_xdata() - 1
    np.testing.assert_array_equal(shown.get_ydata(), raw[at])
    np.testing.assert_allclose(mean.get_ydata(), np.array(expected)[at], rtol=1e-12)
    assert {0, steps - 1} <= set(at)
    distance = named(panels(figure)["first bias"])["distance"]
    np.testing.assert_array_equal(distance.get_ydata(), values.distance_to_init[at])


def test_what_was_probed_is_where_it_was_probed_and_begins_before_the_first_step():
    values = records(probed=[100, 200, 300])
    line = named(panels(watched(values))["output / input"])["mean λ"]
    assert line.get_xdata().tolist() == [100, 200, 300]
    assert line.get_marker() == "."
    line = named(panels(watched(values.assign_attrs(lipschitz_mean_at_start=0.5)))["output / input"])["mean λ"]
    assert line.get_xdata().tolist() == [0, 100, 200, 300]
    assert line.get_ydata().tolist() == [0.5, *values.lipschitz_mean.values[[99, 199, 299]]]


def test_a_scale_is_logarithmic_where_it_can_be():
    figure = watched(records(train_loss=np.full(300, -1.0)))
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "linear"]


@pytest.mark.parametrize("values", [np.nan, np.inf, 0.0])
def test_a_training_that_went_wrong_is_drawn(values, tmp_path):
    names = ("phi", "gradient_norm_mean", "update", "distance_to_init", "train_loss")
    wrong = records(**{name: np.full(300, values) for name in names})
    for number, one in enumerate((wrong, labelled({}, {}, 0), xr.concat([records(), wrong], "step"))):
        figures.save(watched(one), tmp_path / f"{number}.svg")
        assert (tmp_path / f"{number}.svg").stat().st_size > 2000


def test_the_file_is_the_same_every_time_and_no_larger_for_more_steps(tmp_path):
    for name, steps in {"a": 200, "b": 200, "long": 100_000}.items():
        figures.save(watched(records(steps)), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "long.svg").stat().st_size < 1.2 * (tmp_path / "a.svg").stat().st_size
