"""How the Numba kernels are compiled, and memory laid out for them."""

from typing import Any

import numpy as np

# Sums may be reordered and products fused; NaN and infinity keep their meaning, or a run that diverges could not be seen.
COMPILE: dict[str, Any] = {
    "nogil": True,
    "inline": "never",
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
# For functions that neither make nor keep arrays: Numba then does not count references to those they are given, which took a
# third of the time a step.
LEAF = {**COMPILE, "_nrt": False}


def padded(size: int) -> int:
    """Round up to whole cache lines of float32, so that every block starts on one (5 % a step)."""
    return -(-size // 16) * 16


def aligned_zeros(size: int, dtype: Any) -> np.ndarray:
    """``np.zeros`` starting on a cache line."""
    line = 64
    raw = np.zeros(size * np.dtype(dtype).itemsize + line, np.uint8)
    offset = -raw.ctypes.data % line
    return raw[offset : offset + size * np.dtype(dtype).itemsize].view(dtype)
