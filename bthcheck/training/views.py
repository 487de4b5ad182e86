"""How a network is looked at while it trains: its first bias, its logit, φ's gradient and λ.

`Split` is for the networks of this package, `Whole` for any other module, whose first layer is reached by a hook. Dimensions: m
points, n inputs, n_1 numbers of the first bias, P places that share a bias of it, as in a convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bthcheck import faces, networks
from bthcheck.ambient import neutral
from bthcheck.geometry.jacobians import local_constants
from bthcheck.geometry.lipschitz import first_weight, local_lipschitz, rounding_tolerance
from bthcheck.layers import bias_of, evaluating, find_first, summed_dimensions
from bthcheck.networks import MLP
from bthcheck.training.runs import Run

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


class Split:
    """A network that is split behind its first layer."""

    def __init__(self, network: Network, connected: bool = False) -> None:
        self.module, self.sigmoid, self._connected = network, network.sigmoid, connected
        self.identity = isinstance(network.first, networks.IdentityWithBias)

    @property
    def bias(self) -> Tensor:
        """b_1, (n_1,), the parameter itself."""
        return self.module.first.bias

    @neutral()
    def forward(self, x: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z (m, n_1) and the logit (m,); with `kept`, of 0 and 1, derivatives are those with Dropout."""
        network = self.module
        z = network.first(x)
        return z, network.logit(z) if kept is None else network.thinned_logit(z, kept)

    @neutral()
    def pull(self, z: Tensor, logit: Tensor, weight: Tensor) -> Tensor:
        """Return Σ weight_i ∂f_i/∂z_i, summed as the bias sums it, (n_1,)."""
        (g,) = torch.autograd.grad(self.module.output(logit).sum(), z, retain_graph=True)
        return (weight[:, None] * g).sum(0)

    @neutral()
    def evaluate(self, x: Tensor) -> Tensor:
        """Return the logit (m,) in evaluation mode."""
        with torch.no_grad():
            return self.module.logit(self.module.first(x))

    @neutral()
    def local_lipschitz(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return λ in evaluation mode, (m,); with `kept`, of what Dropout keeps."""
        return local_lipschitz(self.module, x, kept)

    @neutral()
    def gradient_norms(self, x: Tensor) -> Tensor:
        """Return ‖g(x)‖, g = ∂f/∂z, (m,)."""
        z = self.module.first(x).detach().requires_grad_()
        (g,) = torch.autograd.grad(self.module.output(self.module.logit(z)).sum(), z)
        return g.norm(dim=1)

    @neutral()
    def first_weight(self) -> Tensor | None:
        """Return W_1, (n_1, n); None where it is a frozen identity."""
        return None if self.identity else first_weight(self.module).clone()

    @neutral()
    def rounding(self, x: Tensor) -> Tensor | None:
        """Return what rounding can add to a comparison of λ with a multiple of φ, (m,); None if that is not known."""
        return rounding_tolerance(self.module, x) if self._connected else None


class Whole:
    """A module that need not be split, whose first layer runs once a forward pass.

    Parameters
    ----------
    module : maps points (m, n) to logits (m,) or (m, 1)
    sigmoid : whether f is their logistic function
    layer : the first layer, see `bthcheck.layers.find_first`
    """

    def __init__(self, module: nn.Module, sigmoid: bool, layer: nn.Module) -> None:
        self.module, self.sigmoid, self._layer = module, sigmoid, layer
        self.identity = False
        self._z: Tensor | None = None
        layer.register_forward_hook(self._keep)

    def _keep(self, layer: nn.Module, args: Any, z: Tensor) -> Tensor:
        del layer, args
        self._z = z
        return z.clone()  # which an in-place ReLU behind the layer may overwrite

    @property
    def bias(self) -> Tensor:
        """b_1 in its own shape, the parameter itself."""
        bias = bias_of(self._layer)
        assert bias is not None
        return bias

    @neutral()
    def forward(self, x: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return z, of any shape, and the logit (m,), in the mode that the module is in."""
        if kept is not None:
            raise ValueError(f"dropout= is for MLP, got {type(self.module).__name__}, which may have layers of its own for it")
        logit = self.module(x).reshape(len(x))
        assert self._z is not None
        return self._z, logit

    @neutral()
    def pull(self, z: Tensor, logit: Tensor, weight: Tensor) -> Tensor:
        """Return ∂(Σ weight_i f_i)/∂z, summed over points and places as the bias sums it, in the bias's shape.

        Where f_i depends on other points too, as with BatchNorm, this is still ΣH/Σ|G|.
        """
        (g,) = torch.autograd.grad((weight * networks.squashed(logit, self.sigmoid)).sum(), z, retain_graph=True)
        return g.sum(summed_dimensions(self._layer, g))

    @neutral()
    def evaluate(self, x: Tensor) -> Tensor:
        """Return the logit (m,) in evaluation mode."""
        with evaluating(self.module), torch.no_grad():
            return self.forward(x, None)[1]

    @neutral()
    def local_lipschitz(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return λ = ‖∇_x f‖ in evaluation mode, (m,)."""
        with evaluating(self.module):
            return local_constants(lambda part: networks.squashed(self.forward(part, kept)[1], self.sigmoid), x)

    @neutral()
    def gradient_norms(self, x: Tensor) -> Tensor:
        """Return ‖g(x)‖, g = ∂f/∂z over all places, in evaluation mode, (m,)."""
        with evaluating(self.module):
            z, logit = self.forward(x, None)
            (g,) = torch.autograd.grad(networks.squashed(logit, self.sigmoid).sum(), z)
        return g.flatten(1).norm(dim=1)

    @neutral()
    def first_weight(self) -> Tensor | None:
        """Return W_1, (n_1, n), of a layer of type ``nn.Linear``; None of any other."""
        return self._layer.weight.detach().clone() if isinstance(self._layer, nn.Linear) else None

    def rounding(self, x: Tensor) -> None:
        """Return None: it is not known."""
        del x


View = Split | Whole


@neutral()
def view_of(run: Run, device: str) -> View:
    """Build the network of a run on a device and return how to look at it."""
    module = run.module().to(device)
    if isinstance(module, networks.Network):
        return Split(module, type(run.setting.network) is MLP)
    point = run.data().x_train[:1].to(device, run.dtype)
    layer = find_first(module, point, getattr(run.setting.network, "first", None))
    return Whole(module, run.setting.network.output == "sigmoid", layer)
