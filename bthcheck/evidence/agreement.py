"""Could new numbers come from the same setup as those on record?

The same seeds on another processor give the same distribution and not the same digits: training amplifies the last one. So a
difference has to be shown by a test, at a level so small that all tests of a session together seldom raise a false alarm.
docs/explanation/noticing.md has what the tests notice, measured, and why `MARGIN` of shifts.py is what it is.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy

from bthcheck.ambient import neutral
from bthcheck.evidence.exchange import shares
from bthcheck.evidence.findings import CONFIDENCE
from bthcheck.evidence.shifts import ROUNDING, moved

LOOSENESS = 1e-4
"""Relative widening of the recorded spread of a looseness: rounding through a network in float32, with room."""
_AT = " at "  # between quantity and level in the columns of a table of several quantities


@dataclass(frozen=True)
class Agreement:
    """What a comparison with the record says. Numbers that do not apply are None.

    differs : whether the new numbers cannot be explained by the setup on record, at `level`
    sentence : where and by how much, in plain words
    p : of the hypothesis that both come from the same setup; None where nothing was tested
    effect_name, effect, interval : what the difference is measured in, how large it is, and its 95 % interval
    level : significance level of this test alone
    noticeable : whether any outcome at all could have been called a difference; False with too few seeds or cases
    """

    differs: bool
    sentence: str
    p: float | None = None
    effect_name: str | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    level: float | None = None
    noticeable: bool = True


class _Table(NamedTuple):
    """A finding's numbers: columns, seeds, and (seeds, columns) values with NaN for what is not finite."""

    columns: list[str]
    seeds: list[Any]
    values: np.ndarray


@neutral()
def same_numbers(
    recorded: dict[str, Any], new: dict[str, Any], *, level: float, quantity: str = "", along: str = ""
) -> Agreement:
    """Test whether the numbers of two tables could come from the same setup.

    With seeds in common, every run is compared with itself: signed ranks over all cells, and over each column for columns that
    move in different directions (Fisher's method). A cell is a run of its own, and counts where it moved by more than `MARGIN`
    of the spread between seeds. With no seeds in common, rows are dealt anew between the tables. Runs that are not finite are
    left out of that and compared by how many there are, by the exact test of signs or Fisher's.

    Parameters
    ----------
    recorded, new : {"columns": [...], "rows": [seed, ...], "values": [[...], ...]}, a row a seed and a column a level, as in
        `bthcheck.evidence.Finding.table`; None stands for a number that is not finite. Columns named "quantity at level" are
        of the same run where the level is the same.
    level : significance level
    quantity, along : what the numbers are and what the columns are levels of, for the sentence

    Raises
    ------
    ValueError
        If a table has another form or the level is not between 0 and 1.
    """
    check_level(level)
    old, now = _read("recorded", recorded), _read("new", new)
    if old.columns != now.columns:
        texts = [", ".join(table.columns) or "none" for table in (old, now)]
        return Agreement(True, f"the columns are {texts[1]}, on record {texts[0]}: the test itself has changed", level=level)
    common = [seed for seed in old.seeds if seed in now.seeds]
    if not old.columns or min(len(old.seeds), len(now.seeds)) == 0:
        return Agreement(False, "there are no numbers to compare", level=level, noticeable=False)
    if common:
        old, now = _chosen(old, common), _chosen(now, common)
        if _alike(old.values, now.values):
            return Agreement(False, f"the same numbers for {_seeds(common)}", p=1.0, level=level, noticeable=len(common) > 1)
    groups = _groups(old.columns)
    parts = []
    for name, indices in groups.items():
        whole = name or quantity or "the number"
        level_of = f"{whole}{_AT}{along + ' ' if along else ''}"
        names = [old.columns[i] if name else f"{level_of}{old.columns[i]}" for i in indices]
        parts.append(moved(old.values[:, indices], now.values[:, indices], names, quantity=whole, paired=bool(common)))
    p = min(1.0, len(parts) * min(part.p for part in parts))
    smallest = len(parts) * min(part.smallest for part in parts)
    part = min(parts, key=lambda part: part.p)
    differs, noticeable = p <= level, smallest <= level
    sentence = f"{part.sentence}; p = {p:.2g} at level {level:.2g}"
    if not noticeable:
        seeds = _seeds(common) if common else f"{_seeds(old.seeds)} on record and {len(now.seeds)} others now"
        sentence += f"; with {seeds} no difference could be noticed at this level"
    return Agreement(
        differs=differs,
        sentence=sentence,
        p=p,
        effect_name="shift / spread between seeds",
        effect=part.effect,
        interval=part.interval,
        level=level,
        noticeable=noticeable,
    )


@neutral()
def same_rate(
    recorded_violations: int, recorded_cases: int, new_violations: int, new_cases: int, *, level: float, quantity: str = ""
) -> Agreement:
    """Test whether two rates of violations could be one, by Fisher's exact test, two-sided.

    Raises
    ------
    ValueError
        If there are more violations than cases, no cases, or the level is not between 0 and 1.
    """
    check_level(level)
    for violations, cases in ((recorded_violations, recorded_cases), (new_violations, new_cases)):
        if not 0 <= violations <= cases or cases < 1:
            raise ValueError(f"violations must be from 0 to the number of cases, at least 1; got {violations} of {cases}")
    p = shares(recorded_violations, recorded_cases, new_violations, new_cases)
    smallest = min(shares(a, recorded_cases, b, new_cases) for a, b in ((0, new_cases), (recorded_cases, 0)))
    difference = new_violations / new_cases - recorded_violations / recorded_cases
    return Agreement(
        differs=p <= level,
        sentence=(
            f"{_said(quantity)}{new_violations} of {new_cases} cases are violated, on record {recorded_violations} of"
            f" {recorded_cases} (p = {p:.2g} at level {level:.2g})"
        ),
        p=p,
        effect_name="difference of violation rates",
        effect=difference,
        level=level,
        noticeable=smallest <= level,
    )


