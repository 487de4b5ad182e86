"""The report: complete, self-contained, and readable by a browser."""

import html
import html.parser
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib.figure import Figure

from bthcheck.harness.claims import Claim, Evidence
from bthcheck.report.experiments import distinct
from bthcheck.report.numbers import count, effect, number, numbers, p_value
from bthcheck.report.page import MOST_ROWS, render, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REQUIRED = os.environ.get("BTHCHECK_REQUIRE_CHROMIUM") == "1"


@pytest.fixture
def report(tmp_path, blocks):
    """A report of three claims, one of them crashed, and the folder it is in."""
    folder = tmp_path / "reports"
    good = Evidence(Claim("T1", "A <b>bold</b> statement", "Theorem 1", scope="always"), folder)
    good.increases(blocks(np.arange(40.0).reshape(10, 4)), "frequency", quantity="mean φ")
    good.figure(Figure(figsize=(3, 2)), "A figure.")
    good.figure(Figure(figsize=(7.4, 2)), "A panorama.")
    good.note("A note & an ampersand.")
    open_ = Evidence(Claim("T2", "Noise", "Theorem 2"), folder)
    open_.increases(blocks(np.random.default_rng(0).normal(size=(10, 4))), "frequency", quantity="noise")
    rows = [
        {**open_.to_dict(), "status": "inconclusive", "nodeid": "claims/t.py::test_2", "seconds": 1.0},
        {**good.to_dict(), "status": "supported", "nodeid": "claims/t.py::test_1", "seconds": 2.5},
    ]
    crashed = {"claim": {"id": "T3", "statement": "It crashes", "source": "Fig. 9", "scope": "", "kind": "trend"}}
    rows.insert(0, {**crashed, "verdict": None, "status": "crashed", "reason": "worker 'gw0' crashed", "findings": [],
                    "figures": [], "notes": [], "tables": [], "nodeid": "claims/t.py::test_3", "seconds": 0.0})  # fmt: skip
    experiment = {
        "name": "sinusoids", "engine": "fused", "device": "cpu", "diverged": 0,
        "configuration": {
            "levels": [0.25, 1.0], "vary": "frequency", "seeds": [0, 1], "training": {"epochs": 7, "dtype": "float32"}
        },
    }  # fmt: skip
    runs = {"from_cache": 0, "trained": 1, "training_seconds": 1.5}
    return write(
        folder, rows, experiments=[experiment], runs=runs, profile="laptop", placebo=False, baseline={"T2": "supported"},
        seconds=12.3, root=tmp_path, command=["pytest", "claims", "-n", "4"],
    )  # fmt: skip


def test_everything_is_said(report):
    page = report.read_text()
    for text in (
        "T1", "A &lt;b&gt;bold&lt;/b&gt; statement", "Theorem 1", "always", "mean φ", "Page&#39;s L", "A figure.",
        "A note &amp; an ampersand.", "10 seeds", "mean within-seed Kendall τ", "on record: supported", "crashed",
        "worker &#39;gw0&#39; crashed", "sinusoids", "engine fused on cpu", "1 run trained", "pytest claims -n 4", "numba",
        "claims/t.py::test_1",
    ):  # fmt: skip
        assert text in page, text
    urgent = page[page.index("To be looked at") : page.index("What the paper states and shows")]
    assert re.findall(r'<a href="#(T\d)">', urgent) == ["T3", "T2"]  # worst first
    assert re.findall(r'<article id="(T\d)"', page) == ["T1", "T2", "T3"]  # as the paper has them


