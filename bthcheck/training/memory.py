"""How many runs fit into memory side by side, and what to do when it was fewer than thought."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.choices import cuda_count, processes
from bthcheck.training.runs import Run, RunResult

if TYPE_CHECKING:
    import torch
else:
    torch = faces.Later("torch")

_CPU_BYTES = 2**30
_GPU_SHARE = 0.8  # the rest is for the CUDA context, cuBLAS and fragmentation


def room(device: str) -> int:
    """Return how many bytes a stack may take: 1 GiB on a CPU; on a GPU, this process's share of it.

    The share is 80 % of what is free, and of the whole divided by the processes that pytest-xdist put on this GPU: the first
    of them to look finds everything free.
    """
    if device == "cpu":
        return _CPU_BYTES
    free, total = torch.cuda.mem_get_info(device)
    sharing = -(-processes() // max(1, cuda_count()))
    return int(_GPU_SHARE * min(free, total // sharing))


def halving(train: Callable[[Sequence[Run]], list[RunResult]], runs: Sequence[Run], device: str) -> list[RunResult]:
    """Return ``train(runs)``; where the GPU runs out of memory, of fewer runs at a time, in the same order.

    Raises
    ------
    MemoryError
        If a single run does not fit.
    """
    try:
        return train(runs)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler: the traceback held every tensor of the attempt.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(runs) == 1:
        raise MemoryError(
            f"the GPU {device} has too little free memory for even one run of {runs[0].experiment.name};"
            " free some, choose a smaller network, fewer points or a smaller batch, or use device='cpu'"
        )
    half = -(-len(runs) // 2)
    warnings.warn(f"the GPU ran out of memory with {len(runs)} runs side by side; going on with {half} at a time", stacklevel=3)
    return halving(train, runs[:half], device) + halving(train, runs[half:], device)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised while handling, says that a GPU's memory is full.

    PyTorch's allocator has a type for it; cuBLAS and the CUDA driver say it in words.
    """
    while error is not None:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or "CUDA error: out of memory" in text or "ALLOC_FAILED" in text:
            return True
        error = error.__cause__ or error.__context__
    return False
