"""The words a user may choose from. Importing this costs nothing: PyTorch is loaded only to look for a GPU."""

import os

PROFILES = ("quick", "laptop", "paper")
FAMILIES = ("paper", "extensions")
"""Of claims: those of the paper, and those that go beyond it."""
ENGINES = ("auto", "fused", "stacked", "reference")
ROOT_VARIABLE = "BTHCHECK_DATA_ROOT"
"""Environment variable that names the folder of the full data sets."""
DEVICES = "'auto', 'cpu', 'cuda' or 'cuda:N'"


def check_device(device: str, here: bool = True) -> None:
    """Raise ``ValueError`` unless `device` is one of `DEVICES` and, if it is to be `here` and not on a worker, there."""
    if device in ("auto", "cpu"):
        return
    kind, colon, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise ValueError(f"device must be {DEVICES}, got {device!r}")
    if not here:
        return
    count = cuda_count()
    if int(number or 0) >= count:
        there = f"{count} CUDA device(s)" if count else "no CUDA device"
        raise ValueError(f"device {device!r} is not available: PyTorch sees {there} here; use 'cpu' or 'auto'")


def cuda_count() -> int:
    """Return how many CUDA devices PyTorch sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def share_of_devices(device: str, worker: int, count: int) -> str:
    """Return the device of one of several workers: "cuda" is dealt out over `count` GPUs, anything else is kept."""
    return f"cuda:{worker % count}" if device == "cuda" and count > 1 else device


def available_threads() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes() -> int:
    """Return into how many workers pytest-xdist split the session that this process is of; 1 outside of one."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
