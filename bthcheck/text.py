"""Text that others wrote, shown as the characters it has: it moves no cursor, and turns no direction of writing."""

import re
import unicodedata

_CONTROLS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # ANSI escapes among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of the text around it
    "\u2028\u2029"  # ends of lines to some
    "\ud800-\udfff\ufeff\ufffe\uffff"  # no characters
    "]"
)


def visible(text: str, keep: str = "") -> str:
    """Return text with the escape of every character that controls something, or is none: ``\\x1b``, ``\\u202e``, ``\\ud800``.

    Parameters
    ----------
    keep : characters that stay as they are, such as ends of lines where there may be several
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def one_line(text: str) -> str:
    """Return a text on one line: runs of white space become a space, and what controls something its escape."""
    return visible(" ".join(text.split()))


def shown(text: str, encoding: str | None) -> str:
    """Return a text as a terminal of that encoding can show it on one line: a character that it does not have is escaped."""
    encoding = encoding or "utf-8"
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: East Asian characters take two, combining ones none."""
    return sum(map(_columns, text))


def cut(text: str, width: int, *, end: str = "...") -> str:
    """Return a text, or what fits into `width` columns of it and `end`."""
    if columns(text) <= width:
        return text
    room = width - columns(end)
    if room <= 0:
        end, room = "", width
    taken = 0
    for index, character in enumerate(text):
        taken += _columns(character)
        if taken > room:
            return text[:index] + end
    return text


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
