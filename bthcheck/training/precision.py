"""float32 that is float32: no TF32, bfloat16 or other shortcut in matrix products and convolutions."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_lock = threading.Lock()
_inside = 0
_before: list[tuple[Any, str, Any]] = []


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 products and convolutions in float32, whatever the program chose; its choice is back afterwards.

    The settings are the process's. Of several threads inside, the first sets them and the last restores them.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _before[:] = [(place, name, getattr(place, name)) for place, name, _ in _settings()]
            for place, name, value in _settings():
                setattr(place, name, value)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for place, name, value in _before:
                    setattr(place, name, value)


def _settings() -> list[tuple[Any, str, Any]]:
    """Return what to set to what: objects, names and values. A program must not mix PyTorch's two generations of names."""
    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):  # from 2.9
        places = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
        return [(place, "fp32_precision", "ieee") for place in places]
    return [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]
