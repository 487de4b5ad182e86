"""Where the order of T1 is reversed: sinusoid experiments that Hypothesis draws and steers towards a reversal.

Nothing here is a verdict: experiments that are searched for a reversal are no sample of any, and T1 is about one of them, near
convergence. What is found says where to look.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from bthcheck.ambient import neutral
from bthcheck.evidence.attacks.loop import TELL_SECONDS

if TYPE_CHECKING:
    from bthcheck.experiments import Experiment

FIT = 0.0125
"""The training loss below which an experiment counts as fit: a tenth of that of answering 0, as for T3."""
ROUND = 40
SEEDS = 2
NEAR = 0.1
"""The share of the epochs, the last, over which φ is averaged."""


@dataclass
class Explored:
    """What came of generated experiments.

    fit, reversed_fit, reversed_unfit : how many were fit at both frequencies and all seeds; of these, and of the others, in how
        many the higher frequency had the smaller mean φ in every seed
    strongest : of those that are fit the one with the strongest reversal, or the closest to one: parameters, `margin`, above 0
        for a reversal, and `phi`, the mean at the lower and the higher frequency
    """

    experiments: int = 0
    fit: int = 0
    reversed_fit: int = 0
    reversed_unfit: int = 0
    strongest: dict[str, Any] | None = None
    seconds: float = 0.0


@st.composite
def parameters(draw: Any) -> dict[str, Any]:
    """Draw the parameters of an experiment: frequencies, width, depth, learning rate, epochs, points and first seed."""
    low = draw(st.integers(1, 8)) / 8
    return {
        "low": low, "high": low + draw(st.integers(1, 8)) / 8,
        "width": draw(st.integers(4, 48)), "depth": draw(st.integers(1, 4)),
        "learning_rate": 10.0 ** (draw(st.integers(-14, -8)) / 4), "epochs": draw(st.integers(20, 2000)),
        "points": draw(st.integers(10, 60)), "seed": draw(st.integers(0, 999)),
    }  # fmt: skip


def experiment_of(drawn: dict[str, Any]) -> "Experiment":
    """Return the experiment of some parameters, two seeds at both frequencies."""
    from bthcheck.experiments import SINUSOIDS
    from bthcheck.networks import MLP
    from bthcheck.tasks import Sinusoid

    seed = drawn["seed"]
    return SINUSOIDS.replace(
        name="explored", task=Sinusoid(train=drawn["points"]), levels=(drawn["low"], drawn["high"]),
        seeds=tuple(range(seed, seed + SEEDS)), epochs=drawn["epochs"], learning_rate=drawn["learning_rate"],
        lipschitz_every=drawn["epochs"], network=MLP((10, 10, *[drawn["width"]] * drawn["depth"], 1)),
    )  # fmt: skip


@neutral()
def phi_and_loss(drawn: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Train and return mean φ over the last tenth of the epochs and the last training loss, (level, seed) each."""
    from bthcheck.training.engines import run

    runs = run(experiment_of(drawn), progress=False, threads=1)
    late = slice(-max(1, round(NEAR * drawn["epochs"])), None)
    phi = (runs.trajectory_length / runs.steps_per_epoch).isel(epoch=late).mean("epoch")
    order = ("frequency", "seed")
    return phi.transpose(*order).values, runs.train_loss.isel(epoch=-1).transpose(*order).values


@neutral()
def explore(
    seconds: float,
    *,
    seeds: Iterator[int],
    tell: Callable[[Explored], None] = lambda found: None,
    clock: Callable[[], float] = time.monotonic,
    outcome: Explored | None = None,
    measure: Callable[[dict[str, Any]], tuple[np.ndarray, np.ndarray]] = phi_and_loss,
) -> Explored:
    """Generate experiments for some seconds and count in how many the order of T1 is reversed.

    Parameters
    ----------
    seeds, tell, outcome : as for `bthcheck.evidence.attacks.loop.attack`
    measure : returns mean φ and the training loss of an experiment, (level, seed) each
    """
    found = Explored() if outcome is None else outcome
    began = told = clock()

    def attempt(drawn: dict[str, Any]) -> None:
        nonlocal told
        now = clock()
        found.seconds = now - began
        if now - told >= TELL_SECONDS:
            told = now
            tell(found)
        if found.seconds >= seconds:
            raise _TimeIsOver
        phi, loss = measure(drawn)
        hypothesis.assume(bool(np.isfinite(phi).all() and np.isfinite(loss).all()))  # of one that diverges there is no order
        low, high = phi.mean(axis=1)
        margin = float((low - high) / max(low + high, 1e-300))
        is_fit, is_reversed = bool((loss < FIT).all()), bool((phi[0] > phi[1]).all())
        found.experiments += 1
        found.fit += is_fit
        found.reversed_fit += is_fit and is_reversed
        found.reversed_unfit += is_reversed and not is_fit
        if is_fit and (found.strongest is None or margin > found.strongest["margin"]):
            found.strongest = {**drawn, "margin": margin, "phi": [float(low), float(high)]}
        # Towards experiments that are fit first, and among these towards a reversal.
        hypothesis.target(margin if is_fit else -2.0 - max(0.0, math.log10(float(loss.max()) / FIT)))

    try:
        while found.seconds < seconds:
            seed = next(seeds)
            trial = _SETTINGS(hypothesis.seed(seed)(given(parameters())(attempt)))
            try:
                trial()
            except Unsatisfiable:
                found.seconds = clock() - began
    except _TimeIsOver:
        pass
    finally:
        found.seconds = clock() - began
        tell(found)
    return found


_SETTINGS = settings(
    max_examples=ROUND, database=None, deadline=None, phases=(Phase.generate, Phase.target),
    suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip


class _TimeIsOver(KeyboardInterrupt):
    """Leaves Hypothesis as an interrupt does."""
