"""What a session prints when it ends."""

import itertools

import pytest

from bthcheck.report.records import needs_attention
from bthcheck.report.terminal import summary, verdicts
from bthcheck.tests.report.rows import CALM, SESSION, URGENT, row
from bthcheck.text import columns


def text(rows, width=100, **options):
    return "\n".join(line for line, _ in verdicts(rows, width, **options))


def test_who_needs_attention():
    assert [one["claim"]["id"] for one in SESSION if needs_attention(one)] == URGENT
    assert needs_attention(row("S", "skipped", on_record="supported"))
    assert not needs_attention(row("V", "vacuous", on_record="vacuous"))
    assert needs_attention(row("V", "vacuous", on_record="vacuous", changes=["p 0.1, on record 0.2"]))


def test_only_what_needs_attention_is_told_in_full():
    printed = text(SESSION)
    lines = printed.splitlines()
    for one in SESSION:
        assert (f"    {one['claim']['statement']}" in lines) == (one["claim"]["id"] in URGENT)
    first = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert first == ["claim", *CALM, *URGENT]  # what needs attention stands last, where one looks first
    at = lines.index(next(line for line in lines if line.startswith("WORSE")))
    assert lines[at].split() == ["WORSE", "inconclusive", "supported", "-0.50", "[-0.75,", "0.12]", "0.3", "8", "1.0"]
    assert lines[at + 1 : at + 4] == ["    It was better", "    p is 0.3", "    on record: supported"]
    at = lines.index(next(line for line in lines if line.startswith("MOVED")))
    assert lines[at + 1 :][:3] == ["    It holds less", "    on record: supported", "    changed: effect 0.4, on record 0.9"]
    at = lines.index(next(line for line in lines if line.startswith("BAD")))
    assert lines[at + 3] == "    nothing is on record"


def test_verbose_tells_all_statements_and_why_claims_are_not_supported():
    printed = text(SESSION, verbose=True)
    assert all(one["claim"]["statement"] in printed for one in SESSION)
    assert "    p is 0.25" in printed
    assert "p is 0.25" not in text(SESSION)


def test_a_search_that_found_a_counterexample_shows_it_where_statements_are():
    found = row("X2", "supported", reason="the counterexample is W = 0")
    found["findings"][0]["test"] = "counterexample"
    assert "the counterexample is W = 0" in text([found], verbose=True)
    assert "the counterexample is W = 0" not in text([found])


def test_columns_are_aligned():
    header, *lines = [line for line in text(SESSION).splitlines() if not line.startswith(" ")]
    for name in ("verdict", "on record", "effect", "p ", "seeds"):
        start = header.index(name)
        assert {line[start - 2 : start] for line in lines if len(line) > start} == {"  "}, name


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120])
def test_every_line_fits(width):
    long = row("A-claim-with-a-very-long-name", "inconclusive", reason="r" * 300, statement="a word " * 40)
    printed = verdicts([*SESSION, long], width, verbose=True)
    assert max(columns(line) for line, _ in printed) <= width
    whole = "".join("".join(line for line, _ in printed).split())
    assert "r" * 300 in whole
    for one in SESSION:
        assert one["claim"]["id"] in whole
        assert one["status"].replace(" ", "") in whole


def test_the_least_important_columns_go_first():
    header = [text(SESSION, width).splitlines()[0].split("  ") for width in (100, 62, 52, 45, 25)]
    names = [[name.strip() for name in cells if name.strip()] for cells in header]
    assert names[0] == ["claim", "verdict", "on record", "effect [95 %]", "p", "seeds", "s"]
    assert names[-1] == ["claim", "verdict"]
    assert all(set(less) < set(more) for more, less in itertools.pairwise(names)), names


def test_a_placebo_is_to_come_out_unsupported_and_has_no_record():
    rows = [row("T1", "supported", on_record="supported"), row("T2", "inconclusive", on_record="supported")]
    assert [needs_attention(one, placebo=True) for one in rows] == [True, False]
    assert "on record" not in text(rows, placebo=True).replace("on record ", "", 1)
    assert summary(rows, placebo=True) == "1 supported; 1 inconclusive"


def test_the_summary_says_counts_what_is_on_record_and_what_has_changed():
    assert summary(SESSION) == (
        "4 supported; 1 not supported, as on record; 1 in error; 1 crashed; 1 without a verdict; 1 refuted; 1 inconclusive;"
        " 1 skipped; changed: WORSE (inconclusive, on record supported), BETTER (supported, on record inconclusive),"
        " MOVED (numbers)"
    )
    known = [row(str(number), "inconclusive", on_record="inconclusive") for number in range(6)]
    assert summary([*known, row("T", "supported", on_record="supported")]) == (
        "1 supported; 6 not supported, as on record; nothing has changed"
    )
    assert summary([row("T", "supported")]) == "1 supported"  # there is no record
    assert summary([]) == ""
    many = [row(str(number), "refuted", on_record="supported") for number in range(12)]
    assert summary(many).endswith("9 (refuted, on record supported), 2 more")


def test_hostile_text_does_not_reach_the_terminal():
    hostile = row("T", "refuted", reason="\x1b[2J gone \ud800 \u202e", statement="one\n\ttwo\r\x07")
    printed = text([hostile], encoding="ascii")
    assert "    one two \\x07" in printed
    assert r"\x1b[2J gone \ud800 \u202e" in printed
    assert printed.isascii()
    assert printed.replace("\n", "").isprintable()
