"""Which calls of a module are of the network, where a wrapper's forward pass runs something else in its place.

Where Lightning trains with DistributedDataParallel, the wrapper's forward pass calls the LightningModule, and that call runs
``training_step``: what it returns is a loss. Calls within it are those of the network.
"""

from typing import Any

import torch
from torch import Tensor, nn

from bthcheck.watching.layers import Pick, picked


class InnerCalls:
    """Picks f, as `output` says, of every call but the one that the wrapper makes; of that a tensor without a gradient.

    Its hooks have to be registered before those of the recorder.

    Parameters
    ----------
    wrapper : whose forward pass calls `module`
    output : as of `bthcheck.watch`
    """

    def __init__(self, wrapper: nn.Module, module: nn.Module, output: Pick | None) -> None:
        self._output = output
        self._within = False
        self._depth = 0
        self._handles = [
            wrapper.register_forward_pre_hook(self._enter),
            wrapper.register_forward_hook(self._leave, always_call=True),
            module.register_forward_pre_hook(self._call),
            module.register_forward_hook(self._return, always_call=True),
        ]

    def __call__(self, output: Any) -> Tensor:
        """Return f."""
        return torch.zeros(()) if self._within and not self._depth else picked(output, self._output)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, *args: Any) -> None:
        del args
        self._within, self._depth = True, 0

    def _leave(self, *args: Any) -> None:
        del args
        self._within = False

    def _call(self, *args: Any) -> None:
        del args
        self._depth += 1

    def _return(self, *args: Any) -> None:
        del args
        self._depth -= 1
