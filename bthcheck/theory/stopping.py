"""When to stop: rules that look at a training alone, and what they cost against the best epoch in hindsight.

Arrays have a dimension "epoch", numbered from 1, and any others; a rule returns the epoch whose weights it keeps, for each.
"""

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.checks import positive_int
from bthcheck.experiments.training import Training


@neutral()
def bias_gradient_sum(ds: xr.Dataset) -> xr.DataArray:
    """Σ_t ε_t φ_t over the steps of every epoch, the norms of ∂ℓ/∂b_1: Σ‖Δb_1‖ over the epoch's learning rate.

    Of batches of one point and W_1 = I it is the sum of ‖∇_x ℓ‖.

    Parameters
    ----------
    ds : as from `bthcheck.run`, of plain SGD

    Raises
    ------
    ValueError
        If the runs are of another optimizer, whose steps are not along the gradient, or have several windows an epoch.
    """
    training: Training = ds.bthcheck.experiment.training
    if not training.plain:
        raise ValueError(f"Σεφ is read off the steps of plain SGD, got {training.departures()}")
    if training.windows != 1:
        raise ValueError(f"Σεφ an epoch needs one window an epoch, got {training.windows}")
    rates = xr.DataArray(training.learning_rate * training.decay ** np.arange(training.epochs), {"epoch": ds.epoch})
    return (ds.update_sum / rates).assign_attrs(long_name="Σεφ an epoch", units="loss / input")


@neutral()
def peak(values: xr.DataArray, width: int = 1, patience: int = 5) -> xr.DataArray:
    """Return the epoch at which `values`, averaged over the last `width` epochs, are largest as far as one can then know.

    The first epoch whose average no later one exceeds for `patience` epochs: training goes on that much longer, and what was
    kept there is gone back to. Where averages grow to the end it is the last epoch.

    Parameters
    ----------
    values : (…, "epoch"); the first `width` − 1 epochs have averages of fewer

    Raises
    ------
    ValueError
        If `width` or `patience` is no positive whole number.
    """
    width, patience = positive_int("width", width), positive_int("patience", patience)
    smooth = values.rolling(epoch=width, min_periods=1).mean().transpose(..., "epoch")
    table = smooth.values.reshape(-1, values.sizes["epoch"])
    places = [_first_peak(row, patience) for row in table]
    chosen = values.epoch.values[places].reshape(smooth.shape[:-1])
    result = smooth.isel(epoch=0, drop=True).copy(data=chosen)
    return result.assign_attrs(long_name=f"epoch at the peak of {values.attrs.get('long_name', values.name)}", units="epoch")


@neutral()
def regret(error: xr.DataArray, epoch: xr.DataArray) -> xr.DataArray:
    """Return the test error at the epochs that a rule kept, minus the smallest of all epochs: never below 0.

    Parameters
    ----------
    error : (…, "epoch")
    epoch : (…), without any of the dimensions along which it is the same

    Raises
    ------
    ValueError
        If there is none after some epoch, as with ``test_every`` above 1.
    """
    missing = int(error.isnull().sum())
    if missing:
        raise ValueError(f"the test error must be known after every epoch, which takes test_every=1; {missing} are missing")
    kept = error.sel(epoch=epoch).drop_vars("epoch")
    return (kept - error.min("epoch")).assign_attrs(long_name="test error above that of the best epoch", units="1")


@neutral()
def best_fixed(error: xr.DataArray) -> int:
    """Return the one epoch with the smallest mean error over all runs, the first of several."""
    mean = error.mean([dim for dim in error.dims if dim != "epoch"])
    return int(mean.epoch.values[int(np.argmin(mean.values))])


def _first_peak(row: np.ndarray, patience: int) -> int:
    """Return the first place that no later one exceeds within `patience`; NaN is never exceeded and never exceeds."""
    best = 0
    for place in range(1, len(row)):
        if row[place] > row[best]:
            best = place
        elif place - best >= patience:
            break
    return best
