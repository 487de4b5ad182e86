"""Which sample did what: a record of every visit of every sample of a watched training, where its loop says which they are."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from bthcheck.watching.observed import Pass, Step
from bthcheck.watching.records import array, since_zero

LIMIT = 5_000_000
"""Visits that are kept, of 36 bytes each; what comes after is left out, which is said."""
QUANTITIES = {
    "phi": ("φ = ‖∂L/∂z_i‖ / |∂L/∂f_i| of the sample, which is ‖g‖; NaN where the loss is flat in f", "output / input"),
    "epsilon": ("ε = m |∂L/∂f_i|, of a loss L that is the mean over the pass's m samples", "loss / output"),
}
"""Every quantity of a visit: name → (long_name, units)."""


class Samples:
    """The visits so far, in the order in which they were made.

    Parameters
    ----------
    limit : how many are kept
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._parts: list[dict[str, np.ndarray]] = []
        self._count = 0
        self._said: set[str] = set()

    def add(self, steps: Sequence[Step]) -> None:
        """Take up the visits of more steps, those left out that a scaler skipped or whose gradients were set to zero."""
        made = [step for step in steps if step.found is None or float(step.found) == 0]
        owned = [(step, one) for step in made for one in step.passes if one.sums is not None]
        if not any(one.index is not None for _, one in owned):
            return
        owner = np.array([step.number for step, _ in owned])
        sums = array(torch.stack([one.sums for _, one in owned if one.sums is not None])).reshape(len(owned), -1)
        valid = since_zero(owner, [one.fresh for _, one in owned], sums)
        for (step, one), counts in zip(owned, valid, strict=True):
            if counts and one.index is not None and self._can_be_read(one):
                self._add(step, one)

    def dataset(self) -> xr.Dataset:
        """Return all visits over "visit": `phi` and `epsilon`, with coordinates `index`, `step` and `epoch`."""
        columns = {name: np.concatenate([part[name] for part in self._parts] or [empty]) for name, empty in _EMPTY.items()}
        coords = {name: ("visit", columns[name]) for name in ("index", "step", "epoch")}
        data = {
            name: ("visit", columns[name], {"long_name": long_name, "units": units})
            for name, (long_name, units) in QUANTITIES.items()
        }
        return xr.Dataset(data, coords)

    def _add(self, step: Step, one: Pass) -> None:
        assert one.index is not None
        assert one.norms is not None
        room = self.limit - self._count
        if room < len(one.index):
            self._say(f"more than {self.limit} visits of samples are recorded; later ones are left out")
        slopes, norms = array(one.slopes)[:room], array(one.norms)[:room]
        with np.errstate(divide="ignore", invalid="ignore"):
            phi = np.where(slopes > 0, norms / slopes, np.nan)
        count = len(slopes)
        self._parts.append({
            "index": one.index[:room], "step": np.full(count, step.number), "epoch": np.full(count, step.epoch),
            "phi": phi.astype(np.float32), "epsilon": (len(one.index) * slopes).astype(np.float32),
        })  # fmt: skip
        self._count += count

    def _can_be_read(self, one: Pass) -> bool:
        assert one.index is not None
        if one.norms is None:
            self._say("the visits of single samples are not seen, as the layer's output has other samples than f")
        elif len(one.index) != len(one.slopes):
            self._say(f"index has {len(one.index)} entries in a pass of {len(one.slopes)} samples, which is left out")
        else:
            return True
        return False

    def _say(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            warnings.warn(f"bthcheck.watch: {what}", stacklevel=2)


_EMPTY: dict[str, np.ndarray] = {
    "index": np.zeros(0, np.int64), "step": np.zeros(0, np.int64), "epoch": np.zeros(0),
    "phi": np.zeros(0, np.float32), "epsilon": np.zeros(0, np.float32),
}  # fmt: skip
