"""README, CONTRIBUTING and what GitHub reads: of the size and form that is promised, and naming what there is."""

import json
import re
import shlex

import jsonschema
import pytest
import yaml

from bthcheck.tests.docs.pages import IS_CHECKOUT, ROOT, blocks

pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="not a checkout of the project")
GITHUB = ROOT / ".github"
FORMS = sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) if IS_CHECKOUT else []
PERSON = {
    "type": "object",
    "required": ["family-names", "given-names"],
    "properties": {"family-names": {"type": "string"}, "given-names": {"type": "string"}},
}
CITATION = {
    "type": "object",
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "type": {"enum": ["software", "dataset"]},
        "authors": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name"]}},
        "license": {"type": "string"},
        "version": {"type": "string"},
        "preferred-citation": {
            "type": "object",
            "required": ["type", "title", "authors", "year"],
            "properties": {
                "type": {"enum": ["article", "conference-paper", "proceedings"]},
                "authors": {"type": "array", "minItems": 1, "items": PERSON},
                "year": {"type": "integer"},
                "url": {"type": "string", "pattern": "^https://"},
            },
        },
    },
    "additionalProperties": True,
}
"""What the Citation File Format 1.2.0 asks for, of the entries that are here; the file was also tried with cffconvert."""


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 128
    own = next(block.text for block in blocks(ROOT / "README.md") if "bthcheck.run(" in block.text)
    assert len(own.splitlines()) <= 5


def test_the_citation_is_what_the_format_asks_for_and_names_the_paper():
    import bthcheck

    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    jsonschema.validate(found, CITATION)
    assert found["version"] == bthcheck.__version__
    paper = found["preferred-citation"]
    assert [one["family-names"] for one in paper["authors"]] == ["Loukas", "Poiitis", "Jegelka"]
    assert (paper["title"], paper["year"]) == ("What training reveals about neural network complexity", 2021)
    assert "2106.04186" in paper["url"]
    assert "NeurIPS" in json.dumps(paper)


@pytest.mark.parametrize("path", [one for one in FORMS if one.name != "config.yml"], ids=lambda path: path.stem)
def test_an_issue_has_a_form(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    assert len({part["id"] for part in form["body"]}) == len(form["body"]) > 1
    for part in form["body"]:
        assert part["type"] in ("input", "textarea", "dropdown"), part
        assert part["attributes"]["label"]
        assert isinstance(part["validations"]["required"], bool)
        if part["type"] == "dropdown":
            assert all(isinstance(option, str) for option in part["attributes"]["options"])  # YAML's yes is true


def test_there_is_a_form_for_each_kind_of_issue():
    assert {path.stem for path in FORMS} == {"bug", "finding", "claim", "config"}
    assert "- [ ]" in (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text(encoding="utf-8")


def test_hooks_use_the_tools_that_lint_uses_and_fetch_nothing():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    tools = set(re.findall(r"\{work_dir\}/shared/bin/([\w-]+)", tox[tox.index("[testenv:lint]") : tox.index("[testenv:docs]")]))
    used = set()
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".tox/shared/bin/")
        used.add(program.rpartition("/")[2])
    assert tools == used - {"python"}


def test_the_mutant_that_is_shown_is_one():
    from bthcheck.tests.mutants import MUTANTS
    from bthcheck.tests.mutation import Mutant

    (shown,) = [block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python"]
    mutant = eval(shown, {"Mutant": Mutant})
    assert mutant in MUTANTS


def test_files_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 12
    assert not [link for link in links if not (ROOT / link).exists()]
    environments = {name for names in re.findall(r"tox run -e ([\w,]+)", text) for name in names.split(",")}
    known = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert not [name for name in environments if f"[testenv:{name}]" not in known and not re.fullmatch(r"py31\d", name)]
