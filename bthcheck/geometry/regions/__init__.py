"""Linear regions: activation patterns, the bound of Theorem 2 on regions without a training point, and planes of regions."""

from bthcheck.geometry.regions.bounds import Bounds, Status, pattern_bounds
from bthcheck.geometry.regions.patterns import (
    MAX_NUMBERS,
    activation_patterns,
    hidden_widths,
    kronecker,
    pattern_gradients,
    unpacked,
)
from bthcheck.geometry.regions.plane import MAX_POINTS, PlaneGrid, plane_grid, plane_regions

__all__ = [
    "MAX_NUMBERS", "MAX_POINTS", "Bounds", "PlaneGrid", "Status", "activation_patterns", "hidden_widths", "kronecker",
    "pattern_bounds", "pattern_gradients", "plane_grid", "plane_regions", "unpacked",
]  # fmt: skip
