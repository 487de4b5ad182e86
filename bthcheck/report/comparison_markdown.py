"""A comparison in Markdown, for a pull request's comment or a job's summary."""

from collections.abc import Callable, Iterable

from bthcheck.report.comparison import FALSE_ALARM
from bthcheck.report.differences import Differences, Effect
from bthcheck.report.markdown import escape, size, table
from bthcheck.report.numbers import count

LIMIT = 60_000
"""Bytes, of which a comment on GitHub may have 65536 characters."""
_LONGEST = 300  # characters of a sentence where there is little room


def markdown(found: Differences, before: str, after: str, *, limit: int = LIMIT) -> str:
    """Return a comparison as Markdown of at most `limit` bytes; what agrees is left out first, then long sentences.

    Parameters
    ----------
    before, after : what is on record and what is compared with it, a phrase each
    """
    for folded, longest, most in ((True, None, None), (False, None, None), (False, _LONGEST, None), (False, _LONGEST, 50)):
        text = _document(found, before, after, folded=folded, longest=longest, most=most)
        if size(text) <= limit:
            return text
    return _cut(text, limit)


def _document(
    found: Differences, before: str, after: str, *, folded: bool, longest: int | None, most: int | None
) -> str:  # fmt: skip
    def said(text: str) -> str:
        return escape(text if longest is None or len(text) <= longest else text[: longest - 1] + "…")

    mark = "❌" if found.fails else "✅" if not found.changed else "❔"
    lines = [f"### bthcheck compare: {mark} {escape(found.headline())}", ""]
    lines += [f"- on record: {escape(before)}", f"- now: {escape(after)}"]
    lines += [f"- {said(note)}" for note in found.notes]
    if found.verdicts:
        rows = [(escape(v.id), escape(v.before), f"**{escape(v.after)}**", said(v.statement)) for v in found.verdicts[:most]]
        lines += ["", "#### Verdicts", "", *table(("claim", "on record", "now", "statement"), rows)]
    if found.different:
        lines += ["", "#### Effects that differ", "", *_effects(found.different[:most], said)]
    if found.tests:
        lines += ["", "#### Tests whose own code is another", ""]
        lines += [f"- {escape(id)}: {said(sentence)}" for id, sentence in found.tests[:most]]
    differing = [row for row in found.experiments if row.parts or row.other]
    if differing or found.beginnings:
        lines += ["", "#### Experiments that differ", "", *(f"- {said(sentence)}" for sentence in found.beginnings[:most])]
        for row in differing[:most]:
            lines.append(f"- {said(row.label)}: {said('; '.join([*row.parts, *([row.bits] if row.other else [])]))}")
    if found.equal[1]:
        lines += ["", f"Bits: {found.equal[0]} of {found.equal[1]} runs that ought to have the same bits have them."]
    for new, word in ((False, "on record alone"), (True, "not on record")):
        ids = [f"{id} ({verdict})" for id, verdict, is_new in found.alone if is_new == new]
        lines += ["", f"Claims {word}: {said(', '.join(ids))}"] if ids else []
    facts = [fact for fact in found.facts if fact.differs]
    if facts:
        machines = [(escape(fact.name), said(fact.before), said(fact.after)) for fact in facts]
        lines += ["", "#### Machines and libraries that differ", "", *table(("", "on record", "now"), machines)]
    if found.alike:
        title = f"{count(len(found.alike), 'finding')} of which nothing differs"
        if folded:
            inner = _effects(found.alike, said)
            lines += ["", f"<details><summary>{title}</summary>", "", *inner, "", "</details>"]
        else:
            lines += ["", f"{title}, left out for want of room."]
    tests = (
        f"{count(found.count, 'test')} of numbers, at level {found.level:.2g} each: the {found.shared} that there may be"
        f" together raise a false alarm in at most {100 * FALSE_ALARM:g} % of comparisons"
    )
    return "\n".join([*lines, "", f"_{tests}._", ""])


def _effects(rows: Iterable[Effect], said: Callable[[str], str]) -> list[str]:
    cells = [
        (escape(r.id), said(r.quantity), escape(r.before), escape(r.after), escape(r.difference), said(r.sentence))
        for r in rows
    ]
    return table(("claim", "measured", "on record", "now", "difference", "what the comparison says"), cells)


def _cut(text: str, limit: int) -> str:
    """Return as many whole lines of a text as there is room for, and that there were more."""
    end = "\n\n_Left out for want of room: the rest._\n"
    kept: list[str] = []
    room = limit - len(end.encode())
    for line in text.splitlines():
        room -= size(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept) + end
