"""Text as a terminal shows it."""

import pytest

from bthcheck.text import columns, cut, one_line, shown


def test_a_line_is_shown_in_what_the_terminal_has():
    assert shown("φ ≤ 2", "ascii") == r"\u03c6 \u2264 2"
    assert shown("φ \ud800", "utf-8") == r"φ \ud800"
    assert shown("φ", None) == "φ"
    assert shown("    indented", None) == "    indented"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("bell\a", r"bell\x07"),
        ("del\x7f and \x9b31m", r"del\x7f and \x9b31m"),
        ("right\u202eleft", r"right\u202eleft"),
        ("line\u2028line", "line line"),
        ("one\n\ttwo", "one two"),
    ],
    ids=["ANSI", "bell", "delete", "direction", "line", "white space"],
)
def test_nothing_controls_the_terminal(text, expected):
    assert one_line(text) == expected
    assert not [character for character in shown(text, "utf-8") if ord(character) < 32]


def test_columns_of_wide_and_of_combining_characters():
    assert [columns(text) for text in ("abc", "深い", "e\u0301", "", "\u200b")] == [3, 4, 1, 0, 0]


@pytest.mark.parametrize("width", range(12))
def test_what_is_cut_fits(width):
    for text in ("training", "深い学習", "e\u0301e\u0301e\u0301e\u0301e\u0301"):
        short = cut(text, width)
        assert columns(short) <= width
        assert short == text or columns(text) > width
    assert cut("training", 8) == "training"
    assert cut("training", 7) == "trai..."
