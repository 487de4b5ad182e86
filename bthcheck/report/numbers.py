"""How numbers are written, in the terminal and in the report."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def p_value(p: float | None) -> str:
    """Two significant digits; nothing if there is no p."""
    return "" if p is None else f"{p:.2g}"


def number(value: Any) -> str:
    """Four significant digits; a dash if there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def cell(value: Any) -> str:
    """Return plain text for any entry of a table: text as it is, whole numbers in full, others with four significant digits.

    A number may be one of NumPy, or of an array of NumPy, PyTorch or xarray that holds one. None is a dash.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    return str(value) if isinstance(value, (bool, int)) else number(value)


def effect(finding: dict[str, Any]) -> str:
    """Effect size with its interval, as "0.93 [0.80, 1.00]"."""
    if finding.get("effect") is None:
        return ""
    if finding.get("interval") is None:
        return f"{finding['effect']:.3g}"
    low, high = finding["interval"]
    return f"{finding['effect']:.2f} [{low:.2f}, {high:.2f}]"


def count(number: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return "48 s", "5 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def numbers(values: Sequence[int]) -> str:
    """Return whole numbers in their order, three or more that follow each other as a range: "0 to 999", "0 to 4, 7, 9"."""
    starts = [0, *(place for place, (one, after) in enumerate(pairwise(values), start=1) if after != one + 1), len(values)]
    stretches = [values[start:end] for start, end in pairwise(starts)]
    return ", ".join(
        f"{stretch[0]} to {stretch[-1]}" if len(stretch) > 2 else ", ".join(map(str, stretch)) for stretch in stretches
    )
