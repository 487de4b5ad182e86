"""JSON that a person reviews in a diff: sorted, numbers to nine digits, and what fits into a line in one."""

import json
from typing import Any

DIGITS = 9
WIDTH = 120


def rounded(value: Any) -> Any:
    """Return plain values with every number that is not whole to nine significant digits."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def written(value: Any, indent: int = 0) -> str:
    """Return JSON text of plain values: sorted keys, one line for what fits into one."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if len(line) + 2 * indent <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    inner = "  " * (indent + 1)
    if isinstance(value, list):
        if not any(isinstance(entry, (dict, list)) for entry in value):
            return _filled(value, inner, "  " * indent)
        parts = [f"{inner}{written(entry, indent + 1)}" for entry in value]
        return "[\n" + ",\n".join(parts) + f"\n{'  ' * indent}]"
    parts = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {written(value[key], indent + 1)}" for key in sorted(value)]
    return "{\n" + ",\n".join(parts) + f"\n{'  ' * indent}}}"


def _filled(value: list[Any], inner: str, outer: str) -> str:
    """Return a list of numbers and words that is longer than a line, as many to a line as fit."""
    lines, line = [], ""
    for number, entry in enumerate(value):
        text = json.dumps(entry, ensure_ascii=False, allow_nan=False) + ("," if number < len(value) - 1 else "")
        if line and len(inner) + len(line) + 1 + len(text) > WIDTH:
            lines.append(line)
            line = text
        else:
            line = f"{line} {text}" if line else text
    return "[\n" + "\n".join(f"{inner}{line}" for line in [*lines, line]) + f"\n{outer}]"