def test_of_many_seeds_the_page_shows_some_and_the_records_have_all(tmp_path, blocks):
    values = blocks(1e-3 * np.arange(4000.0).reshape(1000, 4) ** 2)
    evidence = Evidence(Claim("T1", "Much", "Theorem 1"), tmp_path)
    evidence.increases(values, "frequency", quantity="mean φ")
    row = {**evidence.to_dict(), "status": "supported", "nodeid": "t.py::test_1", "seconds": 1.0}
    configuration = {
        "levels": [0.25, 1.0], "vary": "frequency", "seeds": [*range(1000)], "training": {"epochs": 7, "dtype": "float32"}
    }  # fmt: skip
    experiment = {"name": "many", "engine": "fused", "device": "cpu", "diverged": 0, "configuration": configuration}
    runs = {"from_cache": 0, "trained": 1, "training_seconds": 1.5}
    write(
        tmp_path, [row], experiments=[experiment], runs=runs, profile="laptop", placebo=False, baseline={}, seconds=1.0,
        root=tmp_path, command=["pytest"],
    )  # fmt: skip
    page, records = ((tmp_path / name).read_text() for name in ("index.html", "records.json"))
    (table,) = re.findall(r"a row a seed</summary>.*?</details>", page, re.DOTALL)
    assert [int(seed) for seed in re.findall(r"<tr><td>(\d+)</td>", table)] == [*range(MOST_ROWS)]
    assert f"The first {MOST_ROWS} of 1000 seeds" in table
    assert json.loads(records)["claims"][0]["findings"][0]["table"]["values"] == values.transpose("seed", ...).values.tolist()
    (shown,) = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert json.loads(html.unescape(shown)) == configuration
    assert "1000 seeds (0 to 999)" in page


def test_numbers_that_follow_each_other_are_a_range():
    for values, text in (
        ([], ""), ([3], "3"), ([3, 4], "3, 4"), ([0, 1, 2], "0 to 2"), ([0, 1, 2, 5, 7, 8, 9, 4], "0 to 2, 5, 7 to 9, 4"),
        ([2, 1, 0], "2, 1, 0"),
    ):  # fmt: skip
        assert numbers(values) == text


def test_a_wide_figure_has_a_row_to_itself(report):
    page = report.read_text()
    assert re.findall(
        r'<figure( class="wide")?>\n<div class="plot"[^>]*><svg id="figure-T1-\d" [^>]*aria-label="([^"]*)"', page
    ) == [
        ("", "A figure."),
        (' class="wide"', "A panorama."),
    ]


def test_report_needs_nothing_from_outside(report):
    page = report.read_text()
    references = re.findall(r"""(?:src|href)=["']([^"']*)""", page)
    assert references
    beside = {path.relative_to(report.parent).as_posix() for path in report.parent.rglob("*.*")}
    linked = {reference for reference in references if not reference.startswith(("data:", "#"))}
    assert linked - beside == {"https://arxiv.org/abs/2106.04186"}  # a link to the paper, of which nothing is loaded
    assert not re.search(r"<(?:img|script|link|iframe|object|embed|source|video|audio)[^>]*\s(?:src|href|data)=", page)
    assert "@import" not in page
    assert set(re.findall(r"url\(.", page)) <= {"url(#"}
    assert not re.search(
        r"\b(?:fetch|XMLHttpRequest|WebSocket|import)\b", "".join(re.findall(r"<script>(.*?)</script>", page, re.DOTALL))
    )


def test_all_is_readable_without_scripts(report):
    """What a script only can serve is hidden until one runs, and a script hides nothing by itself."""
    page = report.read_text()
    without = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    hidden = re.findall(r"<(\w+)[^>]* hidden>", without)
    assert set(hidden) == {"form", "button"}
    for text in ("A figure.", "worker &#39;gw0&#39; crashed", "mean φ", "How it was tested"):
        assert text in without


