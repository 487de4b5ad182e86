"""Exact inequalities about one network at some points, as comparisons of two sides: what claims state and attacks try to break.

λ is the norm of the gradient at the input and ‖g‖ that at the first pre-activation, by separate passes of autograd, in float64.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.evidence.search import Comparison, Example

if TYPE_CHECKING:
    from torch import Tensor


@neutral()
def above_sigma_1(example: Example) -> Comparison:
    """Lemma 1: λ ≤ σ₁‖g‖, one entry a point."""
    value, gradient, sigma, tolerance = _measured(example)
    return Comparison(value, sigma[0] * gradient, tolerance)


@neutral()
def below_sigma_min(example: Example) -> Comparison:
    """Lemma 1's lower bound: σ_min‖g‖ ≤ λ, which needs n_1 ≤ n."""
    value, gradient, sigma, tolerance = _measured(example)
    return Comparison(sigma[-1] * gradient, value, tolerance)


@neutral()
def below_active_sigma_min(example: Example) -> Comparison:
    """The repaired lower bound: σ_min of the active rows of W_1, times ‖g‖, is at most λ."""
    from bthcheck.geometry import lipschitz

    value, gradient, _, tolerance = _measured(example)
    return Comparison(lipschitz.active_sigma_min(*example).numpy() * gradient, value, tolerance)


@neutral()
def above_product(example: Example) -> Comparison:
    """λ ≤ Π‖W_l‖, times ¼ with a sigmoid output."""
    from bthcheck.geometry import lipschitz

    value = lipschitz.local_lipschitz(*example).numpy()
    bound, tolerance = lipschitz.product_bound(example.network), lipschitz.product_tolerance(example.network)
    return Comparison(value, np.full_like(value, bound), np.full_like(value, tolerance))


@neutral()
def above_sigma_1_thinned(example: Example, kept: "Tensor") -> Comparison:
    """Lemma 1 under Dropout: λ and g of the network without the hidden neurons that are dropped.

    Parameters
    ----------
    kept : (m, Σ n_l) of 0 and 1
    """
    import torch

    from bthcheck.geometry import lipschitz

    network, x = example
    z = network.first(x).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.output(network.thinned_logit(z, kept)).sum(), z)
    sigma = np.linalg.svd(lipschitz.first_weight(network).numpy(), compute_uv=False)
    value = lipschitz.local_lipschitz(network, x, kept).numpy()
    # What is dropped takes terms from the sums that the tolerance is made of.
    return Comparison(value, sigma[0] * gradient.norm(dim=1).numpy(), lipschitz.rounding_tolerance(network, x).numpy())


@neutral()
def above_combination(example: Example, x_train: "Tensor") -> Comparison:
    """Theorem 2 at fixed weights: λ ≤ ξ Σ|k_i| λ(x_i), at points that have a bound and whose pattern no training point has.

    Parameters
    ----------
    x_train : (m, n) training points
    """
    from bthcheck.geometry import lipschitz, regions
    from bthcheck.geometry.regions import Status

    network, x = example
    bounds = regions.pattern_bounds(network, x_train, regions.activation_patterns(network, x))
    known = bounds.status == Status.BOUNDED
    return Comparison(lipschitz.local_lipschitz(network, x).numpy()[known], bounds.bound[known], bounds.tolerance[known])


@neutral()
def above_sigma_1_of_any(example: Example) -> Comparison:
    """Lemma 1 for any activation and normalisation: λ ≤ σ₁‖g‖.

    Both sides are made of the same g, so that what rounds are a product with W_1, its singular value and two norms. Where an
    activation is saturated, squares of g can underflow, and with them a norm that is not 0.
    """
    from bthcheck.geometry import lipschitz

    network, x = example
    weight = lipschitz.first_weight(network)
    gradient = lipschitz.first_layer_gradients(network, x).numpy()
    sigma = np.linalg.svd(weight.numpy(), compute_uv=False)[0]
    underflow = 2 * np.sqrt(gradient.shape[1] * np.finfo(float).tiny)
    size = np.linalg.norm(gradient, axis=1)
    rounding = np.linalg.norm(weight.numpy()) * (2 * lipschitz.gamma([weight]) * size + underflow)
    return Comparison(lipschitz.local_lipschitz(network, x).numpy(), sigma * size, rounding)


@neutral()
def bias_gradient_of_batch(example: Example) -> Comparison:
    """‖∂L/∂b₁‖ ≤ 0 of a batch's mean squared loss, with BatchNorm right behind the first layer, for targets of 1."""
    from bthcheck.geometry.preactivations import batch_gradient

    total, rounding = batch_gradient(*example)
    return Comparison(*(np.array([value]) for value in (total, 0.0, rounding)))


@neutral()
def above_sigma_1_of_batch(example: Example) -> Comparison:
    """λ ≤ σ₁φ with BatchNorm behind the first layer: λ of the network as it is evaluated, φ of the step its batch would make.

    It is false. The network is left with running statistics of that batch.
    """
    from bthcheck.geometry import lipschitz
    from bthcheck.geometry.preactivations import batch_gradient

    network, x = example
    total, _ = batch_gradient(network, x)
    network.train()(x)  # gives BatchNorm its running statistics
    slopes = float((network.logit(network.first(x)) - 1).detach().abs().mean())
    network.eval()
    value = float(lipschitz.local_lipschitz(network, x).max())
    network.train()
    sigma = np.linalg.svd(lipschitz.first_weight(network).numpy(), compute_uv=False)[0]
    bound = sigma * total / slopes if slopes > 0 else 0.0  # φ is the norm of the mean gradient over the mean |∂ℓ/∂f|
    return Comparison(*(np.array([float(one)]) for one in (value, bound, 1e-6)))


@neutral()
def below_every_layer(example: Example) -> Comparison:
    """λ ≤ φ_l Π_{k≤l}‖W_k‖ for the bias of every layer, (m, d); both sides are chains of the same matrices."""
    from bthcheck.geometry import lipschitz
    from bthcheck.geometry.preactivations import layer_bounds

    bounds = layer_bounds(*example).numpy()
    value = np.broadcast_to(lipschitz.local_lipschitz(*example).numpy()[:, None], bounds.shape)
    return Comparison(value, bounds, np.full_like(bounds, lipschitz.product_tolerance(example.network)))


@neutral()
def largest_gradient(sigma: np.ndarray, slopes: np.ndarray, largest: float) -> Comparison:
    """Corollary 1: λ_t(x) ≤ σ₁ φ at all points and steps.

    Parameters
    ----------
    sigma : (T,) σ₁ of W_1 before every step
    slopes : (T, m) λ_t(x)
    largest : φ, the largest ‖g_t(x)‖ over points and steps
    """
    bound = np.asarray(sigma)[:, None] * largest
    # Both sides are made of the same g: what rounds are a product with W_1, its singular value and two norms.
    return Comparison(slopes, np.broadcast_to(bound, np.shape(slopes)), 300 * np.finfo(float).eps * bound)


def _measured(example: Example) -> tuple[Any, Any, Any, Any]:
    """Return λ(x), ‖g(x)‖, the singular values of W_1 and the rounding tolerance of an example."""
    from bthcheck.geometry import lipschitz

    network, x = example
    gradient = lipschitz.first_layer_gradients(network, x).norm(dim=1).numpy()
    sigma = np.linalg.svd(lipschitz.first_weight(network).numpy(), compute_uv=False)
    tolerance = lipschitz.rounding_tolerance(network, x).numpy()
    return lipschitz.local_lipschitz(network, x).numpy(), gradient, sigma, tolerance
