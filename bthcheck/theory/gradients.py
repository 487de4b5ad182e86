"""How long the gradient of each training point's loss is, over all parameters that are trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


@neutral()
def sample_gradient_norms(network: Network, x: Tensor, y: Tensor) -> np.ndarray:
    """‖∇_θ ℓ(f(x_i), y_i)‖ of every point, (m,): GraNd of one network.

    Paul et al., *Deep Learning on a Data Diet*, NeurIPS 2021, who take the mean over ten initialisations. Of what a layer is
    given, h, and what comes back to it, δ, the gradient of its weight is δhᵀ, whose norm is ‖δ‖‖h‖; of a convolution δ and h
    are matrices, over places. A frozen W_1 = I has no gradient, its bias has. Computed in the network's own type.

    Parameters
    ----------
    network : as it stands; it stays as it is
    x, y : (m, n) points and (m,) targets: labels 0 and 1 with a sigmoid output, whose loss is the cross-entropy, else any, with
        the loss (f − y)²/2

    Raises
    ------
    TypeError
        If the network has a layer with parameters that is neither affine nor a convolution.
    """
    from bthcheck.training.stacked.losses import loss

    layers = [network.first, *(layer for layer in network.rest if any(True for _ in layer.parameters()))]
    other = next((layer for layer in layers[1:] if not isinstance(layer, (nn.Linear, nn.Conv2d))), None)
    if other is not None:
        raise TypeError(f"gradients of samples are known of affine layers and convolutions, got {type(other).__name__}")
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        del layer
        out.retain_grad()
        seen.append((args[0].detach(), out))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.enable_grad():
            kind = network.first.bias.dtype
            s = network.logit(network.first(x.to(kind)))
            slope = loss(network.sigmoid, 1.0, s.detach(), y.to(kind))[1]
            s.backward(slope, inputs=[out for _, out in seen])
    finally:
        for handle in handles:
            handle.remove()
    squares = torch.zeros(len(x), dtype=torch.float64)
    for layer, (h, out) in zip(layers, seen, strict=True):
        squares += _square(layer, h, out.grad).double().cpu()
    return squares.sqrt().numpy()


def _square(layer: nn.Module, h: Tensor, delta: Tensor | None) -> Tensor:
    """Return the square of the norm of the gradient of a layer's parameters, (m,); `h` goes in, `delta` comes back."""
    assert delta is not None
    if isinstance(layer, nn.Conv2d):
        patches = nn.functional.unfold(h, layer.kernel_size)  # as all convolutions here: no padding, every place
        places = delta.flatten(2)
        weight = torch.bmm(places, patches.transpose(1, 2)).square().sum((1, 2))
        return weight + places.sum(2).square().sum(1)
    square = delta.square().sum(1)
    return square * (1 + h.square().sum(1)) if isinstance(layer, nn.Linear) else square