@neutral()
def same_dispersion(
    recorded_deviation: float,
    recorded_cases: int,
    new_deviation: float,
    new_cases: int,
    *,
    level: float,
    quantity: str = "",
) -> Agreement:
    """Test whether two standard deviations of independent, nearly normal numbers could be one, by the F test, two-sided.

    Raises
    ------
    ValueError
        If a deviation is not a finite number from 0, there are fewer than 2 cases, or the level is not between 0 and 1.
    """
    check_level(level)
    for deviation, cases in ((recorded_deviation, recorded_cases), (new_deviation, new_cases)):
        if not 0 <= deviation < math.inf or cases < 2:
            raise ValueError(f"a deviation must be a finite number from 0, of 2 cases or more; got {deviation} of {cases}")
    freedom = (new_cases - 1, recorded_cases - 1)
    if recorded_deviation == new_deviation == 0:
        ratio, p = 1.0, 1.0
    else:
        ratio = new_deviation / recorded_deviation if recorded_deviation else math.inf
        p = float(min(1.0, 2 * min(scipy.stats.f.cdf(ratio**2, *freedom), scipy.stats.f.sf(ratio**2, *freedom))))
    tail = (1 - CONFIDENCE) / 2
    limits = [float(ratio / math.sqrt(scipy.stats.f.ppf(q, *freedom))) for q in (1 - tail, tail)]
    return Agreement(
        differs=p <= level,
        sentence=(
            f"{_said(quantity)}the standard deviation is {new_deviation:.3g} of {new_cases} cases, on record"
            f" {recorded_deviation:.3g} of {recorded_cases} (p = {p:.2g} at level {level:.2g})"
        ),
        p=p,
        effect_name="ratio of standard deviations",
        effect=ratio,
        interval=(limits[0], limits[1]),
        level=level,
    )


@neutral()
def same_looseness(
    recorded_spread: tuple[float, float], new_median: float, *, allowance: float = LOOSENESS, quantity: str = ""
) -> Agreement:
    """Say whether the new median of bound / value lies in the recorded spread, widened by a relative `allowance`; no p.

    Parameters
    ----------
    recorded_spread : as of `bthcheck.evidence.findings.spread_of`
    new_median : None or not finite where no case has a ratio, which only agrees with a record of the same

    Raises
    ------
    ValueError
        If the spread is not two numbers in order, or the allowance is negative.
    """
    low, high = (math.nan if limit is None else float(limit) for limit in recorded_spread)
    new_median = math.nan if new_median is None else float(new_median)
    if low > high or not 0 <= allowance < math.inf:
        raise ValueError(f"a spread must be two numbers in order and the allowance from 0; got {low}, {high} and {allowance}")
    known = math.isfinite(low) and math.isfinite(high)
    inside = low - allowance * abs(low) <= new_median <= high + allowance * abs(high)
    differs = not inside if known else math.isfinite(new_median)
    record = f"{low:.4g} to {high:.4g}, with {allowance:.2%} for rounding" if known else "none"
    median = f"{new_median:.4g}" if math.isfinite(new_median) else "none"
    return Agreement(
        differs=differs,
        sentence=f"{_said(quantity)}the median of bound / value is {median}, on record {record}",
        effect_name="median bound / value",
        effect=new_median,
    )


def _groups(columns: list[str]) -> dict[str, list[int]]:
    """Return quantity → its columns, "" where there is one: several have the same runs, and only runs are independent."""
    if not all(_AT in column for column in columns):
        return {"": list(range(len(columns)))}
    names = [column.rpartition(_AT)[0] for column in columns]
    return {name: [i for i, other in enumerate(names) if other == name] for name in names}


def _read(which: str, table: dict[str, Any]) -> _Table:
    try:
        columns, seeds = [str(column) for column in table["columns"]], list(table["rows"])
        values = np.array([[math.nan if entry is None else float(entry) for entry in row] for row in table["values"]], float)
        values = values.reshape(len(seeds), len(columns)) if values.size == 0 else values
        if values.shape != (len(seeds), len(columns)) or len(set(seeds)) < len(seeds):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the {which} numbers must be a table of columns, rows that are different seeds, and a value for each of both"
        ) from error
    return _Table(columns, seeds, np.where(np.isfinite(values), values, np.nan))


def _chosen(table: _Table, seeds: list[Any]) -> _Table:
    return table._replace(seeds=seeds, values=table.values[[table.seeds.index(seed) for seed in seeds]])


def _alike(old: np.ndarray, now: np.ndarray) -> bool:
    return bool(np.isclose(now, old, rtol=ROUNDING, atol=0, equal_nan=True).all())


def _seeds(seeds: list[Any]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _said(quantity: str) -> str:
    return f"{quantity}: " if quantity else ""


def check_level(level: float) -> None:
    """Raise ``ValueError`` unless a level is between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must be a number between 0 and 1, got {level!r}")
