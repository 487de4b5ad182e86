"""Characters that control what is shown after them are shown as their escapes, and no others."""

import re
import unicodedata

from bthcheck.text import visible


def test_every_character_that_controls_something_is_shown_as_its_escape():
    """By Unicode's own tables: controls, surrogates, separators of lines, and what turns the direction of text."""
    turning = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    marks = {"\u200e", "\u200f", "\u061c"}
    for number in range(0x10000):
        character = chr(number)
        controls = (
            unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(character) in turning
            or character in marks
        )
        shown = visible(character)
        if controls:
            assert re.fullmatch(r"\\[xutnr][0-9a-f]*", shown), number
        elif number not in (0xFEFF, 0xFFFE, 0xFFFF):
            assert shown == character, number
    assert visible("\x1b[31mred\u202e\ud800") == r"\x1b[31mred\u202e\ud800"
    assert visible("φ 𝜑 שלום <b>") == "φ 𝜑 שלום <b>"


def test_ends_of_lines_may_stay():
    assert visible("a\n\tb\x00") == r"a\n\tb\x00"
    assert visible("a\n\tb\x00", keep="\n\t") == "a\n\tb" + r"\x00"
