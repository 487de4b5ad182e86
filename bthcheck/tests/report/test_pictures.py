"""Figures as a part of the page: they show the same, say nothing else, and do nothing."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from bthcheck.figures import save
from bthcheck.report.pictures import Pictures

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">'


def drawing(folder, name="a", title="mean φ"):
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot(np.arange(50), np.sin(np.arange(50)), "o-", clip_on=True)
    axes.imshow(np.eye(3), extent=(0, 10, 0, 1))
    axes.set_title(title)
    save(figure, folder / f"{name}.svg")
    return f"{name}.svg"


def test_a_figure_is_smaller_and_complete(tmp_path):
    pictures = Pictures(tmp_path)
    path = drawing(tmp_path)
    text = pictures.inline(path, "what it shows", "figure-a")
    assert len(text) < 0.6 * (tmp_path / path).stat().st_size
    root = ElementTree.fromstring(text)
    assert (root.get("id"), root.get("role"), root.get("aria-label")) == ("figure-a", "img", "what it shows")
    before = ElementTree.parse(tmp_path / path).getroot()
    kinds = {"use", "image"}
    assert all(
        sum(e.tag.endswith(kind) for e in before.iter()) == sum(e.tag.endswith(kind) for e in root.iter()) for kind in kinds
    )
    known = {e.get("id") for e in root.iter()} | set(pictures.glyphs)
    used = {e.get("href")[1:] for e in root.iter() if e.tag.endswith("use")} | set(re.findall(r"url\(#([^)]*)\)", text))
    assert used <= known


def test_figures_share_glyphs_and_no_identifier(tmp_path):
    pictures = Pictures(tmp_path)
    one, two = (pictures.inline(drawing(tmp_path, name), name, f"figure-{name}") for name in "ab")
    assert pictures.glyphs
    ids = [re.findall(r'\bid="([^"]*)"', text) for text in (one, two)]
    assert not set(ids[0]) & set(ids[1])
    assert pictures.shared().count("<path") == len(pictures.glyphs)


def test_numbers_are_rounded_to_a_hundredth_of_a_point(tmp_path):
    (tmp_path / "a.svg").write_text(f'{HEAD}<path d="M 1.23456 -0.001 L 2.5 1.2e-05 3.999 4"/></svg>')
    assert 'd="M 1.23 0 L 2.5 1.2e-05 4 4"' in Pictures(tmp_path).inline("a.svg", "")


@pytest.mark.parametrize(
    "harm",
    [
        "<script>alert(1)</script>", '<g onload="alert(1)"><path d="M 0 0"/></g>', "<style>@import url(x)</style>",
        '<image xlink:href="http://example.org/a.png"/>', '<image href="data:image/svg+xml;base64,PHN2Zy8+"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>', '<use xlink:href="other.svg#a"/>',
        '<a xlink:href="javascript:alert(1)"><path d="M 0 0"/></a>', '<path d="M 0 0" style="fill: url(http://example.org/)"/>',
        '<path d="M 0 0" fill="url(http://example.org/)"/>', '<animate attributeName="href" to="javascript:alert(1)"/>',
    ],
    ids=["script", "onload", "style", "image", "svg", "foreign", "use", "link", "style url", "fill url", "animate"],
)  # fmt: skip
def test_what_could_do_something_is_left_out(tmp_path, harm):
    (tmp_path / "a.svg").write_text(f"{HEAD}{harm}<path d='M 1 1'/></svg>")
    text = Pictures(tmp_path).inline("a.svg", "").replace('viewBox="0 0 10 10" role="img" aria-label=""', "")
    assert 'd="M 1 1"' in text
    assert not re.search(r"script|onload|import|http|foreign|javascript|other|animate|base64|<a\b|<p\b", text)


@pytest.mark.parametrize("content", ["", "<svg", "<html/>", "<svg xmlns='http://www.w3.org/2000/svg'/>", "\0",
                                     "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 a b'/>"])  # fmt: skip
def test_what_is_no_figure_is_not_shown(tmp_path, content):
    (tmp_path / "a.svg").write_text(content)
    assert Pictures(tmp_path).inline("a.svg", "") == Pictures(tmp_path).again("a.svg", "", "b") == ""
    assert Pictures(tmp_path).inline("gone.svg", "") == Pictures(tmp_path).again("gone.svg", "", "b") == ""


def test_a_figure_is_shown_again_in_its_own_proportions(tmp_path):
    again = Pictures(tmp_path).again(drawing(tmp_path), 'a "b"', "figure-a")
    use = '<use href="#figure-a" width="216" height="144"/>'
    assert again == f'<svg viewBox="0 0 216 144" role="img" aria-label="a &quot;b&quot;">{use}</svg>'
