"""Conditions that a claim rests on and does not state, such as that every run has fit its data."""

import dataclasses

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.evidence.findings import CONDITION, Finding, Verdict, table_of


@neutral()
def fitted(loss: xr.DataArray, threshold: float, *, quantity: str, epochs: int = 1) -> Finding:
    """State the condition that every run has a training loss below `threshold` in its last epochs; unmet, it decides nothing.

    Parameters
    ----------
    loss : (level, "seed", "epoch")
    epochs : how many at the end count, of which the largest loss must be below: those of a claim's window
    """
    final = loss.isel(epoch=slice(-epochs, None)).max("epoch", skipna=False)
    when = "after the last epoch" if epochs == 1 else f"in each of the last {epochs} epochs"
    table = table_of(final, *(dim for dim in final.dims if dim != "seed")) if final.ndim == 2 else None
    return dataclasses.replace(_all_below(final, threshold, quantity, when), table=table)


@neutral()
def passed(loss: xr.DataArray, threshold: float, *, quantity: str) -> Finding:
    """State the condition that every run has a training loss below `threshold` in some epoch, wherever it ends.

    What runs are compared at a matched loss rests on, as by `bthcheck.theory.trajectory.after_first_below`.

    Parameters
    ----------
    loss : (level, "seed", "epoch")
    """
    return _all_below(loss.min("epoch", skipna=False), threshold, quantity, "in some epoch")


def _all_below(loss: xr.DataArray, threshold: float, quantity: str, when: str) -> Finding:
    """State that the loss of every run is below the threshold."""
    fit = (loss < threshold).values  # NaN is not
    worst = loss.fillna(np.inf).argmax(...)
    largest = loss.isel(worst)
    where = ", ".join(f"{dim} {largest[dim].item()}" for dim in loss.dims)
    return Finding(
        quantity=quantity,
        test=CONDITION,
        verdict=Verdict.SUPPORTED if fit.all() else Verdict.INCONCLUSIVE,
        reason=(
            f"{int(fit.sum())} of {fit.size} runs have a training loss below {threshold:.3g} {when};"
            f" the largest is {float(largest):.3g} ({where})"
        ),
        statistic=("largest loss", float(largest)),
        cases=int(fit.size),
        expectation=f"below {threshold:.9g} {when}",
    )
