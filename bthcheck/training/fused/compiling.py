"""How the Numba kernels are compiled, and memory laid out for them."""

from typing import Any

import numpy as np
from numba import njit

from bthcheck.training.fused.machine_code import MachineCode

# Sums may be reordered and products fused; NaN and infinity keep their meaning, or a run that diverges could not be seen.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "inline": "never",
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
_PART: dict[str, Any] = {"_nrt": False, "forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def program(function: Any) -> Any:
    """Compile a function that makes or keeps arrays, and keep its machine code on disk."""
    return _compiled(function, _OPTIONS)


def leaf(function: Any) -> Any:
    """Compile a function that neither makes nor keeps arrays, and keep its machine code on disk.

    Numba then does not count references to those it is given, which took a third of the time a step.
    """
    return _compiled(function, {**_OPTIONS, "_nrt": False})


def inlined_leaf(function: Any) -> Any:
    """Compile as `leaf` does, and into every kernel that calls it: a hundred arguments need not be handed over then."""
    return _compiled(function, {**_OPTIONS, "_nrt": False, "forceinline": True})


def part(function: Any) -> Any:
    """Compile as `inlined_leaf` does a function that kernels alone call: neither Python nor another program finds it."""
    return njit(**_OPTIONS, **_PART)(function)


def _compiled(function: Any, options: dict[str, Any]) -> Any:
    compiled = njit(**options)(function)
    if compiled is not function:  # NUMBA_DISABLE_JIT leaves it as it is
        compiled._cache = MachineCode(function)
    return compiled


def padded(size: int) -> int:
    """Round up to whole cache lines of float32, so that every block starts on one (5 % a step)."""
    return rounded(size, 16)


def rounded(size: int, whole: int) -> int:
    """Round up to a multiple of `whole`."""
    return -(-size // whole) * whole


def aligned_zeros(size: int, dtype: Any) -> np.ndarray:
    """``np.zeros`` starting on a cache line."""
    line = 64
    raw = np.zeros(size * np.dtype(dtype).itemsize + line, np.uint8)
    offset = -raw.ctypes.data % line
    return raw[offset : offset + size * np.dtype(dtype).itemsize].view(dtype)
