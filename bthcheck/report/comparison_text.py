"""A comparison as a terminal shows it."""

import textwrap
from collections.abc import Iterator, Sequence

from bthcheck.report.differences import ALONE, DIFFERS, UNCOMPARED, Differences
from bthcheck.report.numbers import count
from bthcheck.text import one_line

Line = tuple[str, str]
"""A line and its colour, empty for none."""
_NARROWEST = 40  # columns that a sentence is not broken below
_INDENT = "    "
_ROOM = 24  # columns, which are enough for what was measured


def lines(found: Differences, before: str, after: str, width: int, *, verbose: bool = False) -> list[Line]:
    """Return the lines of a comparison, none wider than `width` but for single words.

    Parameters
    ----------
    before, after : what is on record and what is compared with it, a phrase each
    width : columns of the terminal, 40 at least
    verbose : whether to say of every finding that agrees what was compared
    """
    width = max(_NARROWEST, width)
    text: list[Line] = []

    def say(sentence: str, color: str = "", indent: str = "") -> None:
        text.extend((line, color) for line in wrapped(sentence, width, indent))

    def section(title: str) -> None:
        text.append(("", ""))
        say(title, "bold")

    say(f"on record: {before}")
    say(f"now: {after}")
    say(f"{found.headline()}.", "red" if found.fails else "green" if not found.changed else "yellow")
    for note in found.notes:
        say(f"{note}.", "yellow")
    if found.verdicts:
        section("Verdicts")
        for row in found.verdicts:
            say(f"{row.id}: {row.after}, on record {row.before}", "red" if row.fails else "yellow")
            if row.statement:
                say(row.statement, indent=_INDENT)
    if found.effects:
        section(f"Effects: {_counted(found)}")
        text.extend(_effects(found, width, verbose))
    if found.tests:
        section("Tests whose own code is another")
        for id, sentence in found.tests:
            say(f"{id}: {sentence}", "yellow")
    text.extend(_experiments(found, width))
    if found.equal[1]:
        say(f"Bits: {found.equal[0]} of {found.equal[1]} runs that ought to have the same bits have them.",
            "" if found.equal[0] == found.equal[1] else "red")  # fmt: skip
    for new, sentence in ((False, "on record alone"), (True, "not on record")):
        ids = [f"{id} ({verdict})" for id, verdict, is_new in found.alone if is_new == new]
        if ids:
            section(f"Claims {sentence}")
            say(", ".join(ids))
    differing = [fact for fact in found.facts if fact.differs]
    if found.facts:
        section("Machines and libraries")
        for fact in differing:
            say(f"{fact.name}: {fact.after}, on record {fact.before}")
        same = [f"{fact.name} {fact.after}" if verbose else fact.name for fact in found.facts if fact.before == fact.after]
        if same:
            say(f"the same: {', '.join(same)}")
    return text


def wrapped(sentence: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a sentence."""
    return textwrap.wrap(one_line(sentence), width, initial_indent=indent, subsequent_indent=indent or _INDENT)


def _counted(found: Differences) -> str:
    differing = sum(row.state == DIFFERS for row in found.effects)
    tests = f"{count(found.count, 'test')} at level {found.level:.2g} each"
    return f"{count(differing, 'finding')} of {len(found.effects)} differ{'s' if differing == 1 else ''} ({tests})"


def _effects(found: Differences, width: int, verbose: bool) -> Iterator[Line]:
    """Yield a table, or where that is wider than the terminal, each finding with its numbers below it."""
    titles = ("claim", "on record", "now", "difference", "p", "measured")
    cells = [(one_line(row.id), row.before, row.after, row.difference, row.p, one_line(row.quantity)) for row in found.effects]
    widths = [max(len(row[i]) for row in [titles, *cells]) for i in range(len(titles))]
    room = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
    fits = room >= min(widths[-1], _ROOM)
    if fits:
        yield from ((line, "") for line in _row(titles, widths, room))
    for row, texts in zip(found.effects, cells, strict=True):
        color = {DIFFERS: "red", ALONE: "yellow"}.get(row.state, "")
        for line in _row(texts, widths, room) if fits else _list_entry(texts, width):
            yield line, color
        if color or verbose:
            yield from ((line, "") for line in wrapped(row.sentence, width, _INDENT))


def _row(texts: Sequence[str], widths: Sequence[int], room: int) -> list[str]:
    """Return the lines of a row; what was measured, which stands last, may take several."""
    numbers = [f"{text:>{size}}" for text, size in zip(texts[1:-1], widths[1:-1], strict=True)]
    beside = "  ".join([f"{texts[0]:<{widths[0]}}", *numbers, ""])
    measured = textwrap.wrap(texts[-1], room) or [""]
    return [(beside + measured[0]).rstrip(), *(" " * len(beside) + line for line in measured[1:])]


def _list_entry(texts: Sequence[str], width: int) -> list[str]:
    id, before, after, difference, p, quantity = texts
    said = [f"on record {before}"] if before else []
    said += [f"now {after}"] if after else []
    said += [f"difference {difference}"] if difference else []
    said += [f"p = {p}"] if p else []
    said = said or [UNCOMPARED]
    return [*wrapped(f"{id}: {quantity}", width), *_filled(said, width)]


def _filled(parts: Sequence[str], width: int) -> list[str]:
    """Return lines of as many parts as fit into each; none is broken."""
    found: list[str] = []
    for number, part in enumerate(parts):
        text = part + (";" if number < len(parts) - 1 else "")
        if found and len(found[-1]) + 1 + len(text) <= width:
            found[-1] += f" {text}"
        else:
            found.append(_INDENT + text)
    return found


def _experiments(found: Differences, width: int) -> Iterator[Line]:
    differing = [row for row in found.experiments if row.parts or row.other]
    if not differing and not found.beginnings:
        return
    yield "", ""
    yield "Experiments that differ", "bold"
    for sentence in found.beginnings:
        yield from ((line, "red") for line in wrapped(sentence, width))
    for row in differing:
        for part in row.parts:
            yield from ((line, "red") for line in wrapped(f"{row.label}: {part}", width))
        if row.other:
            yield from ((line, "red") for line in wrapped(f"{row.label}: {row.bits}", width))
