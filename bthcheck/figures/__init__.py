"""Every figure, a function each: labelled arrays in, a matplotlib Figure out. None of them touches pyplot's state."""

from bthcheck.figures.regions import condition, maps, stability
from bthcheck.figures.statistics import (
    compared,
    contact_sheet,
    curves,
    growth,
    looseness,
    normal_scores,
    save,
    scatter,
    style,
    violins,
)

__all__ = [
    "compared",
    "condition",
    "contact_sheet",
    "curves",
    "growth",
    "looseness",
    "maps",
    "normal_scores",
    "save",
    "scatter",
    "stability",
    "style",
    "violins",
]
