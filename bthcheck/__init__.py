"""bthcheck: tests of the claims of "What training reveals about neural network complexity" (NeurIPS 2021).

`run` trains an experiment and returns labelled arrays; `trace` returns every step of one run and `visits` every visit of
every training point; `watch` follows any PyTorch training; `claim` marks a pytest function as a test of a claim. They are
imported on first use, so that ``import bthcheck`` costs nothing.
"""

from typing import TYPE_CHECKING, Any

from bthcheck import faces

__version__ = "0.1.0"
__all__ = ["claim", "run", "trace", "visits", "watch"]

if TYPE_CHECKING:
    from bthcheck.harness.claims import claim
    from bthcheck.training.engines import run, trace, visits
    from bthcheck.watching.watch import watch

_HOMES = {
    "claim": "bthcheck.harness.claims", "run": "bthcheck.training.engines", "trace": "bthcheck.training.engines",
    "visits": "bthcheck.training.engines", "watch": "bthcheck.watching.watch",
}  # fmt: skip
_MOVED = {
    "assumption": "bthcheck.theory.assumption",
    "benchmark_gpu": "bthcheck.benchmark.gpu",
    "covering": "bthcheck.geometry.covering",
    "dropout": "bthcheck.theory.dropout",
    "falsify": "bthcheck.evidence.search",
    "lipschitz": "bthcheck.geometry.lipschitz",
    "plotting": "bthcheck.figures",
    "plotting_regions": "bthcheck.figures.regions",
    "published": "bthcheck.theory.published",
    "regions": "bthcheck.geometry.regions",
    "trajectory": "bthcheck.theory.trajectory",
}
"""Modules that claims and README named before the folders were there: name → where it is now."""

faces.install(faces.Renamed({f"{__name__}.{name}": home for name, home in _MOVED.items()}))
_handed_on = faces.handing_on(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    return _handed_on(name)
