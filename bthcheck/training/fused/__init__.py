"""Engine "fused": one Numba program trains one run with all statistics, no Python in the step loop."""

from bthcheck.training.fused.engine import DEVICES, NAME, follow, trace, train, unsupported, watch

__all__ = ["DEVICES", "NAME", "follow", "trace", "train", "unsupported", "watch"]
