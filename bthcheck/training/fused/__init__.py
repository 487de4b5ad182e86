"""Engine "fused": one Numba program trains one run with all statistics, no Python in the step loop.

What it can do is said here, without Numba and PyTorch; what it does is in `bthcheck.training.fused.engine`, imported when it is
first used.
"""

from typing import TYPE_CHECKING, Any

from bthcheck.networks import CNN, MLP
from bthcheck.training.runs import Run

if TYPE_CHECKING:
    from bthcheck.training.fused.engine import follow, trace, train, visits, watch

__all__ = ["DEVICES", "NAME", "follow", "trace", "train", "unsupported", "visits", "watch"]

NAME = "fused"
DEVICES = ("cpu",)


def unsupported(run: Run, plain: bool = False) -> str | None:
    """Return why this engine cannot train `run`, or not follow its visits, which takes `plain` SGD; None if it can."""
    network = run.setting.network
    if type(network) not in (MLP, CNN):
        name = type(network).__name__
        return f"engine 'fused' trains networks of type MLP or CNN, got {name}; use engine='stacked' or 'reference'"
    if plain and not run.setting.training.plain:
        return f"engine 'fused' follows visits of plain SGD, got {run.setting.training.departures()}; use engine='reference'"
    return None


def __getattr__(name: str) -> Any:
    if name not in ("follow", "trace", "train", "visits", "watch"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bthcheck.training.fused import engine  # here, and not in `faces`: keys are digests of what is imported

    return getattr(engine, name)
