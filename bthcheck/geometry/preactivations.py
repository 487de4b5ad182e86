"""Slopes behind every layer: the gradient of f with respect to each pre-activation, and what it says of λ.

For layer l with pre-activation z_l = W_l h_{l−1} + b_l, g_l(x) = ∂f/∂z_l is what one step at x adds to b_l, up to −α ∂ℓ/∂f, so
that φ_l = ‖g_l‖ is to the l-th bias what φ is to the first. By the chain rule ∇_x f = W_1ᵀ D_1 W_2ᵀ … D_{l−1} W_lᵀ g_l with D_k
the derivatives of activations, at most 1 for ReLU, and so λ(x) ≤ φ_l Π_{k≤l}‖W_k‖: for l = 1 that is the paper's Lemma 1.
"""

from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.geometry.float64 import ordinary
from bthcheck.geometry.lipschitz import weights_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


@neutral()
def layer_gradients(network: "Network", x: "Tensor") -> "list[Tensor]":
    """Return g_l(x) = ∂f/∂z_l of every affine layer, the first of shape (m, n_1) and the last (m, 1).

    Parameters
    ----------
    network : f of x (m, n), split behind its first layer; a convolution's z_l is flattened
    """
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
    norms = torch.stack([torch.linalg.matrix_norm(weight, ord=2) for weight in weights_of(network)])
    slopes = torch.stack([gradient.norm(dim=1) for gradient in layer_gradients(network, x)], dim=1)
    return slopes * torch.cumprod(norms, 0)


@neutral()
def batch_gradient(network: "Network", x: "Tensor") -> tuple[float, float]:
    """Return ‖∂L/∂b_1‖ of L = mean (f − 1)²/2 for a network with BatchNorm right behind its first layer, and its rounding.

    In training mode BatchNorm subtracts the batch's mean, so that L does not depend on b_1 and the gradient is 0 whatever λ is.
    The rounding is that of the sum over the batch of the terms that cancel: with ŷ the normalised and s the deviations,
    ∂L/∂z_i = (∂L/∂ŷ_i − mean ∂L/∂ŷ − ŷ_i mean(∂L/∂ŷ · ŷ))/s.

    Parameters
    ----------
    network : in float64 and training mode
    x : (m, n), at least 2 points
    """
    z = network.first(x).detach().requires_grad_()
    (gradient,) = torch.autograd.grad((network.logit(z) - 1).square().mean() / 2, z)
    norm = network.rest[0]
    spread = (z.var(0, unbiased=False) + norm.eps).sqrt().detach()
    scaled = ((z - z.mean(0)) / spread).detach().requires_grad_()
    after = network.rest[1:](scaled * norm.weight + norm.bias).squeeze(-1)
    (behind,) = torch.autograd.grad((after - 1).square().mean() / 2, scaled)
    sizes = behind.abs().sum(0) + (1 + scaled.abs().sum(0)) * (behind * scaled).abs().sum(0)
    rounding = 100 * len(x) * torch.finfo(x.dtype).eps * (sizes.detach() / spread).norm()
    return float(gradient.sum(0).norm()), float(rounding)
