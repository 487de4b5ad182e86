"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each function computes one quantity as the code does, or both ways. What is known of the code is in
docs/explanation/published-estimators.md; none of it is here.
"""

from bthcheck.theory.published.batches import first_of_batch
from bthcheck.theory.published.programs import exchanged, unchecked
from bthcheck.theory.published.repeats import independent_data, recorded, redrawn_labels
from bthcheck.theory.published.steps import (
    absolute_error,
    averaged_first,
    combined,
    combined_reciprocal,
    distance_from_first_step,
    lagged,
    last_twice,
    next_steps,
    reciprocal,
    running_mean,
    single_steps,
    variance_after,
)

__all__ = [
    "absolute_error", "averaged_first", "combined", "combined_reciprocal", "distance_from_first_step", "exchanged",
    "first_of_batch", "independent_data", "lagged", "last_twice", "next_steps", "reciprocal", "recorded",
    "redrawn_labels", "running_mean", "single_steps", "unchecked", "variance_after",
]  # fmt: skip
