"""Text that others wrote, shown as the characters it has: it moves no cursor, and turns no direction of writing."""

import re

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


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
