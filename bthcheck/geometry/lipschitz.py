"""Local Lipschitz constants and their bounds, by autograd on any network split into `first` and `rest`.

All functions take a network f = rest ∘ first and inputs x of shape (m, n), and return one value a point, shape (m,), unless
they say otherwise. They work in the network's own floating-point type; for checks of exact inequalities use float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import ordinary

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


@neutral()
def local_lipschitz(network: Network, x: Tensor, kept: Tensor | None = None) -> Tensor:
    """λ(x) = ‖∇_x f(x)‖₂, the Lipschitz constant of f within the linear region of x (section 3 of the paper).

    With `kept`, (m, Σ n_l) of 0 and 1, that of the network without the hidden neurons that Dropout does not keep.
    """
    network, x = ordinary(network), _differentiable(x)
    z = network.first(x)
    logit = network.logit(z) if kept is None else network.thinned_logit(z, kept)
    (gradient,) = torch.autograd.grad(network.output(logit).sum(), x)
    return gradient.flatten(1).norm(dim=1)


@neutral()
def first_layer_gradients(network: Network, x: Tensor) -> Tensor:
    """g(x) = ∂f/∂(W_1 x + b_1), shape (m, n_1): what one step at x adds to b_1, up to −α ∂ℓ/∂f (Lemma 1)."""
    network = ordinary(network)
    z = _differentiable(network.first(_differentiable(x)))
    (gradient,) = torch.autograd.grad(network.output(network.logit(z)).sum(), z)
    return gradient.flatten(1)


@neutral()
def first_weight(network: Network) -> Tensor:
    """W_1, shape (n_1, n); the identity is written out."""
    weight, bias = network.layers()[0]
    return torch.eye(len(bias), dtype=bias.dtype, device=bias.device) if weight is None else weight


@neutral()
def active_sigma_min(network: Network, x: Tensor) -> Tensor:
    """Smallest singular value of the rows of W_1 whose neurons are active at x; 0 if none or more than n are.

    λ(x) ≥ this · ‖g(x)‖ holds for W_1 of any shape, because g(x) vanishes on inactive rows, whereas σ_min(W_1) bounds λ from
    below only if n_1 ≤ n.
    """
    weight = first_weight(network).detach().cpu().numpy()
    with torch.no_grad():
        active = (network.first(x) > 0).cpu().numpy()
    sigma = [np.linalg.svd(weight[rows], compute_uv=False)[-1] if 0 < rows.sum() <= weight.shape[1] else 0.0 for rows in active]
    return torch.tensor(np.array(sigma)).to(x)


@neutral()
def product_bound(network: Network) -> float:
    """Π‖W_l‖₂, times 1/4 with a sigmoid output: the bound on λ(x) that ignores x."""
    bound = math.prod(float(torch.linalg.matrix_norm(weight, ord=2)) for weight in weights_of(network))
    return bound / 4 if network.sigmoid else bound


@neutral()
def rounding_tolerance(network: Network, x: Tensor) -> Tensor:
    """Largest error floating point can make in comparing λ(x) with σ·‖g(x)‖.

    Standard running-error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3): a chain of matrix
    products over k additions errs by at most γ_k = k u / (1 − k u) times the same chain of absolute values, here the
    backward pass on |W_l| behind the neurons that are active at x. A singular value errs by the same γ_k times ‖W_1‖_F.
    """
    weights = weights_of(network)
    masks = []
    with torch.no_grad():
        z = network.first(x)
        for layer in network.rest:
            z = layer(z)
            if isinstance(layer, nn.ReLU):
                masks.append(z > 0)
    chain = weights[-1].abs().expand(len(x), -1)
    for weight, mask in zip(reversed(weights[:-1]), reversed(masks), strict=True):
        first = chain * mask
        chain = first @ weight.abs()
    return gamma(weights) * (chain.norm(dim=1) + torch.linalg.matrix_norm(weights[0]) * first.norm(dim=1))


@neutral()
def product_tolerance(network: Network) -> float:
    """Largest error of `product_bound` and of a λ below it: γ_k times the product of Frobenius norms, which exceeds both."""
    weights = weights_of(network)
    return 2 * gamma(weights) * math.prod(float(torch.linalg.matrix_norm(weight)) for weight in weights)


def _differentiable(x: Tensor) -> Tensor:
    """Return the values of x as a leaf of its own; what was made in inference mode cannot be one."""
    x = x.detach()
    return (x.clone() if x.is_inference() else x).requires_grad_()


@neutral()
def weights_of(network: Network) -> list[Tensor]:
    """Return W_1, …, W_d of a fully connected network, the identity written out.

    Raises
    ------
    ValueError
        If the network has convolutions.
    """
    if any(bias.ndim != 1 or (weight is not None and weight.ndim != 2) for weight, bias in network.layers()):
        raise ValueError("norms of layers are computed for fully connected networks, not for convolutions")
    return [first_weight(network)] + [weight for weight, _ in network.layers()[1:] if weight is not None]


@neutral()
def gamma(weights: list[Tensor]) -> float:
    """γ_k for a pass through these layers: additions a neuron, summed over layers, and a few for norms and biases."""
    unit = torch.finfo(weights[0].dtype).eps / 2
    additions = sum(sum(weight.shape) + 2 for weight in weights) + 10
    return additions * unit / (1 - additions * unit)
