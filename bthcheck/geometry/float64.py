"""Networks in float64 on the CPU, where what is exact is checked."""

import copy

import torch

from bthcheck.networks import Network


def in_float64(network: Network) -> Network:
    """Return the network in float64 on the CPU, a copy unless it is."""
    first = next(network.parameters())
    return _finite(network) if first.dtype == torch.float64 and first.device.type == "cpu" else float64_copy(network)


def float64_copy(network: Network) -> Network:
    """Return a copy of the network in float64 on the CPU, or raise ``ValueError`` if it has diverged."""
    return copy.deepcopy(_finite(network)).double().cpu()


def _finite(network: Network) -> Network:
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise ValueError("the network's parameters must be finite numbers; did its training diverge?")
    return network
