"""The report for those who do not see it, or not as others do: axe-core in a real browser, at three widths, light and dark.

axe-core is one file, which npm installs (`.ci/run`); the test finds it by the environment variable BTHCHECK_AXE or in
node_modules beside the project.
"""

import base64
import html
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import bthcheck
from bthcheck import figures
from bthcheck.experiments import SINUSOIDS
from bthcheck.harness.claims import Claim, Evidence
from bthcheck.networks import MLP
from bthcheck.report.page import write
from bthcheck.report.training import write_beside
from bthcheck.tests.report.test_report import CHROMIUM, REQUIRED, browse

PLACES = [os.environ.get("BTHCHECK_AXE"), Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"]
AXE = next((Path(place) for place in PLACES if place and Path(place).is_file()), None)
WIDTHS, SCHEMES = (360, 800, 1440), ("light", "dark")
LOOK = """
addEventListener("load", () => setTimeout(() => axe.run(document, {iframes: false}).then((found) => parent.postMessage({
  scheme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light", width: innerWidth, passes: found.passes.length,
  wide: document.documentElement.scrollWidth > innerWidth,
  violations: found.violations.map((v) => [v.id, v.help, v.nodes.slice(0, 5).map((n) => n.html.slice(0, 200))])}, "*")), 0));
"""


def looked_at(page, folder):
    """Return what axe finds in a page at every width and in every scheme, one by one, each in a frame of that width."""
    script = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{LOOK}</script></body>"
    copy = folder / "copy.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    wanted = json.dumps([(width, scheme) for width in WIDTHS for scheme in SCHEMES])
    outer = folder / "outer.html"
    outer.write_text(
        f"""<!DOCTYPE html><html><body><pre id="found"></pre><script>
const wanted = {wanted}, found = [];
const next = () => {{
  document.querySelector("iframe")?.remove();
  if (found.length === wanted.length) {{
    document.getElementById("found").textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
    return;
  }}
  const [width, scheme] = wanted[found.length];
  const frame = document.createElement("iframe");
  frame.style = `width: ${{width}}px; height: 900px; border: 0; color-scheme: ${{scheme}}`;
  frame.src = "copy.html";
  document.body.append(frame);
}};
addEventListener("message", (event) => {{ found.push(event.data); next(); }});
next();
</script></body></html>""",
        encoding="utf-8",
    )
    shown = browse(
        ["--dump-dom", "--virtual-time-budget=600000", "--window-size=1500,1000"], outer, folder / "profile", timeout=300
    ).stdout
    (text,) = re.findall(r'<pre id="found">([^<]*)</pre>', shown)
    assert text, "axe came to no end"
    return json.loads(base64.b64decode(html.unescape(text)).decode("utf-8"))


@pytest.fixture
def everything(tmp_path, blocks):
    """A report in which everything is that a report may have: all tones, figures, tables, an experiment, a record."""
    folder = tmp_path / "reports"
    rows = []
    rng = np.random.default_rng(0)
    for number, (id, source, status) in enumerate([
        ("T1", "Theorem 1, Fig. 1b", "supported"), ("T3", "Fig. 1a", "refuted"),
        ("X7", "Theorem 2 at fixed weights, Fig. 6", "vacuous"),
        ("T8", "Appendix, batch size", "inconclusive"), ("S", "Scope of Theorem 1 (not in the paper)", "supported"),
        ("BAD", "Fig. 1c", "refuted"), ("E1", "beyond", "crashed"),
    ]):  # fmt: skip
        evidence = Evidence(Claim(id, f"Statement {number}", source, family="extensions" if id == "E1" else "paper"), folder)
        values = blocks(rng.lognormal(size=(10, 4)))
        if status != "crashed":
            evidence.increases(values, "frequency", quantity="mean φ")
            evidence.at_most([1.0, 2.0], [2.0, 9.0], 1e-9, quantity="a ≤ b")
            if number < 2:
                drawn = figures.violins(values, "frequency", ylabel="mean φ", log=True)
                evidence.figure(drawn, f"{source}: every seed is a line.")
                evidence.figure(figures.scatter(values, values**2, "frequency", xlabel="x", ylabel="y"), "One against another.")
            evidence.table("A table", ["", "one"], [["a", 1]])
            evidence.note("A note.")
        verdict = None if status == "crashed" else status
        rest = {"verdict": verdict, "status": status, "reason": "why", "nodeid": "t.py::t", "seconds": 1.0}
        rows.append(evidence.to_dict() | rest)
    training = {"epochs": 7, "dtype": "float32"}
    configuration = {"levels": [0.25, 1.0], "vary": "frequency", "seeds": [0, 1], "training": training}
    experiment = {"name": "sinusoids", "engine": "fused", "device": "cpu", "diverged": 0, "configuration": configuration}
    record = {"T3": "refuted", "X7": "vacuous", "T8": "inconclusive", "BAD": "supported"}
    return write(
        folder, rows, experiments=[experiment], runs={"from_cache": 0, "trained": 1, "training_seconds": 1.5}, profile="laptop",
        placebo=False, baseline=record, seconds=12.3, root=tmp_path, command=["pytest", "claims"], state="interrupted",
    )  # fmt: skip


@pytest.fixture
def of_experiment(tmp_path):
    """The page of an experiment with all that one may have: curves, figures, a Dataset and runs that diverged."""
    experiment = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=(0, 1), epochs=4, network=MLP((10, 10, 4, 1)))
    trained = bthcheck.run(experiment, cache=None, progress=False)
    diverged = trained.diverged.copy(data=np.array([[False, True], [False, False]]))
    return tmp_path / write_beside(tmp_path, trained.assign_coords(diverged=diverged), data=True)["page"]


@pytest.mark.skipif((not CHROMIUM or not AXE) and not REQUIRED, reason="no Chromium, or no axe-core")
@pytest.mark.parametrize("of", ["everything", "of_experiment"])
def test_axe_finds_no_violation_at_any_width_and_in_any_scheme(of, tmp_path, request):
    assert AXE, "axe-core must be in node_modules, or where BTHCHECK_AXE says: npm install --no-save axe-core"
    found = looked_at(request.getfixturevalue(of), tmp_path)
    assert [(one["width"], one["scheme"]) for one in found] == [(width, scheme) for width in WIDTHS for scheme in SCHEMES]
    for one in found:
        assert one["violations"] == [], (one["width"], one["scheme"])
        assert one["passes"] > 20
        assert not one["wide"], one["width"]  # nothing runs off the edge of the page
