"""A network without its output function, as a module that PyTorch's function transforms can call."""

from torch import Tensor, nn

from bthcheck.networks import Network


class Logit(nn.Module):
    """What a network has before its output function, with the same parameters.

    Parameters
    ----------
    network : is held and not copied
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network, self.sigmoid = network, network.sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit at x, (m, n) to (m,)."""
        return self._network.logit(self._network.first(x))
