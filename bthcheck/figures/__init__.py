"""Every figure, a function each: labelled arrays in, a matplotlib Figure out. None of them touches pyplot's state."""

from bthcheck.figures.bounds import growth, looseness, normal_scores
from bthcheck.figures.images import contact_sheet
from bthcheck.figures.paper import of_training
from bthcheck.figures.regions import condition, maps, stability, surfaces
from bthcheck.figures.statistics import compared, curves, means, scatter, smoothed, strips, violins
from bthcheck.figures.style import save

__all__ = [
    "compared", "condition", "contact_sheet", "curves", "growth", "looseness", "maps", "means", "normal_scores",
    "of_training", "save", "scatter", "smoothed", "stability", "strips", "surfaces", "violins",
]  # fmt: skip
