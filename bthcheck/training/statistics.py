"""Bias-trajectory statistics: what an engine measures in every epoch of a run.

Notation (Loukas, Poiitis, Jegelka, NeurIPS 2021): b_1 is the bias of the first layer, α the learning rate, ε = |∂ℓ/∂f| the
slope of the loss that is optimised, `Training.loss_factor` and all, g = ∂f/∂(W_1 x + b_1), and φ_t = ‖∂L/∂b_1‖ / ε_t of the
step's mean loss L and mean ε, which is ‖g_t(x_t)‖ at batch size 1. Everything about step t is evaluated before its update.

No optimizer touches φ. With plain SGD it is ‖b_1^{t+1} − b_1^t‖ / (α_t ε_t), the paper's definition; clipping, momentum, weight
decay and Adam come between the gradient and the step, so that then only `trajectory_length` and `trajectory_max` are about φ,
and `bias_variance`, `distance_to_init`, `update_sum` and `published_length` about the path that the bias really takes.
"""

import numpy as np

# name → (long_name, units)
STATISTICS = {
    "trajectory_length": ("sum of φ over the epoch's steps", "output / input"),
    "trajectory_max": ("largest φ of the epoch's steps", "output / input"),
    "bias_variance": ("mean over the epoch's steps of ‖b_1 − its mean‖², divided by α²", "(loss / input)²"),
    "distance_to_init": ("‖b_1 − its initial value‖ after the epoch", "input"),
    "update_sum": ("sum of ‖Δb_1‖ over the epoch's steps, each α ε φ with plain SGD", "input"),
    "train_loss": ("mean loss of the epoch's steps, each before its update", "loss"),
    "test_loss": ("mean loss over the test points after the epoch", "loss"),
    "train_error": ("share of the epoch's steps that misclassify, each before its update", "1"),
    "test_error": ("share of the test points misclassified after the epoch", "1"),
    "lipschitz_mean": ("mean local Lipschitz constant over the training points after the epoch", "output / input"),
    "lipschitz_max": ("largest local Lipschitz constant over the training points after the epoch", "output / input"),
    "published_length": (
        "sum of ‖Δb_1‖/(α |1 − y − f|) over the epoch's steps: φ as the authors' code normalises it",
        "loss² / (output input)",
    ),
}
"""Every statistic of a run, one number an epoch. Errors are NaN in regression, Lipschitz constants where not evaluated."""

VISIT = {
    "phi": ("φ of the step at the point", "output / input"),
    "epsilon": ("ε = |∂ℓ/∂f| of the loss that is optimised", "loss / output"),
    "loss": ("ℓ at the point", "loss"),
    "logit": ("last affine map s, of which f is a function", "1"),
}
"""What is kept of every visit of a point, each before its step: name → (long_name, units)."""

FINITE = ("trajectory_length", "bias_variance", "distance_to_init", "train_loss")
"""What is finite in every epoch of a run that did not diverge."""


def blank_statistics(epochs: int) -> dict[str, np.ndarray]:
    """Return every statistic filled with NaN, for an engine to write into."""
    return {name: np.full(epochs, np.nan) for name in STATISTICS}


def mark_divergence(statistics: dict[str, np.ndarray], tested: list[bool]) -> bool:
    """Set every statistic to infinity from the first epoch at which the trajectory or a loss is not finite.

    `tested` says where there is a test loss. Returns whether there was such an epoch.
    """
    finite = np.all([np.isfinite(statistics[name]) for name in FINITE], axis=0)
    finite &= np.isfinite(statistics["test_loss"]) | ~np.array(tested)
    if finite.all():
        return False
    first = int(np.argmin(finite))
    for values in statistics.values():
        values[first:] = np.inf
    return True
