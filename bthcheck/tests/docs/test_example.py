"""docs/examples/spirals: the repository of somebody else's that it shows works on its own, and notices what changes."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from bthcheck.tests.docs.pages import IS_CHECKOUT, ROOT, commands

EXAMPLE = ROOT / "docs" / "examples" / "spirals"
pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="not a checkout of the project")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository, which shares one folder of finished runs among the tests here."""
    folder = tmp_path_factory.mktemp("elsewhere") / "spirals"
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".bthcheck_cache", "index.html", "records.json", "figures")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    return folder


def session(folder, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    command = [sys.executable, "-m", "pytest", "claims", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    records = json.loads((folder / "reports" / "records.json").read_text(encoding="utf-8"))
    return done, {row["claim"]["id"]: row for row in records["claims"]}


def test_the_claims_come_out_as_on_record(copy):
    done, claims = session(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: row["verdict"] for name, row in claims.items()} == {"S1": "supported", "S2": "inconclusive"}
    assert {name: row["on_record"] for name, row in claims.items()} == {"S1": "supported", "S2": "inconclusive"}
    assert "nothing has changed" in done.stdout
    assert "1 passed, 1 xfailed" in done.stdout
    assert (copy / "reports" / "index.html").stat().st_size > 10_000


def test_a_finding_that_changes_is_noticed(copy, tmp_path):
    changed = tmp_path / "spirals"
    shutil.copytree(copy, changed)
    path = changed / "src" / "spirals" / "__init__.py"
    source = path.read_text(encoding="utf-8")
    assert source.count("epochs=300") == source.count("self.turns * radius") == 1
    path.write_text(source.replace("epochs=300", "epochs=40"), encoding="utf-8")
    done, claims = session(changed)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "epochs 40, on record 300" in done.stdout
    assert claims["S1"]["fails"]

    # Without a word of it in the configuration: the points themselves are others.
    path.write_text(source.replace("self.turns * radius", "self.turns * radius**2"), encoding="utf-8")
    done, claims = session(changed, "-k", "S1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert claims["S1"]["fails"]
    assert "numbers" in claims["S1"]["kinds"]


def test_a_new_record_can_be_made(copy, tmp_path):
    fresh = tmp_path / "spirals"
    shutil.copytree(copy, fresh)
    (fresh / "reports" / "baseline.json").unlink()
    done, claims = session(fresh)
    assert done.returncode == 1
    assert not claims["S2"]["on_record"]
    done, _ = session(fresh, "--update-baseline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "put on record: S1, S2" in done.stdout
    old, new = (json.loads((folder / "reports" / "baseline.json").read_text(encoding="utf-8")) for folder in (copy, fresh))
    claims = [one["profiles"]["laptop"]["claims"] for one in (old, new)]
    assert claims[0]["S1"]["findings"][0]["quantity"] == claims[1]["S1"]["findings"][0]["quantity"]


def test_the_repository_is_complete():
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dependencies"] == ["bthcheck"]
    workflow = yaml.safe_load((EXAMPLE / ".github" / "workflows" / "claims.yml").read_text(encoding="utf-8"))
    run = [step["run"] for step in workflow["jobs"]["claims"]["steps"] if "run" in step]
    shown = [line for _, line in commands(EXAMPLE / "README.md")]
    assert run[0] == shown[0] == "pip install -e ."
    assert run[1].startswith(shown[1])
    uses = {step["uses"] for step in workflow["jobs"]["claims"]["steps"] if "uses" in step}
    ours = (ROOT / ".github" / "workflows" / "claims.yml").read_text(encoding="utf-8")
    assert uses
    assert all(one in ours for one in uses)  # the actions that were looked at
    assert (EXAMPLE / "conftest.py").read_text(encoding="utf-8") == (ROOT / "conftest.py").read_text(encoding="utf-8")
