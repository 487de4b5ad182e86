"""Rules to stop by, against loops and steps that are added up by hand."""

import numpy as np
import pytest
import xarray as xr

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.theory.stopping import best_fixed, bias_gradient_sum, peak, regret

EPOCHS = SINUSOIDS.replace(levels=(0.5, 1.0), seeds=(0, 1), epochs=4, decay=0.5, network=MLP((10, 10, 6, 1)), dtype="float64")


def epochs(*rows):
    return xr.DataArray(np.array(rows, float), {"epoch": range(1, len(rows[0]) + 1)}, ("seed", "epoch"))


def test_the_sum_of_bias_gradients_is_that_of_the_steps_of_a_trace():
    found = bias_gradient_sum(bthcheck.run(EPOCHS, engine="reference", progress=False))
    trace = bthcheck.trace(EPOCHS, 1.0, 1, steps=400)
    by_epoch = (trace.epsilon * trace.phi).values.reshape(4, 100).sum(1)
    np.testing.assert_allclose(found.sel(frequency=1.0, seed=1).values, by_epoch, rtol=1e-9)


def test_only_steps_of_plain_sgd_are_gradients():
    momentum = bthcheck.run(EPOCHS.replace(momentum=0.9), engine="reference", progress=False)
    with pytest.raises(ValueError, match="Σεφ is read off the steps of plain SGD, got momentum"):
        bias_gradient_sum(momentum)
    windows = bthcheck.run(EPOCHS.replace(windows=2), engine="reference", progress=False)
    with pytest.raises(ValueError, match="needs one window an epoch, got 2"):
        bias_gradient_sum(windows)


@pytest.mark.parametrize(
    ("row", "width", "patience", "epoch"),
    [
        ([1, 3, 2, 2, 9], 1, 2, 2),  # the later peak is not known of when patience ends
        ([1, 3, 2, 2, 9], 1, 3, 5),
        ([1, 3, 3, 2, 1], 1, 2, 2),  # the first of equal ones
        ([1, 2, 3, 4, 5], 1, 1, 5),
        ([5, 4, 3, 2, 1], 3, 2, 1),
        ([0, 6, 0, 4, 4], 2, 3, 5),  # averages 0, 3, 3, 2, 4
    ],
)
def test_the_peak_is_the_first_that_is_not_exceeded_in_time(row, width, patience, epoch):
    assert peak(epochs(row), width, patience).values.tolist() == [epoch]


def test_regret_is_what_the_best_epoch_would_have_spared():
    error = epochs([0.5, 0.2, 0.4], [0.3, 0.3, 0.1])
    assert regret(error, peak(-error, 1, 1)).values.tolist() == pytest.approx([0.0, 0.2])
    assert regret(error, error.epoch.sel(epoch=3)).values.tolist() == pytest.approx([0.2, 0.0])
    assert (best_fixed(error), best_fixed(epochs([2, 1, 1]))) == (2, 2)


def test_regret_takes_the_error_after_every_epoch():
    with pytest.raises(ValueError, match=r"after every epoch, which takes test_every=1; 2 are missing"):
        regret(epochs([np.nan, 0.2, np.nan, 0.1]), epochs([1, 2, 3, 4]).epoch.isel(epoch=0))


def test_what_is_no_number_of_epochs_is_refused():
    for call in (lambda: peak(epochs([1, 2]), 0), lambda: peak(epochs([1, 2]), 1, 0)):
        with pytest.raises(ValueError, match="must be a"):
            call()