class Checker(html.parser.HTMLParser):
    """Counts that every element that is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.bad = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(tag)


def test_report_is_well_formed(report):
    checker = Checker()
    checker.feed(report.read_text())
    assert checker.bad == checker.open == []


def written(folder, **changes):
    given = {
        "claims": [], "experiments": [], "runs": {"from_cache": 0, "trained": 0, "training_seconds": 0.0}, "profile": "laptop",
        "placebo": False, "baseline": {}, "seconds": 1.0, "root": folder, "command": ["pytest", "claims"],
    }  # fmt: skip
    return write(folder / "out", **(given | changes))


def test_records_are_json_whatever_was_measured(tmp_path):
    """NaN and infinity are no JSON, and half of a surrogate pair is no UTF-8."""
    page = written(tmp_path, seconds=np.float64(1.0), command=["pytest", "\udcff"], runs={
        "from_cache": np.int64(3), "trained": 0, "training_seconds": float("inf")
    })  # fmt: skip

    def refuse(word):
        raise AssertionError(word)

    records = json.loads((page.parent / "records.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert records["runs"] == {"from_cache": 3, "trained": 0, "training_seconds": None}
    assert records["command"] == "pytest '\udcff'"


def test_a_full_disk_leaves_the_report_that_was_there(tiny_disk):
    page = written(tiny_disk)
    before = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    assert sorted(before) == ["index.html", "records.json"]
    with pytest.raises(OSError, match=r"No space left on device: '.*records\.json'"):
        written(tiny_disk, command=["x" * 60_000])
    assert {path.name: path.read_bytes() for path in page.parent.iterdir()} == before


def test_experiments_of_one_name_are_told_apart(tmp_path):
    entries = [
        {"name": "dropout", "engine": "fused", "device": "cpu", "diverged": 0, "configuration": {
            "levels": [1], "vary": "depth", "seeds": [0], "training": {"epochs": epochs, "dtype": "float32"}}}
        for epochs in (300, 500)
    ]  # fmt: skip
    text = written(tmp_path, experiments=distinct(entries)).read_text(encoding="utf-8")
    assert "<b>dropout (epochs 300)</b>" in text
    assert "<b>dropout (epochs 500)</b>" in text


def test_a_figure_that_is_gone_does_not_take_the_report_along(report):
    records = json.loads((report.parent / "records.json").read_text(encoding="utf-8"))
    figure = next(row for row in records["claims"] if row["figures"])["figures"][0]["path"]
    (report.parent / figure).unlink()
    (report.parent / figure).mkdir()
    page = render(records, report.parent)
    assert "A figure." in page
    assert f"<code>{figure}</code>, is gone or cannot be shown" in page


def test_records_say_the_same(report):
    records = json.loads((report.parent / "records.json").read_text())
    assert [row["status"] for row in records["claims"]] == ["crashed", "inconclusive", "supported"]
    assert records["runs"] == {"from_cache": 0, "trained": 1, "training_seconds": 1.5}
    assert records["environment"]["numpy"] == np.__version__


def browse(arguments, path, profile, timeout=120):
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--hide-scrollbars",
         f"--user-data-dir={profile}", *arguments, path.as_uri()],
        capture_output=True, text=True, timeout=timeout, check=True,
    )  # fmt: skip


@pytest.mark.skipif(not CHROMIUM and not REQUIRED, reason="no Chromium")
def test_a_browser_shows_it_on_any_width(report, tmp_path):
    shown = browse(["--dump-dom"], report, tmp_path / "profile").stdout
    assert "What training reveals" in shown
    assert len(re.findall('class="verdict good">supported', shown)) >= 2
    for width in (390, 1200):
        picture = tmp_path / f"{width}.png"
        browse([f"--window-size={width},1400", f"--screenshot={picture}"], report, tmp_path / "profile")
        from matplotlib.image import imread

        pixels = imread(picture)
        assert pixels.shape[:2] == (1400, width)
        ink = (pixels[..., :3].min(axis=2) < 0.5).mean()
        assert 0.005 < ink < 0.3, width  # text on a page, neither blank nor black
        assert (pixels[:, -3:, :3] > 0.99).mean() > 0.98, width  # nothing runs off the right edge


def test_numbers():
    assert (p_value(None), p_value(4.94e-13), p_value(1.0)) == ("", "4.9e-13", "1")
    assert (number(None), number(0.123456), number("x")) == ("–", "0.1235", "x")
    assert effect({"effect": 0.5, "interval": [0.25, 1.0]}) == "0.50 [0.25, 1.00]"
    assert effect({"effect": None}) == ""
    assert (count(1, "run"), count(0, "run"), count(2, "seed")) == ("1 run", "0 runs", "2 seeds")
