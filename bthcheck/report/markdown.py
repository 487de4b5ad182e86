"""The verdict table in GitHub's Markdown, for a job summary or the comment on a pull request."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bthcheck.report.numbers import count, effect, p_value
from bthcheck.report.records import has_changed, headline, needs_attention
from bthcheck.report.terminal import summary

COMMENT_LIMIT = 65_536
"""Bytes that a comment may have. GitHub counts characters, of which there are never more."""
STEP_LIMIT = 2**20
"""Bytes of summaries that a step of a job may write."""
SMALLEST = 4_000
"""Bytes that are always enough to say what was left out, and why."""
_LONGEST_REASON = 300
_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~$#!@]|:(?=\S)|^=|=(?==)")
_BLOCK = re.compile(r"^(\d*)([-+](?=[-+ ]|$)|(?<=\d)[.)](?= |$))")
"""What begins a list or a rule, at the start of a line."""
_LINKED = re.compile(r"[@#](?=\w)|\bGH-(?=\d)|w(?=ww\.)|:(?=//)", re.IGNORECASE)
_GAP = "\u200b"
_SAID = {"supported": "✅", "inconclusive": "❔", "vacuous": "❔", "skipped": "⏭️"}
_BAD = "❌"
_CHANGED = "⚠️"


def escape(text: str) -> str:
    """Return Markdown that shows a text as it is, on one line: in a paragraph, an item of a list or a cell of a table.

    No character of it is Markdown, HTML, mathematics or an emoji's name any more. Names behind an @, numbers behind a # and
    addresses, of which GitHub makes links also where they are written as entities, get a space of no width in their midst.
    Control characters, and those that reorder what stands beside them, become their escapes, as ``\\x1b``.
    """
    text = " ".join(text.split())
    text = _LINKED.sub(lambda found: found[0] + _GAP, "".join(map(_visible, text)))
    text = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)
    return _BLOCK.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text)


def code(text: str) -> str:
    """Return Markdown that shows a text as code, in which GitHub links nothing."""
    return f"<code>{escape(text)}</code>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table; cells are Markdown, as from `escape`. Columns in `numbers` are set to the right."""
    rules = ["---:" if name in numbers else "---" for name in columns]
    return [f"| {' | '.join(cells)} |" for cells in [columns, rules, *rows]]


def size(text: str) -> int:
    """Return how many bytes a text has in a file."""
    return len(text.encode("utf-8", "backslashreplace"))


def verdicts(
    rows: list[dict[str, Any]],
    *,
    profile: str,
    placebo: bool = False,
    limit: int = COMMENT_LIMIT,
    footer: Sequence[str] = (),
) -> str:
    """Return a summary in a line, what needs attention, and the table of all claims.

    Where that is more than `limit` bytes the least important parts are left out, one after the other, and a sentence says
    which: statements from the table, then supported claims, then the table, then long reasons, then claims that need attention,
    the last ones first.

    Parameters
    ----------
    rows : one a claim, worst first, with `on_record` and `changes` where they are known
    profile : of the session
    placebo : whether levels were permuted
    footer : sentences that end it, as plain text

    Raises
    ------
    ValueError
        If `limit` is below `SMALLEST`.
    """
    if limit < SMALLEST:
        raise ValueError(f"limit must be at least {SMALLEST} bytes, got {limit}")
    head = [
        f"### bthcheck: {'a placebo' if placebo else 'verdicts'}, profile {escape(profile)}",
        "",
        f"{_mark(rows, placebo)} {_cut(summary(rows, placebo=placebo), 4 * _LONGEST_REASON)}",
        "",
    ]
    end = ["", *(f"{_cut(sentence, _LONGEST_REASON)}  " for sentence in footer)]
    urgent = [row for row in rows if needs_attention(row, placebo=placebo)]

    def text(items: list[str], lines: list[str], left_out: str) -> str:
        said = ["", f"_Left out, for want of room: {escape(left_out)}._"] if left_out else []
        return "\n".join([*head, *items, *([""] if items and lines else []), *lines, *said, *end]).rstrip() + "\n"

    items = [_item(row, placebo, None) for row in urgent]
    short = [_item(row, placebo, _LONGEST_REASON) for row in urgent]
    others = [row for row in rows if row["status"] != "supported"]
    left = count(len(rows) - len(others), "supported claim")
    attempts: list[Callable[[], str]] = [
        lambda: text(items, _table(rows, placebo, statements=True), ""),
        lambda: text(items, _table(rows, placebo, statements=False), "the statements of claims"),
        lambda: text(items, _table(others, placebo, statements=False), f"{left}, and the statements of the others"),
        lambda: text(items, [], "the table of claims"),
        lambda: text(short, [], "the table of claims, and what is long of reasons"),
    ]
    for attempt in attempts:
        if size(whole := attempt()) <= limit:
            return whole
    kept: list[str] = []
    for number, item in enumerate(short):
        rest = count(len(short) - number, "more claim")
        whole = text(kept, [], f"{rest} to look at, and the table of claims")
        if size(whole) + size(item) + 1 > limit:
            break
        kept.append(item)
    return whole


def _mark(rows: list[dict[str, Any]], placebo: bool) -> str:
    return _BAD if any(needs_attention(row, placebo=placebo) for row in rows) else _SAID["supported"]


def _table(rows: list[dict[str, Any]], placebo: bool, *, statements: bool) -> list[str]:
    columns = ["claim", *(["statement"] if statements else []), "verdict", *([] if placebo else ["on record"])]
    columns += ["effect [95 %]", "p", "seeds"]
    cells = []
    for row in sorted(rows, key=lambda row: not needs_attention(row, placebo=placebo)):
        finding = headline(row)
        blocks = finding.get("blocks")
        texts = {
            "claim": escape(row["claim"]["id"]),
            "statement": escape(row["claim"]["statement"]),
            "verdict": escape(row["status"]),
            "on record": escape(row.get("on_record") or ""),
            "effect [95 %]": escape(effect(finding)),
            "p": escape(p_value(finding.get("p"))),
            "seeds": "" if blocks is None else str(blocks),
        }
        cells.append([texts[name] for name in columns])
    return table([escape(name) for name in columns], cells, numbers=("p", "seeds")) if cells else []


def _item(row: dict[str, Any], placebo: bool, longest: int | None) -> str:
    """Return an item of a list: a claim that needs attention."""

    def said(sentence: str) -> str:
        return escape(sentence) if longest is None else _cut(sentence, longest)

    before = row.get("on_record")
    known = (
        ", nothing on record" if before is None else ", as on record" if before == row["status"] else f", on record {before}"
    )
    mark = _CHANGED if has_changed(row) and not placebo else _SAID.get(row["status"], _BAD)
    status = row["status"] if placebo else row["status"] + known
    lines = [f"- {mark} **{escape(row['claim']['id'])}** {escape(status)}: {said(row['claim']['statement'])}"]
    lines += [f"  - {said(row['reason'])}"] if row["reason"] and row["status"] != "supported" else []
    lines += [f"  - changed: {said(sentence)}" for sentence in row.get("changes") or []]
    return "\n".join(lines)


def _cut(text: str, longest: int) -> str:
    """Return a text escaped, or as much of its beginning as takes `longest` bytes."""
    kept = text
    while size(escape(kept)) > longest:
        kept = kept[: min(len(kept) - 2, len(kept) * longest // size(escape(kept)))] + "…"
    return escape(kept)


def _visible(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character
