"""Engine "stacked": many runs of one architecture as one batched PyTorch program, on a CPU or a CUDA device.

What it can do is said here, without PyTorch unless something is one's own; what it does is in
`bthcheck.training.stacked.engine`, imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from bthcheck.protocols import is_own
from bthcheck.training.runs import Run

if TYPE_CHECKING:
    from bthcheck.training.stacked.engine import shape, shard_size, train

__all__ = ["DEVICES", "NAME", "shape", "shard_size", "train", "unsupported"]

NAME = "stacked"
DEVICES = ("cpu", "cuda")


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`, or None if it can."""
    if not is_own(run.setting.network):
        return None
    from bthcheck.training.stacked import engine

    return engine.refused(run)


def __getattr__(name: str) -> Any:
    if name not in ("shape", "shard_size", "train"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bthcheck.training.stacked import engine

    return getattr(engine, name)
