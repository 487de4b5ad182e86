"""Numba kernels of the optimizers beside plain SGD: what they make of the gradient of a batch, all parameters in one vector.

The formulas are those of `bthcheck.training.optimizers`.
"""

from typing import NamedTuple

import numpy as np

from bthcheck.experiments.training import Training
from bthcheck.training.fused.compiling import aligned_zeros, leaf


class Descent(NamedTuple):
    """How the gradient of a batch is gathered and followed: by plain SGD, or by an optimizer and what it remembers.

    plain : whether it is plain SGD; the rest is then of no account
    adam : whether it is one of Adam's, and divides by the size of past gradients
    momentum, beta, beta_squared, eps : as in `Training`
    coupled, decoupled : weight decay, added to the gradient or to the direction
    longest : norm of the gradient to which a longer one is scaled down; ∞ for none
    gathered : (p,) room for minus the sum of the gradients
    means, squares : (p,) running mean of gradients, or their momentum, and of their squares; empty where there is none
    steps : (1,) how many have been made
    """

    plain: bool
    adam: bool
    momentum: float
    beta: float
    beta_squared: float
    eps: float
    coupled: float
    decoupled: float
    longest: float
    gathered: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    steps: np.ndarray


def descent_of(training: Training, theta: np.ndarray) -> Descent | None:
    """Return how all parameters `theta`, (p,), are changed; None for one point a step by plain SGD, which gathers nothing."""
    if training.batch_size == 1 and training.plain:
        return None
    adam = training.optimizer != "sgd"
    apart = training.optimizer == "adamw"
    sizes = [len(theta) if there else 0 for there in (True, adam or training.momentum > 0, adam)]
    gathered, means, squares = (aligned_zeros(size, theta.dtype) for size in sizes)
    return Descent(
        plain=training.plain,
        adam=adam,
        momentum=training.momentum,
        beta=training.betas[0],
        beta_squared=training.betas[1],
        eps=training.eps,
        coupled=0.0 if apart else training.weight_decay,
        decoupled=training.weight_decay if apart else 0.0,
        longest=np.inf if training.clip is None else training.clip,
        gathered=gathered,
        means=means,
        squares=squares,
        steps=np.zeros(1),
    )


@leaf
def descend(d, theta, size, rate, first, count):  # type: ignore[no-untyped-def]
    """Make the optimizer's step along what was gathered of `size` points, and return ‖Δb_1‖/α; b_1 begins at θ[first].

    What pads θ is 0 in all arrays, and stays 0.
    """
    update = d.gathered
    kind = theta.dtype.type
    one, scale = kind(1), kind(-1.0 / size)
    if d.longest < np.inf:
        square = 0.0
        for i in range(len(theta)):
            square += np.float64(update[i]) ** 2
        scale *= kind(min(1.0, d.longest / (np.sqrt(square) / size + 1e-6)))
    d.steps[0] += 1.0
    coupled, decoupled, step = kind(d.coupled), kind(d.decoupled), kind(rate)
    means, squares = d.means, d.squares
    if d.adam:
        beta, beta_squared, eps = kind(d.beta), kind(d.beta_squared), kind(d.eps)
        started = kind(1.0 / (1.0 - d.beta ** d.steps[0]))
        started_squared = kind(1.0 / np.sqrt(1.0 - d.beta_squared ** d.steps[0]))
        for i in range(len(theta)):
            gradient = scale * update[i] + coupled * theta[i]
            means[i] += (one - beta) * (gradient - means[i])
            squares[i] = beta_squared * squares[i] + (one - beta_squared) * gradient * gradient
            size_of = np.sqrt(squares[i]) * started_squared + eps
            update[i] = means[i] * started / size_of + decoupled * theta[i]
    else:
        momentum = kind(d.momentum)
        for i in range(len(theta)):
            update[i] = scale * update[i] + coupled * theta[i]
        for i in range(len(means)):
            means[i] = momentum * means[i] + update[i]
            update[i] = means[i]
    moved = 0.0
    for i in range(first, first + count):
        moved += np.float64(update[i]) ** 2
    for i in range(len(theta)):
        theta[i] -= step * update[i]
    return np.sqrt(moved)
