"""The verdict table that ends a session."""

import textwrap
from typing import Any

from bthcheck.characters import visible
from bthcheck.report.numbers import effect, p_value
from bthcheck.report.records import headline

_COLORS = {"supported": "green", "inconclusive": "yellow", "vacuous": "yellow", "skipped": "yellow"}
_HEADER = ("claim", "statement", "verdict", "effect [95 %]", "p", "seeds", "s")


def table(rows: list[dict[str, Any]], width: int) -> list[tuple[str, str]]:
    """Return lines and their colours. Statements that do not fit into `width` stand on lines of their own."""
    cells = [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in [_HEADER, *cells]) for i in range(len(_HEADER))]
    fits = sum(widths) + 2 * (len(widths) - 1) <= width
    lines = [(_line(_HEADER, widths, fits), "")]
    for row, line in zip(rows, cells, strict=True):
        lines.append((_line(line, widths, fits), _COLORS.get(row["status"], "red")))
        sentences = [] if fits else [row["claim"]["statement"]]
        found = any(finding["test"] == "counterexample" for finding in row["findings"])
        if (row["status"] != "supported" or found) and row["reason"]:
            sentences.append(row["reason"])
        for sentence in sentences:
            lines += [(f"    {part}", "") for part in textwrap.wrap(sentence, max(40, width - 4))]
    return lines


def shown(line: str, encoding: str | None) -> str:
    """Return a line as a terminal of that encoding can show it: what it has not, or obeys, becomes its escape."""
    encoding = encoding or "utf-8"
    return visible(line).encode(encoding, "backslashreplace").decode(encoding)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    finding = headline(row)
    blocks = finding.get("blocks")
    return (
        row["claim"]["id"],
        " ".join(row["claim"]["statement"].split()),  # on one line, whatever it has
        row["status"],
        effect(finding),
        p_value(finding.get("p")),
        "" if blocks is None else str(blocks),
        f"{row['seconds']:.1f}",
    )


def _line(cells: tuple[str, ...], widths: list[int], with_statement: bool) -> str:
    shown = [i for i in range(len(cells)) if with_statement or _HEADER[i] != "statement"]
    return "  ".join(f"{cells[i]:<{widths[i]}}" for i in shown).rstrip()
