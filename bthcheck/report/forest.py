"""The effects of all claims side by side, an interval each: what of a page draws them, and where on its scale each lies.

Effects that share a scale stand in one panel: orders over seeds (Kendall's τ) and ratios (a bound to what it bounds). What has
a scale of its own is given as a number.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bthcheck.report.numbers import number
from bthcheck.report.records import headline
from bthcheck.report.wording import TAU

Row = Mapping[str, Any]
RATIOS = ("median bound / value", "median estimate / definition")


@dataclass(frozen=True)
class Mark:
    """A claim in a panel; places are percent of its width, None where there is nothing to mark.

    low, high : of the interval; `beyond` says that it, or the effect, reaches past the end of the scale
    text : the same in numbers
    """

    row: Row
    place: float
    low: float | None
    high: float | None
    minimum: float | None
    beyond: bool
    text: str


@dataclass(frozen=True)
class Panel:
    """Effects on one scale.

    ticks : (place in percent, label), the line of no effect at `none`
    unplaced : claims whose effect the scale has no place for, each with its numbers
    """

    title: str
    says: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    none: float
    unplaced: tuple[tuple[Row, str], ...] = ()


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Return the panels that have claims, of the weakest finding of each claim; see `bthcheck.report.records.headline`."""
    found = [(row, headline(dict(row))) for row in rows]
    effects = [(row, finding) for row, finding in found if finding.get("effect") is not None]
    panels = [
        _orders([pair for pair in effects if pair[1].get("effect_name") == TAU]),
        _ratios([pair for pair in effects if pair[1].get("effect_name") in RATIOS]),
        _others([pair for pair in effects if pair[1].get("effect_name") not in (TAU, *RATIOS)]),
    ]
    return [panel for panel in panels if panel.marks or panel.unplaced]


def _orders(pairs: list[tuple[Row, Any]]) -> Panel:
    """Kendall's τ, on a scale from −1 to 1."""

    def place(value: float) -> float:
        return 50 * (1 + min(1.0, max(-1.0, value)))

    marks = []
    for row, finding in pairs:
        low, high = finding.get("interval") or (None, None)
        minimum = finding.get("minimum_effect")
        marks.append(Mark(
            row, place(finding["effect"]), None if low is None else place(low), None if high is None else place(high),
            None if minimum is None else place(minimum), False, text_of(finding),
        ))  # fmt: skip
    return Panel(
        "Orders over seeds",
        "Mean Kendall τ within seeds, 1 where every level is in the stated order in every seed, 0 for no order, −1 for the"
        " opposite. The line is the 95 % interval, the short bar the smallest effect that counts as support.",
        tuple(marks), ((0.0, "−1"), (25.0, "−0.5"), (50.0, "0"), (75.0, "0.5"), (100.0, "1")), 50.0,
    )  # fmt: skip


def _ratios(pairs: list[tuple[Row, Any]]) -> Panel:
    """Ratios, on a logarithmic scale from a tenth to 1000: further away a number is only large."""
    lowest, highest = -1.0, 3.0

    def place(value: float) -> float:
        return 100 * (min(highest, max(lowest, math.log10(value))) - lowest) / (highest - lowest)

    marks, unplaced = [], []
    for row, finding in pairs:
        value, spread = finding["effect"], finding.get("spread")
        if value <= 0:
            unplaced.append((row, text_of(finding)))
            continue
        ends = [value, *(end for end in spread or () if end > 0)]
        low, high = (place(min(ends)), place(max(ends))) if spread else (None, None)
        beyond = not all(lowest <= math.log10(end) <= highest for end in ends)
        marks.append(Mark(row, place(value), low, high, None, beyond, text_of(finding)))
    return Panel(
        "Ratios",
        "How many times a bound is what it bounds, or an estimate what it estimates, the median over cases, on a logarithmic"
        " scale; the line holds half of the cases (all, of fewer than 8). A bound that is met is at 1, a looser"
        " one further right. An arrow goes on beyond the scale.",
        tuple(marks), ((0.0, "0.1"), (25.0, "1"), (50.0, "10"), (75.0, "100"), (100.0, "1000")), 25.0, tuple(unplaced),
    )  # fmt: skip


def _others(pairs: list[tuple[Row, Any]]) -> Panel:
    return Panel(
        "Each on a scale of its own",
        "These effects cannot be compared with others, and are given as numbers.",
        (), (), 0.0, tuple((row, f"{finding.get('effect_name') or 'effect'} {text_of(finding)}") for row, finding in pairs),
    )  # fmt: skip


def text_of(finding: Mapping[str, Any]) -> str:
    """Return an effect with its interval or spread in numbers."""
    if finding.get("interval") is not None:
        low, high = finding["interval"]
        return f"{finding['effect']:.2f} [{low:.2f}, {high:.2f}]"
    ends = finding.get("spread")
    return number(finding["effect"]) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")
