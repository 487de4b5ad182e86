"""Slopes behind every layer: the gradient of f with respect to each pre-activation, and what it says of λ.

For layer l with pre-activation z_l = W_l h_{l−1} + b_l, g_l(x) = ∂f/∂z_l is what one step at x adds to b_l, up to −α ∂ℓ/∂f, so
that φ_l = ‖g_l‖ is to the l-th bias what φ is to the first. By the chain rule ∇_x f = W_1ᵀ D_1 W_2ᵀ … D_{l−1} W_lᵀ g_l with D_k
the derivatives of activations, at most 1 for ReLU, and so λ(x) ≤ φ_l Π_{k≤l}‖W_k‖: for l = 1 that is the paper's Lemma 1.
"""

from typing import TYPE_CHECKING

from bthcheck.ambient import neutral

if TYPE_CHECKING:
    from torch import Tensor

    from bthcheck.networks import Network


@neutral()
def layer_gradients(network: "Network", x: "Tensor") -> "list[Tensor]":
    """Return g_l(x) = ∂f/∂z_l of every affine layer, the first of shape (m, n_1) and the last (m, 1).

    Parameters
    ----------
    network : f of x (m, n), split behind its first layer; a convolution's z_l is flattened
    """
    import torch
    from torch import nn

    from bthcheck.geometry.float64 import ordinary

    network = ordinary(network)
    with torch.enable_grad():
        z = network.first(x.detach()).detach().requires_grad_()
        reached = [z]
        for layer in network.rest:
            z = layer(z)
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                reached.append(z)
        gradients = torch.autograd.grad(network.output(z.squeeze(-1)).sum(), reached)
    return [gradient.detach().flatten(1) for gradient in gradients]


@neutral()
def layer_bounds(network: "Network", x: "Tensor") -> "Tensor":
    """Return φ_l(x) Π_{k≤l}‖W_k‖₂ for every layer of a fully connected ReLU network, (m, d): each is at least λ(x).

    Raises
    ------
    ValueError
        If the network has convolutions.
    """
    import torch

    from bthcheck.geometry.lipschitz import weights_of

    norms = torch.stack([torch.linalg.matrix_norm(weight, ord=2) for weight in weights_of(network)])
    slopes = torch.stack([gradient.norm(dim=1) for gradient in layer_gradients(network, x)], dim=1)
    return slopes * torch.cumprod(norms, 0)
