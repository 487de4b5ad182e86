"""How often the test points are looked at, in every engine."""

import numpy as np
import pytest

import bthcheck
from bthcheck.tests.training.test_engines import STACKS
from bthcheck.training.statistics import STATISTICS


@pytest.mark.parametrize("engine", ["fused", "stacked", "reference"])
def test_test_points_are_looked_at_as_often_as_asked_and_always_in_the_end(engine):
    often = STACKS["classification, one point a step"].replace(levels=(0.5,), seeds=(1,), epochs=7)
    every, some = (bthcheck.run(one, engine=engine, progress=False) for one in (often, often.replace(test_every=3)))
    looked = np.array([False, False, True, False, False, True, True])
    for name in STATISTICS:
        spared = name in ("test_loss", "test_error")
        expected = every[name].values[0, 0] if not spared else np.where(looked, every[name].values[0, 0], np.nan)
        np.testing.assert_array_equal(some[name].values[0, 0], expected, err_msg=name)
    np.testing.assert_array_equal(some.parameters, every.parameters)
    halves = bthcheck.run(often.replace(test_every=3, windows=2), engine=engine, progress=False)
    assert np.flatnonzero(halves.test_loss.notnull()).tolist() == [5, 11, 13]
    with pytest.raises(ValueError, match="test_every must be a whole number of at least 1, got 0"):
        often.replace(test_every=0)
