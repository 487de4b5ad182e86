"""What else a run of an architecture or task of one's own is known by: code, data, first weights, and what it makes of them.

The text of the code alone would not do: it may read a file, or a variable that somebody set.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.layers import evaluating
from bthcheck.protocols import is_own
from bthcheck.training.chance import random_states
from bthcheck.training.own_code import Code, code_of
from bthcheck.training.runs import Run
from bthcheck.training.streams import module_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")

_POINTS = 64


@neutral()
def own_code(run: Run) -> Code:
    """Return the code of what in a run is one's own; an empty digest if nothing is."""
    kinds: list[type] = [type(part) for part in (run.setting.task, run.setting.network) if is_own(part)]
    if is_own(run.setting.network):
        kinds += [type(part) for part in run.module().modules()]
    return code_of(kinds) if kinds else Code("", "")


@neutral()
def fingerprint(run: Run) -> dict[str, Any] | None:
    """Return what belongs into a run's key beside its configuration; None if nothing in it is one's own.

    Where the code is not known, it is something that nobody asks for again.
    """
    task, network = run.setting.task, run.setting.network
    if not is_own(task) and not is_own(network):
        return None
    data = run.data()
    found: dict[str, Any] = {"code": own_code(run).digest or f"unknown: {uuid.uuid4()}", "data": _digest(data)}
    if is_own(network):
        module = run.module()
        found["network"] = [str(module), _digest([*module.state_dict().values()])]
        with random_states(module_seed(run.seed)):
            x = data.x_train[:_POINTS].to(run.dtype)
            found["outputs"] = _digest(_outputs(module, x, run.setting.training.batch_size))
    return found


def _outputs(module: nn.Module, x: Tensor, batch: int) -> list[Tensor]:
    """Return what the module makes of points: in evaluation mode, and of a batch in its own, which may change its buffers."""
    with torch.no_grad():
        with evaluating(module):
            found = [module(x)]
        return [*found, module(x[:batch])]


def _digest(tensors: Any) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous()
        total.update(f"{array.dtype} {tuple(array.shape)}".encode())
        total.update(array.flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
