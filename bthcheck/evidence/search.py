"""Searches for counterexamples to an inequality: Hypothesis generates, steers towards a violation, and shrinks what it finds.

A search that finds nothing is not a proof; it is what an inequality has to withstand.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.geometry.lipschitz import first_layer_gradients
from bthcheck.networks import MLP
from bthcheck.training.runs import load_parameters

if TYPE_CHECKING:
    import hypothesis
    import torch
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as st_numpy

    from bthcheck.networks import Network
else:
    hypothesis, torch = faces.Later("hypothesis"), faces.Later("torch")
    st, st_numpy = faces.Later("hypothesis.strategies"), faces.Later("hypothesis.extra.numpy")

MAX_WIDTH = 6


class Comparison(NamedTuple):
    """Entries that ought to satisfy ``smaller ≤ larger + tolerance``, arrays of one shape."""

    smaller: np.ndarray
    larger: np.ndarray
    tolerance: np.ndarray


@dataclass
class Search:
    """What a search tried and found. `smaller`, `larger` and `tolerance` hold every comparison it made."""

    smaller: np.ndarray = field(default_factory=lambda: np.empty(0))
    larger: np.ndarray = field(default_factory=lambda: np.empty(0))
    tolerance: np.ndarray = field(default_factory=lambda: np.empty(0))
    examples: int = 0
    counterexample: str | None = None

    @property
    def lasting(self) -> bool:
        """Whether what was found may be kept and read the next time: a counterexample is always searched anew."""
        return self.counterexample is None

    @property
    def summary(self) -> str:
        """One sentence on the outcome."""
        if self.counterexample:
            return f"falsified; the smallest counterexample is {self.counterexample}"
        return f"no counterexample in {self.examples} generated networks, steered towards a violation"


class Example(NamedTuple):
    """A float64 network and the points it is looked at, (m, n). Its ``repr`` gives every number."""

    network: "Network"
    x: "torch.Tensor"

    def __repr__(self) -> str:
        entries = [
            f"W_{number} = {'I' if weight is None else weight.tolist()}, b_{number} = {bias.tolist()}"
            for number, (weight, bias) in enumerate(self.network.layers(), start=1)
        ]
        return f"{', '.join(entries)}{', sigmoid output' if self.network.sigmoid else ''}, x = {self.x.tolist()}"


def assume(condition: bool) -> None:
    """Leave an example out of a search, from within its measure, unless the condition holds."""
    hypothesis.assume(condition)


def examples(*, shape: str = "any", output: str | None = None, readable: bool = False) -> "st.SearchStrategy[Example]":
    """Return a strategy that draws a network and points.

    Half of the networks have small whole numbers for weights, which make gradients vanish and neurons tie; half have normal
    weights over four orders of magnitude. Networks that are flat at all their points are left out: 0 ≤ 0 cannot fail.

    Parameters
    ----------
    shape : "any", "narrow" for n_1 ≤ n or "wide" for n_1 > n
    output : "identity", "sigmoid", or None for either
    readable : whether to draw only small networks of whole numbers, for a counterexample that is to be read
    """
    return st.composite(_example)(shape, output, readable)


def _example(draw: Any, shape: str, output: str | None, readable: bool) -> Example:
    widest = 3 if readable else MAX_WIDTH
    n = draw(st.integers(1, widest - 1))
    low, high = {"any": (1, widest), "narrow": (1, n), "wide": (n + 1, widest)}[shape]
    hidden = draw(st.lists(st.integers(1, MAX_WIDTH), max_size=0 if readable else 3))
    kind = draw(st.sampled_from(["identity", "sigmoid"])) if output is None else output
    network = MLP((n, draw(st.integers(low, high)), *hidden, 1), "trained", kind).build().double()
    size = sum(parameter.numel() for parameter in network.parameters())
    points = draw(st.integers(1, 1 if readable else 3))
    if not readable and draw(st.booleans()):
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        numbers = generator.standard_normal(size + points * n)
        numbers[:size] *= 10.0 ** draw(st.integers(-2, 2))
    else:
        numbers = draw(st_numpy.arrays(np.float64, size + points * n, elements=st.integers(-3, 3).map(float)))
    load_parameters(network, numbers[:size])
    x = numbers[size:].reshape(points, n)
    example = Example(network, torch.from_numpy(x))
    hypothesis.assume(bool(first_layer_gradients(*example).any()))
    return example


@neutral()
def falsify(strategy: "st.SearchStrategy[Any]", measure: Callable[[Any], Comparison], max_examples: int = 300) -> Search:
    """Look for an example whose comparison is violated.

    The search is the same every time: it depends on no seed, clock or database, and not on which modules are loaded.
    """
    search = Search()
    parts: list[Comparison] = []

    @hypothesis.seed(0)
    @hypothesis.settings(
        max_examples=max_examples,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.target, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
    )
    @hypothesis.given(strategy)
    def attempt(example: Any) -> None:
        comparison = Comparison(*(np.asarray(part, float).ravel() for part in measure(example)))
        parts.append(comparison)
        excess = comparison.smaller - comparison.larger
        scale = np.maximum(np.abs(comparison.smaller) + np.abs(comparison.larger), 1e-300)
        hypothesis.target(float(np.max(excess / scale)))
        if (excess > comparison.tolerance).any():
            worst = int(np.argmax(excess - comparison.tolerance))
            raise _Violated(f"{example!r}: {comparison.smaller[worst]:.6g} > {comparison.larger[worst]:.6g}")

    try:
        with _without_constants():
            attempt()
    except _Violated as violated:
        search.counterexample = str(violated)
    search.examples = len(parts)
    search.smaller, search.larger, search.tolerance = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return search


@contextlib.contextmanager
def _without_constants() -> Iterator[None]:
    """Keep Hypothesis from drawing numbers that stand in the code of loaded modules, as versions since 6.131 do."""
    from hypothesis.internal.conjecture import providers

    kind, name = getattr(providers, "HypothesisProvider", None), "_maybe_draw_constant"
    with contextlib.ExitStack() as stack:
        if hasattr(kind, name):
            stack.enter_context(mock.patch.object(kind, name, return_value=None))
        yield


class _Violated(Exception):
    """Carries the smallest counterexample out of Hypothesis."""
