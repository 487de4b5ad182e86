"""The random states that modules of one's own draw from: PyTorch's, NumPy's and Python's, which are the whole process's."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces

if TYPE_CHECKING:
    import torch
else:
    torch = faces.Later("torch")

_lock = threading.RLock()


@contextlib.contextmanager
def random_states(seed: int) -> Iterator[None]:
    """Within the block they begin from a seed, afterwards they are as they were; one thread at a time."""
    with _lock:
        devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() and torch.cuda.is_initialized() else []
        numbers, own = np.random.get_state(), random.getstate()  # noqa: NPY002
        with torch.random.fork_rng(devices):
            try:
                torch.manual_seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                random.seed(seed)
                yield
            finally:
                np.random.set_state(numbers)  # noqa: NPY002
                random.setstate(own)
