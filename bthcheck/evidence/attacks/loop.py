"""The attack on one claim: rounds of Hypothesis with ever new seeds, until its time is over or a counterexample is shrunk."""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Unsatisfiable

from bthcheck.ambient import neutral
from bthcheck.evidence.attacks import coverage
from bthcheck.evidence.attacks.cases import Case, built
from bthcheck.evidence.attacks.judging import Judged, judged
from bthcheck.evidence.attacks.table import FALLS, WITHSTANDS, Attack

ROUND = 300
"""Examples a seed."""
TELL_SECONDS = 1.0
PHASES = (Phase.reuse, Phase.generate, Phase.target, Phase.shrink)


@dataclass
class Outcome:
    """What an attack tried and found.

    examples, discarded : comparisons that were made, and cases that say nothing: flat, or beyond what float64 can tell
    informative : examples in which the smaller side was above 0
    rounds : seeds that were tried
    coverage : aspect → value → number of examples
    closest : the smallest ratio of both sides, {"ratio", "smaller", "larger", "case"}, or None
    counterexample : the smallest case that violates the inequality, and what was judged of it
    seconds : how long it took
    """

    id: str
    expected: str = WITHSTANDS
    examples: int = 0
    discarded: int = 0
    informative: int = 0
    rounds: int = 0
    coverage: dict[str, Counter[str]] = field(default_factory=dict)
    closest: dict[str, Any] | None = None
    counterexample: tuple[Case, Judged] | None = None
    seconds: float = 0.0

    @property
    def falsified(self) -> bool:
        """Whether a counterexample was found."""
        return self.counterexample is not None

    @property
    def as_expected(self) -> bool:
        """Whether what withstands withstood, or what falls fell."""
        return self.falsified == (self.expected == FALLS)


@neutral()
def attack(
    id: str,
    one: Attack,
    seconds: float,
    *,
    seeds: Iterator[int],
    database: Path | None = None,
    known: tuple[Case, ...] = (),
    tell: Callable[[Outcome], None] = lambda outcome: None,
    clock: Callable[[], float] = time.monotonic,
    outcome: Outcome | None = None,
) -> Outcome:
    """Attack a claim for some seconds; what falls is not attacked any more once its counterexample is shrunk.

    Parameters
    ----------
    seeds : of each round
    database : the folder of Hypothesis' examples: what an earlier session found is tried first
    known : cases that are tried before all
    tell : is told how far it is, about every second and in the end
    outcome : what is filled in, so that of an attack that is interrupted something is left
    """
    found = Outcome(id) if outcome is None else outcome
    found.expected = one.expected
    import torch  # noqa: F401  its seconds are not the attack's

    trial = _Trial(one, found, seconds, tell, clock)
    try:
        for case in known:
            trial.run(case)
        while not found.falsified:
            trial.check_time()
            found.rounds += 1
            _round(one, next(seeds), database, trial)
    except (_TimeIsOver, _Violated):
        pass
    finally:
        trial.end()
    return found


class _Trial:
    """Tries cases and takes down what comes out."""

    def __init__(
        self, one: Attack, found: Outcome, seconds: float, tell: Callable[[Outcome], None], clock: Callable[[], float]
    ) -> None:
        self._one, self._found, self._tell, self._clock = one, found, tell, clock
        self._began = self._told = clock()
        self._until = self._began + seconds
        self._size: tuple[int, str] | None = None

    def end(self) -> None:
        """Say how long it took."""
        self._found.seconds = self._clock() - self._began
        self._tell(self._found)

    def check_time(self) -> None:
        """Leave Hypothesis, whatever it is at, when the time is over."""
        now = self._clock()
        if now - self._told >= TELL_SECONDS:
            self._told, self._found.seconds = now, now - self._began
            self._tell(self._found)
        if now >= self._until:
            raise _TimeIsOver

    def run(self, case: Case) -> Judged | None:
        """Compare both sides of a case and return what is said of it, None if nothing; raise if it is a counterexample."""
        self.check_time()
        said = judged(self._one.measure(built(case)))
        found = self._found
        if said is None:
            found.discarded += 1
            return None
        found.examples += 1
        found.informative += said.informative > 0
        coverage.count(found.coverage, case)
        if not said.violated and said.ratio < (found.closest["ratio"] if found.closest else float("inf")):
            found.closest = {"ratio": said.ratio, "smaller": said.at[0], "larger": said.at[1], "case": case}
        if said.violated:
            text = json.dumps(case)
            if self._size is None or (len(text), text) < self._size:  # Hypothesis also tries larger ones while it shrinks
                self._size, found.counterexample = (len(text), text), (case, said)
            raise _Violated
        return said


def _round(one: Attack, seed: int, database: Path | None, trial: _Trial) -> None:
    """Have Hypothesis try `ROUND` examples, steered towards a violation; raise `_Violated` when one is shrunk."""
    kept = None if database is None else DirectoryBasedExampleDatabase(database)

    # A seed takes the database away from settings that it is put on: it has to come before them.
    @settings(
        max_examples=ROUND, database=kept, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False, print_blob=False, derandomize=False,
    )  # fmt: skip
    @hypothesis.seed(seed)
    @given(one.strategy())
    def attempt(case: Case) -> None:
        said = trial.run(case)
        hypothesis.assume(said is not None)
        assert said is not None
        hypothesis.target(said.margin)

    with contextlib.suppress(Unsatisfiable):  # no case in all of the round says anything
        attempt()


class _TimeIsOver(KeyboardInterrupt):
    """Leaves Hypothesis as an interrupt does: without being taken for a failing example."""


class _Violated(AssertionError):
    """The case is a counterexample."""
