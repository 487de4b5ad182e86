"""Networks in float64 on the CPU, where what is exact is checked."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.ambient import neutral

if TYPE_CHECKING:
    import torch

    from bthcheck.networks import Network
else:
    torch = faces.Later("torch")


@neutral()
def in_float64(network: Network) -> Network:
    """Return the network in float64 on the CPU, a copy unless it is."""
    first = next(network.parameters())
    return finite(network) if first.dtype == torch.float64 and first.device.type == "cpu" else float64_copy(network)


@neutral()
def float64_copy(network: Network) -> Network:
    """Return a copy of the network in float64 on the CPU, or raise ``ValueError`` if it has diverged."""
    return copy.deepcopy(finite(network)).double().cpu()


@neutral()
def ordinary(network: Network) -> Network:
    """Return the network, or a copy if it was made in inference mode, through which PyTorch does not differentiate."""
    return copy.deepcopy(network) if any(parameter.is_inference() for parameter in network.parameters()) else network


@neutral()
def finite(network: Network) -> Network:
    """Return `ordinary` of the network, or raise ``ValueError`` if it has diverged."""
    network = ordinary(network)
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise ValueError("the network's parameters must be finite numbers; did its training diverge?")
    return network
