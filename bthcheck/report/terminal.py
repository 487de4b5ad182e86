"""The verdict table that ends a session."""

import textwrap
from typing import Any

from bthcheck.report.numbers import effect, p_value
from bthcheck.results import headline

_COLORS = {"supported": "green", "inconclusive": "yellow", "vacuous": "yellow", "skipped": "yellow"}
_HEADER = ("claim", "statement", "verdict", "effect [95 %]", "p", "seeds", "s")


def table(rows: list[dict[str, Any]], width: int) -> list[tuple[str, str]]:
    """Return lines and their colours, at most `width` wide where the statements can be shortened enough."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [_HEADER, *cells]) for i in range(len(_HEADER))]
    others = sum(widths) - widths[1] + 2 * (len(_HEADER) - 1)
    widths[1] = max(20, min(widths[1], width - others))
    lines = [(_line(_HEADER, widths), "")]
    for row, line in zip(rows, cells, strict=True):
        lines.append((_line(line, widths), _COLORS.get(row["status"], "red")))
        if row["status"] != "supported" and row["reason"]:
            lines.append((textwrap.shorten(f"{'':{widths[0]}}  {row['reason']}", 4 * width), ""))
    return lines


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    finding = headline(row)
    blocks = finding.get("blocks")
    return (
        row["claim"]["id"],
        row["claim"]["statement"],
        row["status"],
        effect(finding),
        p_value(finding.get("p")),
        "" if blocks is None else str(blocks),
        f"{row['seconds']:.1f}",
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    statement = textwrap.shorten(cells[1], widths[1], placeholder="…")
    return "  ".join(f"{cell:<{w}}" for cell, w in zip((cells[0], statement, *cells[2:]), widths, strict=True)).rstrip()
