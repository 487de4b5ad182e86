"""The verdicts that end a session, and the line that sums them up."""

import textwrap
from collections import Counter
from typing import Any

from bthcheck.report.numbers import effect, p_value
from bthcheck.report.records import STATUSES, family, has_changed, headline, is_on_record, needs_attention
from bthcheck.text import one_line, shown

_COLORS = {"supported": "green", "inconclusive": "yellow", "vacuous": "yellow", "skipped": "yellow"}
_HEADER = ("claim", "verdict", "on record", "effect [95 %]", "p", "seeds", "s")
_DROPPED = ("on record", "s", "seeds", "p", "effect [95 %]")  # one after the other where there is little room
_ALWAYS = ("claim", "verdict", "effect [95 %]")
_COUNTED = {"error": "in error", "no verdict": "without a verdict"}
_MOST_NAMED = 10
_INDENT = "    "
_NARROWEST = 8  # columns

BEYOND = "beyond the paper:"
"""Stands before claims of the second family."""
Line = tuple[str, str]
"""A line and its colour, empty for none."""


def verdicts(
    rows: list[dict[str, Any]], width: int, *, verbose: bool = False, placebo: bool = False, encoding: str | None = None
) -> list[Line]:
    """Return the lines of a table with a line a claim; last are those that need attention, with all that is to be said of them.

    Parameters
    ----------
    rows : one a claim, as from `bthcheck.report.records.row`, worst first, with `on_record` and `changes` where they are known
    width : columns of the terminal; what it has no room for is left out, the least important first
    verbose : whether to print the statements of all claims, and why those are not supported that are not
    placebo : whether levels were permuted
    encoding : of the terminal
    """
    titles = {name: name for name in _HEADER}
    cells = [{name: shown(text, encoding) for name, text in _cells(row, placebo).items()} for row in rows]
    widths = {name: max(len(line[name]) for line in [titles, *cells]) for name in _HEADER}
    filled = [name for name in _HEADER if name in _ALWAYS or any(line[name] for line in cells)]
    columns = _columns(filled, widths, width)
    calm: list[Line] = [(line, "") for line in _aligned(titles, columns, widths, width)]
    urgent: list[Line] = []
    families = [family(row) for row in rows]
    for number, (row, texts) in enumerate(zip(rows, cells, strict=True)):
        if number and families[number] != families[number - 1]:
            calm.append((BEYOND, ""))
        is_urgent = needs_attention(row, placebo=placebo)
        lines = [(line, _COLORS.get(row["status"], "red")) for line in _aligned(texts, columns, widths, width)]
        for sentence in _sentences(row, urgent=is_urgent, verbose=verbose, placebo=placebo):
            text = shown(one_line(sentence), encoding)
            lines += [(f"{_INDENT}{part}", "") for part in textwrap.wrap(text, max(_NARROWEST, width - len(_INDENT)))]
        (urgent if is_urgent else calm).extend(lines)
    return calm + urgent


def summary(rows: list[dict[str, Any]], *, placebo: bool = False) -> str:
    """Return one sentence: how many claims came out how, whether that is as on record, and which have changed."""
    if placebo:
        counts = Counter(row["status"] for row in rows)
        return "; ".join(_counted(status, counts[status]) for status in reversed(STATUSES) if counts[status])
    same = [row for row in rows if row["status"] != "supported" and is_on_record(row)]
    counts = Counter(row["status"] for row in rows if row not in same)
    parts = [_counted("supported", counts["supported"])] if counts["supported"] else []
    parts += [f"{len(same)} not supported, as on record"] if same else []
    parts += [_counted(status, counts[status]) for status in STATUSES if counts[status] and status != "supported"]
    changed = [row for row in rows if has_changed(row)]
    if changed:
        named = [_change(row) for row in changed[:_MOST_NAMED]]
        more = [f"{len(changed) - _MOST_NAMED} more"] if len(changed) > _MOST_NAMED else []
        parts.append(f"changed: {', '.join([*named, *more])}")
    elif rows and all(is_on_record(row) for row in rows):
        parts.append("nothing has changed")
    return "; ".join(parts)


def _counted(status: str, count: int) -> str:
    return f"{count} {_COUNTED.get(status, status)}"


def _change(row: dict[str, Any]) -> str:
    before = row.get("on_record")
    if before is not None and row.get("verdict") and before != row["verdict"]:
        return f"{row['claim']['id']} ({row['verdict']}, on record {before})"
    return f"{row['claim']['id']} ({', '.join(row.get('kinds') or ['numbers'])})"


def _sentences(row: dict[str, Any], *, urgent: bool, verbose: bool, placebo: bool) -> list[str]:
    """Return what stands below the line of a claim."""
    if not urgent and not verbose:
        return []
    found = any(finding.get("test") == "counterexample" for finding in row["findings"])
    said = [row["claim"]["statement"]]
    said += [row["reason"]] if row["reason"] and (row["status"] != "supported" or found) else []
    if urgent and not placebo and row.get("on_record") is not None:
        said.append(f"on record: {row['on_record']}")
    elif urgent and not placebo:
        said.append("nothing is on record")
    return said + [f"changed: {sentence}" for sentence in row.get("changes") or []]


def _cells(row: dict[str, Any], placebo: bool) -> dict[str, str]:
    finding = headline(row)
    blocks = finding.get("blocks")
    before = None if placebo else row.get("on_record")
    texts = (
        row["claim"]["id"],
        row["status"],
        "" if before is None else "same" if is_on_record(row) else before,
        effect(finding),
        p_value(finding.get("p")),
        "" if blocks is None else str(blocks),
        f"{row['seconds']:.1f}",
    )
    return dict(zip(_HEADER, texts, strict=True))


def _columns(filled: list[str], widths: dict[str, int], width: int) -> list[str]:
    """Return the columns that there is room for, of those in which something stands."""
    columns = list(filled)
    for name in _DROPPED:
        if sum(widths[column] + 2 for column in columns) - 2 <= width:
            break
        columns = [column for column in columns if column != name]
    return columns


def _aligned(cells: dict[str, str], columns: list[str], widths: dict[str, int], width: int) -> list[str]:
    """Return the line of a claim; on a terminal narrower than its id and verdict together, a line of each."""
    line = "  ".join(f"{cells[name]:<{widths[name]}}" for name in columns).rstrip()
    if sum(widths[name] + 2 for name in columns) - 2 <= width:
        return [line]
    return [part for name in columns for part in textwrap.wrap(cells[name], max(_NARROWEST, width))]
