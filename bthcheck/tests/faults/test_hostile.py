"""Text that is meant to become something else where it is shown: markup, a formula, a command of a terminal."""

import html.parser
import unicodedata
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bthcheck import figures
from bthcheck.cli.command import main
from bthcheck.harness.claims import Claim, Evidence
from bthcheck.report.page import write
from bthcheck.report.terminal import verdicts
from bthcheck.text import shown

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "an end of the style": "</style></table><img src=x onerror=alert(1)>",
    "an end of CDATA": "]]><b>",
    "an attribute": '"onload="alert(1)" x=\'',
    "an end of a comment": "--><script>x</script><!--",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "ANSI": "\x1b[31m\x1b]0;title\x07red\x9b2J",
    "controls": "a\x00b\x08\x7f\x85c",
    "half a character": "\ud800 and \udfff",
    "right to left": "\u202eevil\u2066\u200f",
    "Markdown": "| a ` b | [c](javascript:alert(1))",
    "lines": "one\n\ttwo\r\nthree\u2028four",
    "a long word": "x" * 3000,
    "a formula": "$5 and $6",
    "no formula": r"$\foo{$ \frac $$",
    "hidden": "_hidden",
    "an entity": "&lt;b&gt; &#x1b;",
}
HARMLESS = "words"


def blocks():
    values = np.arange(24.0).reshape(6, 4) + np.random.default_rng(0).normal(size=(6, 4))
    return xr.DataArray(values, {"seed": range(6), "level": range(4)}, ("seed", "level"))


def written(folder, text):
    """Write a report in which a text stands wherever somebody else's can, and return it with its rows."""
    evidence = Evidence(Claim("T1", text, text, scope=text), folder)
    evidence.increases(blocks(), "level", quantity=text)
    evidence.figure(Figure(figsize=(2, 1)), text)
    evidence.note(text)
    evidence.table(text, ["a", text], [[text, 1.0]])
    other = Evidence(Claim("T2", text, text), folder)
    rows = [{**evidence.to_dict(), "status": "inconclusive", "reason": text, "nodeid": f"t.py::test[{text}]", "seconds": 1.0},
            {**other.to_dict(), "status": "error", "reason": text, "nodeid": text, "seconds": 0.0}]  # fmt: skip
    configuration = {"levels": [text, "b"], "vary": text, "seeds": [0], "training": {"epochs": 7, "dtype": "float32"}}
    experiment = {"name": text, "engine": "fused", "device": "cpu", "diverged": 0, "configuration": configuration}
    page = write(
        folder, rows, experiments=[experiment], runs={"from_cache": 0, "trained": 1, "training_seconds": 1.5},
        profile="laptop", placebo=False, baseline={}, seconds=1.0, root=folder, command=["pytest", text], state="interrupted",
    )  # fmt: skip
    return page.read_text(encoding="utf-8"), rows


