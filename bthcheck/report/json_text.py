"""JSON that a person reviews in a diff: sorted, numbers to nine digits, and what fits into a line in one."""

import json
from typing import Any

DIGITS = 9
WIDTH = 120
DEEPEST = 2
"""Columns that a line is indented by at most: a profile, and all that is in it. A file has thousands of lines."""


def rounded(value: Any) -> Any:
    """Return plain values with every number that is not whole to nine significant digits."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def written(value: Any, indent: int = 0) -> str:
    """Return JSON text of plain values: sorted keys, one line for what fits into one, and as much to a line as does."""
    numbers = isinstance(value, list) and not any(isinstance(entry, (dict, list, str)) for entry in value)
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=("," if numbers else ", ", ": "))
    if len(line) + indent <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    if isinstance(value, dict):
        entries = [(f"{json.dumps(key, ensure_ascii=False)}: ", value[key]) for key in sorted(value)]
    else:
        entries = [("", entry) for entry in value]
    rows = isinstance(value, list) and all(isinstance(entry, list) for entry in value)
    lines: list[str] = []
    open_line = False  # whether more fits behind the last line
    for number, (name, entry) in enumerate(entries):
        text = f"{name}{written(entry, indent + 1)}{',' if number < len(entries) - 1 else ''}"
        fits = open_line and len(lines[-1]) + 1 + len(text) + indent + 1 <= WIDTH
        if fits and "\n" not in text and not rows:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
        open_line = "\n" not in text
    inner = " " * min(indent + 1, DEEPEST)
    first, last = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{first}\n" + "\n".join(f"{inner}{line}" for line in lines) + f"\n{' ' * min(indent, DEEPEST)}{last}"
