"""Findings and verdicts: what a test of a claim says.

Every test is a pure function from arrays to a `Finding`. Verdicts:

supported     significant in the stated direction, with an effect of at least the stated minimum; or an inequality without a
              single violation beyond rounding
refuted       significant in the opposite direction, or an inequality violated
inconclusive  neither; or the data are not there, as after a diverged run
vacuous       a bound that holds and says nothing, because it exceeds what is true of anything

Failing to reject is never support.
"""

import dataclasses
import math
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

CONDITION = "condition"
"""The test of a finding that a claim rests on and does not state: unmet, the claim is inconclusive."""
CONFIDENCE = 0.95
"""Of every interval."""
FEW = 8
"""Fewer cases than this have no quartiles worth the name."""


class Verdict(StrEnum):
    """What a test says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    VACUOUS = "vacuous"


WORST_FIRST = (Verdict.REFUTED, Verdict.INCONCLUSIVE, Verdict.VACUOUS, Verdict.SUPPORTED)


@dataclass(frozen=True)
class Finding:
    """One test: what was measured and what came out. Numbers that do not apply are None.

    quantity : what was measured
    test : name of the test
    verdict, reason : what it says and why, in one sentence
    statistic : name and value of the test statistic
    p, p_opposite : one-sided p-values in the stated and in the opposite direction
    effect_name, effect, interval : effect size with its 95 % interval
    minimum_effect : smallest effect that counts as support
    level : significance level
    blocks : number of seeds
    cases : number of comparisons of an exact test
    table : the numbers the test was computed from: {"columns": […], "rows": […], "values": [[…]]}
    expectation : what is expected of the quantity, direction and all, as "increases with frequency"
    spread : between which numbers the effect of an exact test lies in the cases; see `spread_of`
    """

    quantity: str
    test: str
    verdict: Verdict
    reason: str
    statistic: tuple[str, float] | None = None
    p: float | None = None
    p_opposite: float | None = None
    effect_name: str | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    minimum_effect: float | None = None
    level: float | None = None
    blocks: int | None = None
    cases: int | None = None
    table: dict[str, Any] | None = None
    expectation: str | None = None
    spread: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values that JSON can hold; numbers that are not finite become None."""
        return plain(dataclasses.asdict(self))


def overall(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on a claim that makes several statements: the worst of theirs."""
    return min(verdicts, key=WORST_FIRST.index)


def spread_of(ratios: np.ndarray) -> tuple[float, float] | None:
    """Return the quartiles of the finite ones of some ratios, or the extremes of fewer than `FEW`; None if there are none."""
    finite = ratios[np.isfinite(ratios)]
    if finite.size == 0:
        return None
    low, high = np.quantile(finite, [0.25, 0.75] if finite.size >= FEW else [0.0, 1.0])
    return float(low), float(high)


def table_of(values: "xr.DataArray", along: Hashable) -> dict[str, Any]:
    """Return the numbers of an array (`along`, "seed") for a report, a row a seed and a column a level."""
    columns = [f"{level:g}" if isinstance(level, float) else str(level) for level in values[along].values.tolist()]
    return {"columns": columns, "rows": values["seed"].values.tolist(), "values": plain(values.transpose("seed", along).values)}


def plain(value: Any) -> Any:
    """Return `value` in plain Python types, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Verdict):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
