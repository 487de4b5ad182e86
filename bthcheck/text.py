"""Text as a terminal can show it, whatever it holds."""

import unicodedata

_HARMFUL = ("Cc", "Cs", "Zl", "Zp")
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that reorder what is shown beside them."""


def visible(text: str) -> str:
    """Return a text on one line: runs of white space become a space, characters that control a terminal their escapes."""
    return _harmless(" ".join(text.split()))


def shown(text: str, encoding: str | None) -> str:
    """Return a text as a terminal of that encoding can show it on one line: a character that it does not have is escaped."""
    encoding = encoding or "utf-8"
    return _harmless(text).encode(encoding, "backslashreplace").decode(encoding)


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


def _harmless(text: str) -> str:
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character in _DIRECTIONS or unicodedata.category(character) in _HARMFUL
        else character
        for character in text
    )
