"""The project around the package; skipped where only the package is installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "tox.ini").exists(), reason="not a checkout of the project")


def test_ci_runs_the_two_commands_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"```sh\n(python3 .*)\n```", readme)
    assert len(commands) == 2
    ci = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "tox" in line]
    assert ci == commands


def test_readme_names_every_option():
    from bthcheck.harness import plugin

    options = set(re.findall(r'add\(\s*"(--[a-z-]+)"', Path(plugin.__file__).read_text()))
    assert len(options) == 11
    readme = (ROOT / "README.md").read_text()
    assert not [option for option in options if f"`{option}" not in readme]


def test_every_claim_has_a_verdict_on_record_for_every_profile():
    import json

    from bthcheck.choices import PROFILES

    source = "".join(path.read_text() for path in sorted((ROOT / "claims").glob("test_*.py")))
    tests = dict(re.findall(r'@claim\(\s*"([^"]+)".*?\ndef \w+\(([^)]*)\)', source, re.DOTALL))
    ids = list(tests)
    assert len(ids) == len(set(ids)) == source.count("@claim(")
    baseline = json.loads((ROOT / "reports" / "baseline.json").read_text())
    for profile in PROFILES:
        # The paper's CIFAR experiment needs the full data set and a GPU; what has not been run is not on record.
        unrun = {name for name, fixtures in tests.items() if "corrupted_cifar" in fixtures} if profile == "paper" else set()
        assert sorted(baseline[profile]) == sorted(set(ids) - unrun), profile


def test_claims_are_nothing_but_statements():
    names = {path.name for path in (ROOT / "claims").iterdir() if path.suffix == ".py"}
    assert names
    assert all(name.startswith("test_") for name in names)
    assert (ROOT / "conftest.py").read_text().strip().count("\n") == 0
