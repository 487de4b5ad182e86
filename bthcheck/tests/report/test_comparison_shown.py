"""A comparison as it is shown: on a terminal, as a page and as Markdown, whatever its text holds."""

import html.parser
import re

import pytest

from bthcheck.report import comparison_page
from bthcheck.report.comparison import compare
from bthcheck.report.comparison_markdown import LIMIT, markdown
from bthcheck.report.comparison_text import lines
from bthcheck.report.differences import differences_of
from bthcheck.report.markdown import size
from bthcheck.tests.report.snapshots import MACHINE, claim, exact, experiment, kept, one, trend

HOSTILE = "<script>alert(1)</script> & \"'|` \x1b[31m\u202e@octocat #1 www.x.y\n# new"
NAMES = ("before <b>.json", "after |.json")


def everything():
    """Return a comparison in which there is something of each kind."""
    first, second = experiment(rate=0.001), experiment(rate=0.0012)
    steady = experiment(name="steady")
    other = MACHINE | {"digest": "m2", "features": "avx512"}
    before = kept({
        "T1": claim(trend("loss"), verdict="supported", trained=[first], statement="It grows"),
        "T2": claim(exact("1 ≤ 2"), trend("same"), trained=[steady], constants={"WINDOW": "100"}),
        "OLD": claim(),
    }, first, steady)  # fmt: skip
    after = kept({
        "T1": claim(trend("loss", shift=4.0, effect=0.2, verdict="inconclusive"), verdict="inconclusive", trained=[second],
                    statement="It grows"),
        "T2": claim(exact("1 ≤ 2"), trend("same"), trained=[steady], constants={"WINDOW": "10"}, code="c2"),
        "NEW": claim(),
    }, second, steady)  # fmt: skip
    after["environments"] |= {"m2": other}
    return differences_of(compare(before, after), "numbers", notes=["One claim has no verdict"])


def hostile():
    """Return a comparison of which all text wants to be something else."""
    first, second = experiment(name=HOSTILE), experiment(name=HOSTILE, rate=0.0012)
    other = MACHINE | {"digest": "m2", "features": HOSTILE}
    before = kept({"T1": claim(trend(HOSTILE), trained=[first], statement=HOSTILE, constants={"WINDOW": HOSTILE})}, first)
    after = kept(
        {"T1": claim(trend(HOSTILE, shift=4.0, verdict="refuted", effect_name=HOSTILE), verdict="refuted", trained=[second],
                     code="c2", statement=HOSTILE, constants={"WINDOW": "1" + HOSTILE})},
        second, machine=other,
    )  # fmt: skip
    return differences_of(compare(before, after), "numbers", notes=[HOSTILE])


def terminal(found, width, verbose=False):
    return [line for line, _ in lines(found, *NAMES, width, verbose=verbose)]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_terminal_says_everything_in_its_order(width):
    text = terminal(everything(), width)
    assert max(map(len, text)) <= width
    whole = " ".join(" ".join(text).split())
    said = [
        "on record: before <b>.json", "now: after |.json", "2 of 2 claims differ, and 1 fails (checked: numbers).",
        "One claim has no verdict.", "Verdicts", "T1: inconclusive, on record supported", "It grows", "Effects: 1 finding of 3",
        "0.90 [0.85, 0.95]", "0.20 [0.15, 0.25]", "-0.7", "loss at", "Tests whose own code is another",
        "WINDOW 10, on record 100",
        "Experiments that differ", "learning_rate 0.0012, on record 0.001", "Bits: 6 of 6 runs", "Claims on record alone",
        "OLD (supported)", "Claims not on record", "NEW (supported)", "Machines and libraries",
        "vector units: avx2 / avx512, on record avx2", "the same: numpy",
    ]  # fmt: skip
    places = [whole.find(part) for part in said]
    assert -1 not in places, said[places.index(-1)]
    assert places == sorted(places)


def test_what_agrees_is_said_in_full_where_it_is_asked_for():
    assert "the same numbers for 10 seeds" not in " ".join(terminal(everything(), 200))
    verbose = " ".join(terminal(everything(), 200, verbose=True))
    assert "the same numbers for 10 seeds" in verbose
    assert "torch 2.6" in verbose


