"""How numbers are written, in the terminal and in the report."""

from typing import Any


def p_value(p: float | None) -> str:
    """Two significant digits; nothing if there is no p."""
    return "" if p is None else f"{p:.2g}"


def number(value: Any) -> str:
    """Four significant digits; a dash if there is none."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


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
