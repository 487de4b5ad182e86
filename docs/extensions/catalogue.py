"""The catalogue of claims, read off their files when the site is built: it takes the place of a mark in reference/claims.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bthcheck.choices import PROFILES
from bthcheck.cli.show import TESTED
from bthcheck.cli.statements import Statement, statements
from bthcheck.report.baseline import verdicts

ROOT = Path(__file__).parents[2]
PAGE = "reference/claims"
MARK = "<!-- the claims -->"
FAMILIES = {"paper": "Of the paper", "extensions": "Beyond the paper"}


def catalogue(root: Path = ROOT) -> str:
    """Return a section for every claim as Markdown, with its verdicts on record; files in the order of their first claims."""
    record = {profile: verdicts(root / "reports" / "baseline.json", profile) for profile in PROFILES}
    claims = sorted(statements(root / "claims").values(), key=lambda claim: _in_order(claim.id))
    lines: list[str] = []
    for family, heading in FAMILIES.items():
        lines += [f"## {heading}", ""]
        files = dict.fromkeys(claim.file for claim in claims if claim.family == family)
        for file in files:
            lines += [_plain(_first_sentence(file)), ""]
            for claim in (claim for claim in sorted(claims, key=lambda one: one.line) if claim.file == file):
                lines += _section(claim, record, root)
    return "\n".join(lines)


def _section(claim: Statement, record: dict[str, dict[str, str]], root: Path) -> Iterator[str]:
    found = ", ".join(f"{profile} **{verdicts[claim.id]}**" for profile, verdicts in record.items() if claim.id in verdicts)
    facts = [
        ("Source", _plain(claim.source)),
        ("Scope", _plain(claim.scope)),
        ("Tested as", TESTED.get(claim.kind, claim.kind)),
        ("On record", found or "no verdict"),
        ("Test", f"`{claim.function}` in `{claim.file.relative_to(root).as_posix()}`"),
        ("Trained by", ", ".join(f"`{name}`" for name in claim.needs)),
    ]
    yield from (f"### {claim.id}", "", f"{_plain(claim.statement)}.", "")
    yield from (f":{name}: {text}" for name, text in facts if text)
    yield ""
    if claim.presents:
        yield from ("```{code-block} python", ":class: presents", "", *claim.presents, "```", "")


def _in_order(name: str) -> tuple[str, int, str]:
    """Sort T2 before T10, and what is no such name last."""
    match = re.match(r"([A-Z])(\d+)", name)
    return (match[1], int(match[2]), name) if match else ("~", 0, name)


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    return text.split("\n\n")[0].replace("\n", " ")


def _plain(text: str) -> str:
    """Return text of which Markdown makes nothing."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)


def _insert(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        source[0] = source[0].replace(MARK, catalogue())


def _always(app: Any, environment: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Return the page that is read anew at every build: it depends on files that Sphinx knows nothing of."""
    return [PAGE] if PAGE in environment.found_docs else []


def setup(app: Any) -> dict[str, bool]:
    """Connect with Sphinx."""
    app.connect("source-read", _insert)
    app.connect("env-get-outdated", _always)
    return {"parallel_read_safe": True}