def test_colours_tell_failures_from_what_is_only_said():
    coloured = {color: line for line, color in lines(everything(), *NAMES, 120) if color and color != "bold"}
    assert "learning_rate" in coloured["red"]
    assert "WINDOW" in coloured["yellow"]
    calm = lines(differences_of(compare(one(), one()), "numbers"), *NAMES, 120)
    assert {color for _, color in calm} == {"", "bold", "green"}


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_obeys_nothing(width):
    text = "".join(terminal(hostile(), width, verbose=True))
    assert not re.findall(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert r"\x1b[31m" in text


class Checker(html.parser.HTMLParser):
    """Counts that every element that is opened is closed, and keeps what is read."""

    def __init__(self):
        super().__init__()
        self.open, self.bad, self.tags, self.text = [], [], set(), ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(tag)

    def handle_data(self, data):
        self.text += data


def read(page):
    checker = Checker()
    checker.feed(page)
    assert checker.bad == checker.open == []
    return checker


def test_the_page_says_everything_in_its_order():
    page = comparison_page.page(everything(), *NAMES)
    text = " ".join(read(page).text.split())
    said = [
        "before <b>.json", "after |.json", "2 of 2 claims differ, and 1 fails", "One claim has no verdict",
        "Verdicts that differ",
        "inconclusive", "Effects that differ", "0.90 [0.85, 0.95]", "0.20 [0.15, 0.25]", "-0.7", "differs : loss at",
        "Tests whose own code is another", "WINDOW 10, on record 100", "Experiments whose configuration differs",
        "learning_rate 0.0012, on record 0.001", "6 of 6 runs", "on record alone: OLD (supported)",
        "not on record: NEW (supported)", "Everything that was compared: 3 findings", "1 ≤ 2", "Machines and libraries",
        "avx512",
        "The rest, which is the same", "torch",
    ]  # fmt: skip
    text = text.replace("differs: ", "differs : ")
    places, start = [], 0
    for part in said:
        assert part in text[start:], part
        start = text.index(part, start)
        places.append(start)
    assert "src=" not in page
    assert "http" not in page


def test_no_text_is_part_of_the_page():
    checker = read(comparison_page.page(hostile(), HOSTILE, HOSTILE))
    assert "script" not in checker.tags
    assert checker.text.count("<script>alert(1)</script>") >= 8


def test_a_page_is_written_whole(tmp_path):
    path = tmp_path / "page.html"
    comparison_page.write(path, everything(), *NAMES)
    assert path.read_text(encoding="utf-8") == comparison_page.page(everything(), *NAMES)
    with pytest.raises(OSError, match=r"nowhere"):
        comparison_page.write(tmp_path / "nowhere" / "page.html", everything(), *NAMES)


def test_markdown_says_everything_in_its_order():
    text = html.unescape(markdown(everything(), *NAMES))
    said = [
        "### bthcheck compare: ❌ 2 of 2 claims differ", "before <b>.json", "after |.json",
        "One claim has no verdict", "#### Verdicts", "| T1 | supported | **inconclusive** | It grows |",
        "#### Effects that differ",
        "| T1 | loss | 0.90 [0.85, 0.95] | 0.20 [0.15, 0.25] | -0.7 |",
        "#### Tests whose own code is another",
        "WINDOW 10, on record 100", "#### Experiments that differ", "0.0012, on record 0.001", "6 of 6 runs",
        "OLD (supported)", "NEW (supported)", "#### Machines", "| vector units | avx2 | avx2 / avx512 |", "<details>",
        "| T2 | 1 ≤ 2", "</details>", "the 2 that there may be together raise a false alarm in at most 1 % of comparisons",
    ]  # fmt: skip
    places = [text.find(part) for part in said]
    assert -1 not in places, said[places.index(-1)]
    assert places == sorted(places)
    calm = markdown(differences_of(compare(one(), one()), "numbers"), *NAMES)
    assert calm.startswith("### bthcheck compare: ✅ Nothing differs")


def test_no_text_is_markdown():
    text = markdown(hostile(), HOSTILE, HOSTILE)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "@octocat" not in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("| T1")} == {5, 7}  # no cell is more than one
    assert not [line for line in text.splitlines() if line.startswith(("# ", "#1"))]


def test_markdown_is_short_enough_for_a_comment():
    many = {f"C{i}": [trend(f"{'long ' * 30}{j}") for j in range(5)] for i in range(60)}
    moved = {id: [{**f, "table": trend(shift=4.0)["table"]} for f in findings] for id, findings in many.items()}
    before = kept({id: claim(*findings) for id, findings in many.items()})
    agreeing = markdown(differences_of(compare(before, before), "numbers"), *NAMES)
    assert size(agreeing) <= LIMIT
    assert "300 findings of which nothing differs, left out for want of room." in agreeing
    assert "<details>" not in agreeing
    after = kept({id: claim(*findings, verdict="refuted", statement="x" * 900) for id, findings in moved.items()})
    differing = markdown(differences_of(compare(before, after), "numbers"), *NAMES)
    assert size(differing) <= LIMIT
    assert "| C0 | supported | **refuted** |" in differing
    short = markdown(differences_of(compare(before, after), "numbers"), *NAMES, limit=4000)
    assert size(short) <= 4000
    assert short.rstrip().endswith("_Left out for want of room: the rest._")
