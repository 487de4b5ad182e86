"""Every figure, a function each: labelled arrays in, a matplotlib Figure out. None of them touches pyplot's state."""

from bthcheck.figures.bounds import growth, looseness, normal_scores
from bthcheck.figures.images import contact_sheet
from bthcheck.figures.regions import condition, maps, stability
from bthcheck.figures.statistics import compared, curves, scatter, violins
from bthcheck.figures.style import save

__all__ = [
    "compared", "condition", "contact_sheet", "curves", "growth", "looseness", "maps", "normal_scores", "save", "scatter",
    "stability", "violins",
]  # fmt: skip
