"""The verdicts in Markdown, read back with a parser of GitHub's kind."""

import html.parser
import re

import pytest

from bthcheck.report.markdown import COMMENT_LIMIT, SMALLEST, STEP_LIMIT, code, escape, size, table, verdicts
from bthcheck.tests.report.rows import CALM, SESSION, URGENT, row

markdown_it = pytest.importorskip("markdown_it")
GAP = "\u200b"
HOSTILE = [
    "a | b || c",
    "`code` ``more`` `open",
    "<script>alert(1)</script> <b>bold</b> <!-- comment --> <img src=x onerror=alert(1)>",
    "&lt;script&gt; &amp; &#60;b&#62; &copy;",
    "@octocat and @org/team, mail me@example.com",
    "fixes #123, owner/repo#45, GH-6 and gh-7",
    "http://example.com https://example.com/a?b=c xhttps://x ftp://x.y www.example.com WWW.Example.com <https://a.b>",
    "$x^2$ and $$y$$ and $`z`$",
    "**bold** __bold__ *it* _it_ ~~gone~~ ~gone~",
    "[link](https://example.com) ![image](x.png) [^1] [ref][1] [x]: /y",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "12) item",
    "> quote",
    "---",
    "===",
    "***",
    "    indented",
    "\tindented",
    "```\nfence",
    "~~~\nfence",
    "one\n\ntwo\r\nthree\u2028four",
    "trailing  \nbreak\\\nbreak",
    "back\\slash \\* \\|",
    ":smile: :+1:",
    "bell \x07 escape \x1b[31m null \x00 delete \x7f",
    "half \ud800 a pair",
    "turn \u202e around \u2066",
    "| --- | --- |",
    "- [ ] task",
    "",
]


class Reader(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not {name for name, _ in attrs} - {"style"}, attrs

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)


def read(source):
    """Return the tags and the text of Markdown, which must survive a file."""
    source = source.encode("utf-8").decode("utf-8")
    reader = Reader()
    reader.feed(markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source))
    reader.close()
    return reader.tags, reader.text


def expected(text):
    """Return what a reader is to see."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def assert_unlinked(text):
    """Assert that GitHub, which looks at text when Markdown is done, finds no name, number or address to link."""
    assert not re.search(r"@\w|#\w|GH-\d|www\.|://", text, re.IGNORECASE), text


@pytest.mark.parametrize("text", HOSTILE, ids=[" ".join(text[:8].split()) or "nothing" for text in HOSTILE])
def test_what_is_escaped_is_text_wherever_it_stands(text):
    for before, tags in (("", ["p"] * bool(text)), ("- ", ["ul", "li"]), ("para\n", ["p"]), ("**x** ", ["p", "strong"])):
        found, seen = read(before + escape(text))
        assert found == tags, (before, seen)
        assert seen.replace(GAP, "").strip().endswith(expected(text))
        assert_unlinked(seen)
    assert "\n" not in escape(text)
    assert read(code(text))[0] == ["p", "code"]
    for math in ("$", "@", "`"):
        assert math not in escape(text)


def test_cells_stay_in_their_columns():
    lines = table(["one", "two"], [[escape(text), escape("end")] for text in HOSTILE], numbers=["two"])
    tags, seen = read("\n".join(lines))
    assert seen.split("\n").count("end") == len(HOSTILE)  # what is too much for a row would be dropped
    assert tags.count("tr") == len(HOSTILE) + 1
    assert tags.count("td") == 2 * len(HOSTILE)
    assert set(tags) == {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("limit", [SMALLEST, 8_000, COMMENT_LIMIT, STEP_LIMIT])
def test_hostile_claims_are_told_in_any_size(limit):
    rows = [row(f"H{i}", "refuted", statement=text, reason=text * 40, changes=[text]) for i, text in enumerate(HOSTILE)]
    rows += [row(f"S{i}", "supported", statement=text, on_record="@evil | `") for i, text in enumerate(HOSTILE)]
    text = verdicts(rows, profile="laptop", limit=limit, footer=HOSTILE[:4])
    assert size(text) <= limit
    tags, seen = read(text)
    assert set(tags) <= {"h3", "p", "ul", "li", "strong", "em", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert_unlinked(seen)
    assert seen.startswith("bthcheck: verdicts, profile laptop")


def test_what_needs_attention_stands_first():
    text = verdicts(SESSION, profile="quick", footer=["Report: reports/index.html"])
    tags, seen = read(text)
    assert tags.count("tr") == len(SESSION) + 1
    places = [text.index(f"**{id}**") for id in URGENT]
    assert places == sorted(places)
    assert max(places) < text.index("| claim |")
    for said in (
        "❌ 4 supported; 1 not supported, as on record", "⚠️ WORSE inconclusive, on record supported: It was better",
        "p is 0.3",
        "BAD refuted, nothing on record: It is refuted", "MOVED supported, as on record: It holds less",
        "changed: effect 0.4, on record 0.9", "worker 'gw0' crashed",
        "Report: reports/index.html", "[-0.75, 0.12]",
    ):  # fmt: skip
        assert said in seen, said
    cells = seen[seen.index("\nclaim\n") :].split()
    assert [word for word in cells if word in URGENT + CALM] == URGENT + CALM
    assert "Left out" not in seen
    calm = verdicts([row("T", "supported", on_record="supported")], profile="quick")
    assert "✅ 1 supported; nothing has changed" in read(calm)[1]
    placebo = read(verdicts([row("T", "supported", on_record="supported")], profile="quick", placebo=True))[1]
    assert "❌ 1 supported" in placebo
    assert "on record" not in placebo


def test_the_least_important_is_left_out_first_and_said():
    rows = [row(f"BAD{i}", "refuted", reason="why " * 200, statement=f"Claim {i} holds") for i in range(20)]
    rows += [row(f"KNOWN{i}", "vacuous", on_record="vacuous", statement="Long " * 40) for i in range(20)]
    rows += [row(f"GOOD{i}", "supported", statement="Long " * 40) for i in range(40)]
    whole = size(verdicts(rows, profile="laptop", limit=STEP_LIMIT))
    seen, said = [], []
    for limit in range(whole, SMALLEST, -200):
        text = verdicts(rows, profile="laptop", limit=limit)
        assert size(text) <= limit
        left_out = re.search(r"Left out, for want of room: (.*)\.\n", read(text)[1])
        seen.append(text)
        said.append("" if left_out is None else left_out[1])
    order = list(dict.fromkeys(re.sub(r"\d+ more claims?", "N more claims", sentence) for sentence in said))
    assert order == [
        "", "the statements of claims", "40 supported claims, and the statements of the others", "the table of claims",
        "the table of claims, and what is long of reasons", "N more claims to look at, and the table of claims",
    ]  # fmt: skip
    for text, sentence in zip(seen, said, strict=True):
        named = set(re.findall(r"\*\*(BAD\d+)\*\*", text))
        more = int(re.match(r"(\d+) more", sentence)[1]) if " more " in sentence else 0
        assert len(named) == 20 - more
        assert ("KNOWN3" in text) == ("table" not in sentence)
        assert ("GOOD3" in text) == (sentence in order[:2])


def test_a_limit_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="limit must be at least 4000 bytes, got 10"):
        verdicts([], profile="laptop", limit=10)
    assert size(verdicts([], profile="laptop", limit=SMALLEST, footer=["@" * 999] * 4)) <= SMALLEST
