"""bthcheck: tests of the claims of "What training reveals about neural network complexity" (NeurIPS 2021).

`run` trains an experiment and returns labelled arrays; `trace` returns every step of one run; `claim` marks a pytest function
as a test of a claim. They are imported on first use, so that ``import bthcheck`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["claim", "run", "trace"]

if TYPE_CHECKING:
    from bthcheck.claims import claim
    from bthcheck.training.engines import run, trace

_HOMES = {"claim": "bthcheck.claims", "run": "bthcheck.training.engines", "trace": "bthcheck.training.engines"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bthcheck' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