class Structure(html.parser.HTMLParser):
    """The elements of a page, each with the names of its attributes."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, *(name for name, _ in attributes)))

    def handle_comment(self, data):
        self.elements.append(("comment", data))


def controls(text):
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl") or unicodedata.bidirectional(c) in ("RLO", "LRI")}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_page_has_the_same_elements_whatever_text_is_in_it(tmp_path, what):
    expected, _ = written(tmp_path / "harmless", HARMLESS)
    page, _ = written(tmp_path / "hostile", HOSTILE[what])
    assert Structure(page).elements == Structure(expected).elements
    assert len(Structure(page).elements) > 50
    assert controls(page) <= {"\n", "\t"}
    if what == "a script":
        assert page.count("&lt;script&gt;alert(1)") >= 12  # it is there to be read, wherever it was put


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_terminal_is_shown_lines_and_obeys_nothing(tmp_path, what, width):
    _, rows = written(tmp_path, HOSTILE[what])
    for line, _ in verdicts(rows, width, verbose=True):
        assert not controls(shown(line, "utf-8"))
        assert not [c for c in shown(line, "ascii") if not " " <= c <= "~"]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_figure_is_well_formed_and_shows_its_levels(tmp_path, what):
    text = HOSTILE[what]
    runs = xr.DataArray(
        np.random.default_rng(0).random((2, 3, 5)),
        {"network": [text, "b"], "seed": range(3), "epoch": range(1, 6)}, ("network", "seed", "epoch"),
        attrs={"long_name": text},
    )  # fmt: skip
    drawn = [
        figures.curves(runs, "network"),
        figures.means(runs, "network", ylabel="y"),
        figures.violins(runs[..., -1], "network"),
    ]
    for number, figure in enumerate(drawn):
        path = tmp_path / f"{number}.svg"
        figures.save(figure, path)
        root = ElementTree.parse(path).getroot()
        names = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert names <= {"svg", "metadata", "RDF", "Work", "type", "format", "creator", "Agent", "title", "defs", "style", "g",
                         "path", "use", "clipPath", "rect", "line", "polygon", "text"}  # fmt: skip
        assert not [name for element in root.iter() for name in element.attrib if name.lower().startswith("on")]
        assert controls(path.read_text(encoding="utf-8")) <= {"\n", "\t"}
    labels = [label.get_text() for axes in drawn[0].axes for label in axes.get_legend().get_texts()]
    assert len(labels) == 2  # none of them is hidden
    figures.save(drawn[0], tmp_path / "figure.png")


def test_a_figure_of_somebody_else_that_cannot_be_drawn_is_a_note(tmp_path):
    figure = Figure()
    figure.subplots().set_title(HOSTILE["no formula"])
    evidence = Evidence(Claim("T1", "A", "B"), tmp_path)
    evidence.figure(figure, "A formula.")
    assert evidence.figures == []
    assert evidence.notes[0].startswith("A figure is missing because it cannot be drawn: ")
    assert evidence.notes[0].endswith("It was: A formula.")


def test_a_session_prints_no_control_character(reference, tmp_path):
    from bthcheck.benchmark.faults.sessions import place, session

    at = place(tmp_path / "session")
    source = (at.folder / "test_claims.py").read_text(encoding="utf-8")
    hostile = "".join(HOSTILE.values())
    source = source.replace('"The loss grows with the frequency"', ascii(hostile)).replace(
        "train(EXPERIMENT)", f"train(EXPERIMENT.replace(name={hostile!a}))"
    )
    source = source.replace('isel(epoch=-1), "frequency"', f'isel(epoch=-1), "frequency", quantity={hostile!a}')
    (at.folder / "test_claims.py").write_text(source, encoding="utf-8")
    outcome = session(at, "-n", "0", "-k", "LOSS", "--color", "no", "--tb", "no")
    assert controls(outcome.text) <= {"\n"}, outcome.text
    assert r"\x1b[31m" in outcome.text
    assert outcome.code == 1


def test_the_command_prints_no_control_character_of_a_cache_or_report(tmp_path, monkeypatch, capsys):
    import json

    import bthcheck
    from bthcheck.benchmark.faults.sessions import EXPERIMENT

    monkeypatch.chdir(tmp_path)
    one = EXPERIMENT.replace(levels=(0.25,), seeds=(0,), name=HOSTILE["ANSI"] + HOSTILE["right to left"] + "\n")
    bthcheck.run(one, engine="reference", cache=tmp_path / "cache", progress=False)
    assert main(["cache", "--cache-dir", "cache"]) == 0
    (tmp_path / "reports").mkdir()
    row = {"claim": {"id": "T1"}, "status": HOSTILE["ANSI"], "reason": HOSTILE["ANSI"], "verdict": None}
    records = {"profile": HOSTILE["ANSI"], "finished": HOSTILE["ANSI"], "claims": [row]}
    (tmp_path / "reports" / "records.json").write_text(json.dumps(records))
    assert main(["show", "T1"]) == 0
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert text.count(r"\x1b") >= 4
    assert controls(text) <= {"\n"}
