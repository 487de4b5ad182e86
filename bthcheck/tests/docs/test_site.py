"""The site: what it is built of without Sphinx, and that a mistake in a page ends the build."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

from bthcheck.tests.docs.pages import IS_CHECKOUT, ROOT, name_of, pages

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="not a checkout of the project")
PUBLIC = ("evidence", "experiments", "figures", "geometry", "theory")
"""Folders whose modules are all in the reference, but for these."""
WITHIN = {
    "evidence": {"attacks", "generated"},
    "geometry": {"float64"},
    "figures": set(),
    "theory": set(),
    "experiments": set(),
}


def extension(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slug(heading):
    """A heading's anchor, as GitHub and MyST make it."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@pytest.mark.parametrize("page", pages() if IS_CHECKOUT else [], ids=name_of)
def test_every_link_within_the_project_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), link


def test_every_page_is_in_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:[^`(\n]* <)?([a-z-]+/[\w/-]+)>?$", index, re.MULTILINE))
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")} - {"index"}
    assert there - listed == {"examples/spirals/README"}  # which is below a page
    assert listed <= there


def test_the_catalogue_has_every_claim_and_its_verdicts():
    from bthcheck.choices import PROFILES
    from bthcheck.report.baseline import verdicts

    text = extension("catalogue").catalogue()
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "claims").rglob("test_*.py")))
    ids = re.findall(r'@claim\(\s*"([^"]+)"', source)
    assert sorted(re.findall(r"^### (.*)$", text, re.MULTILINE)) == sorted(ids)
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE))
    for profile in PROFILES:
        for name, verdict in verdicts(ROOT / "reports" / "baseline.json", profile).items():
            assert f"{profile} **{verdict}**" in sections[name]
    assert "evidence.increases(" in sections["T2"]
    assert ":Trained by: `sinusoids`" in sections["T2"]
    assert text.index("### T2\n") < text.index("### T7\n") < text.index("### X1\n") < text.index("## Beyond the paper")
    assert (DOCS / "reference" / "claims.md").read_text(encoding="utf-8").count(extension("catalogue").MARK) == 1


def test_every_public_module_is_in_the_reference():
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference" / "api").glob("*.md"))
    documented = set(re.findall(r"automodule:: bthcheck\.(\S+)", text))
    for folder in PUBLIC:
        for path in (ROOT / "bthcheck" / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / "bthcheck").with_suffix("").parts
            if path.name != "__init__.py" and parts[1] not in WITHIN[folder]:
                assert ".".join(parts) in documented, f"{path} is on no page of docs/reference/api"


DOCSTRING = """Return |x| * 2 of `values` and `bthcheck.evidence.trend`s.

Notation as in ``b_1``; x_ is no link.

    run(1)

on   one
     thing
off  another

Parameters
----------
values, others : one number
    a level
**options : of `trend`

Raises
------
ValueError
    If |x| is
    negative.
"""
CONVERTED = r"""Return \|x\| \* 2 of ``values`` and :py:obj:`bthcheck.evidence.trend`\ s.

Notation as in ``b_1``; x\_ is no link.

::

    run(1)

- **on**: one thing
- **off**: another

:param values/others: one number a level
:param \*\*options: of ``trend``

:raises ValueError: If \|x\| is negative.
"""


def test_docstrings_become_what_sphinx_understands():
    converted = extension("docstrings").converted(DOCSTRING.splitlines())
    assert "\n".join(converted).strip() == CONVERTED.strip()


@pytest.fixture
def build(tmp_path):
    """A function that builds a site of one page, with this site's settings, and returns the process."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name)
    (tmp_path / "docs").mkdir()
    for name in ("extensions", "static"):
        shutil.copytree(DOCS / name, tmp_path / "docs" / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = (DOCS / "conf.py").read_text(encoding="utf-8")
    (tmp_path / "docs" / "conf.py").write_text(source.replace("Path(__file__).parents[1]", f"Path({str(ROOT)!r})"))

    def make(text):
        (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n## A heading\n\n{text}\n", encoding="utf-8")
        command = [sys.executable, "-m", "sphinx", "-M", "html", "docs", "build", "-W", "--keep-going", "-n", "-q"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    make.page = tmp_path / "build" / "html" / "index.html"
    return make


MISTAKES = {
    "[nowhere](nowhere.md)": "nowhere",
    "[no anchor](#no-such-heading)": "no-such-heading",
    "![no image](none.svg)": "none.svg",
    "```{eval-rst}\n.. automodule:: bthcheck.nothing\n```": "bthcheck.nothing",
}


def test_the_site_is_built_and_a_mistake_ends_the_build(build):
    good = build("[there](#a-heading)\n\n```{eval-rst}\n.. automodule:: bthcheck.evidence.findings\n   :members:\n```")
    assert good.returncode == 0, good.stderr
    page = build.page.read_text(encoding="utf-8")
    assert 'id="bthcheck.evidence.findings.Finding"' in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//(?!.*</a>)""", page), "the page asks the network for something"
    bad = build("\n\n".join(MISTAKES))
    assert bad.returncode != 0
    assert not [said for said in MISTAKES.values() if said not in bad.stderr], bad.stderr
