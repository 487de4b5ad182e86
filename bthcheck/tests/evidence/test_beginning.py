"""The beginning of a training: what is kept of it, and what is a difference."""

import copy
import math

import numpy as np
import pytest

import bthcheck
from bthcheck.evidence.beginning import CHAOTIC, STATISTICS, TOLERANCE, beginning, same_beginning
from bthcheck.experiments import SINUSOIDS
from bthcheck.tasks import Sinusoid

LEVEL = 0.01 / 120
TINY = SINUSOIDS.replace(task=Sinusoid(train=8, test=4), levels=(0.5, 1.0), seeds=range(7), epochs=4)


@pytest.fixture(scope="module")
def dataset():
    return bthcheck.run(TINY, progress=False, engine="reference")


@pytest.fixture
def kept(dataset):
    return beginning(dataset)


def test_the_first_runs_are_kept_to_seven_digits(dataset, kept):
    assert (kept["after"], kept["levels"], kept["seeds"]) == (3, ["0.5", "1.0"], [0, 1, 2, 3, 4])
    for name in STATISTICS:
        values = dataset[name].isel(epoch=2, seed=slice(5)).transpose("seed", "frequency").values
        np.testing.assert_allclose(kept[name], values, rtol=5e-7)
        assert all(len(f"{value:.12g}".replace(".", "").lstrip("0")) <= 7 for row in kept[name] for value in row)


@pytest.mark.parametrize(("epochs", "points", "after"), [(4, 100, 3), (2, 100, 2), (4, 400, 2), (4, 2000, 1)])
def test_long_epochs_are_kept_earlier(dataset, epochs, points, after):
    longer = dataset.isel(epoch=slice(epochs)).assign_attrs(steps_per_epoch=points)
    assert beginning(longer)["after"] == after
    windows = dataset.isel(epoch=slice(epochs)).assign_attrs(steps_per_epoch=4 * points, windows=4)
    assert beginning(windows)["after"] == after


def test_what_has_no_number_is_none(dataset, kept):
    some = dataset.train_loss.where(dataset.seed != 1, math.inf)
    found = beginning(dataset.assign(test_loss=dataset.test_loss * math.nan, train_loss=some))
    assert found["train_loss"][1] == [None, None]  # divergence
    assert None not in found["train_loss"][0]
    assert found["trajectory_length"][0][0] > 0
    assert "test_loss" not in found  # a window in the midst of an epoch
    for one, other in ((kept, found), (found, kept)):
        moved = same_beginning(one, other, level=LEVEL)
        assert moved.effect == 1  # what has a number in one alone has moved
    assert same_beginning(found, found, level=LEVEL).effect == 0
    rows = {**found, "test_loss": [[None, None]] * 5}  # as records have it that were written before
    assert same_beginning(rows, found, level=LEVEL).effect == 0


def test_the_share_of_runs_that_moved_is_tested(kept):
    assert same_beginning(kept, copy.deepcopy(kept), level=LEVEL).p == 1
    moved = copy.deepcopy(kept)
    for i in range(4):
        for j in range(2):
            moved["train_loss"][i][j] *= 1 + 1.1 * TOLERANCE
    moved["test_loss"][4][0] *= 1 - 1.1 * TOLERANCE
    found = same_beginning(kept, moved, level=LEVEL, experiment="sinusoids")
    expected = sum(math.comb(10, k) * CHAOTIC**k * (1 - CHAOTIC) ** (10 - k) for k in (9, 10))
    assert found.p == pytest.approx(expected)
    assert (found.differs, found.effect) == (True, 0.9)
    assert found.sentence == (
        "sinusoids: 9 of 10 runs differ by more than rounding by epoch or window 3, by 0.011 % in the median"
        f" (p = {expected:.2g} at level {LEVEL:.2g})"
    )
    moved["test_loss"][4][0] = kept["test_loss"][4][0]
    assert not same_beginning(kept, moved, level=LEVEL).differs  # chaos may move some


def test_less_than_the_tolerance_is_rounding(kept):
    moved = copy.deepcopy(kept)
    for name in STATISTICS:
        moved[name] = (np.array(kept[name]) * (1 + 0.9 * TOLERANCE)).tolist()
    assert same_beginning(kept, moved, level=LEVEL).p == 1


def test_runs_that_diverge_have_moved(kept):
    moved = copy.deepcopy(kept)
    moved["train_loss"] = [[None, None] for _ in range(5)]
    assert same_beginning(kept, moved, level=LEVEL).differs
    assert same_beginning(moved, kept, level=LEVEL).differs
    assert same_beginning(moved, moved, level=LEVEL).p == 1


def test_runs_in_common_are_compared(kept):
    other = copy.deepcopy(kept)
    other["levels"], other["seeds"] = ["1.0", "2.0"], [4, 3, 9, 8, 7]
    for name in STATISTICS:
        other[name] = [[kept[name][4][1], 7.0], [kept[name][3][1], 7.0], *([[7.0, 7.0]] * 3)]
    found = same_beginning(kept, other, level=LEVEL)
    assert (found.p, found.effect, found.noticeable) == (1, 0, False)
    other["seeds"] = [19, 18, 17, 16, 15]
    nothing = same_beginning(kept, other, level=LEVEL)
    assert (nothing.differs, nothing.p, nothing.noticeable) == (False, None, False)
    assert same_beginning(kept, {**kept, "after": 2}, level=LEVEL).p is None
    with pytest.raises(ValueError, match="level must be a number between 0 and 1"):
        same_beginning(kept, kept, level=2)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.0011}, {"momentum": 0.1}, {"decay": 0.95}, {"sampling": "replacement"}, {"loss_factor": 0.5}]
)
def test_what_changes_the_steps_shows_and_another_type_does_not(kept, change):
    other = beginning(bthcheck.run(TINY.replace(**change), progress=False, engine="reference"))
    assert same_beginning(kept, other, level=LEVEL).p == pytest.approx(CHAOTIC**10)
    precise = beginning(bthcheck.run(TINY.replace(dtype="float64"), progress=False, engine="stacked"))
    assert same_beginning(kept, precise, level=LEVEL).p == 1
