"""``bthcheck verify``: from a wheel that is installed where there is no checkout, and in one."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from bthcheck.choices import PROFILES
from bthcheck.harness import paper
from bthcheck.report.baseline import read_baseline

ROOT = Path(__file__).parents[3]
IN_A_CHECKOUT = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not a checkout of the project")
PARTS = ("bthcheck", "claims", "reports", "LICENSE", "README.md", "pyproject.toml", "setup.py")
QUICK = ("--profile", "quick", "-p", "no:randomly")


def environment():
    """Return the environment without what leads to this checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}


def made(command, **options):
    process = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment(), **options)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The command of a wheel of this checkout, installed into an environment that sees what is installed here."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("setuptools is too old to build this project")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        source, target = ROOT / name, folder / "source" / name
        target.parent.mkdir(exist_ok=True)
        ignored = shutil.ignore_patterns("__pycache__", "figures" if name == "reports" else "__pycache__")
        shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    made([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder / "wheels", folder / "source"])
    (wheel,) = (folder / "wheels").glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    made([*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", wheel])
    (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "venv" / "bin" / "bthcheck"


def run(command, folder, *arguments):
    process = subprocess.run(
        [command, *arguments], cwd=folder, capture_output=True, text=True, timeout=500, env=environment() | {"COLUMNS": "120"}
    )
    return process.returncode, process.stdout + process.stderr


@IN_A_CHECKOUT
@pytest.mark.skipif(os.name != "posix", reason="an environment as on POSIX")
def test_a_wheel_verifies_claims_where_there_is_nothing(installed, tmp_path):
    code, text = run(installed, tmp_path, "verify", "x2-counterexample", *QUICK)
    assert code == 0, text
    assert re.search(r"X2-counterexample +supported", " ".join(text.split("\n"))), text
    assert "report: reports/index.html" in text
    assert "warning" not in text
    records = json.loads((tmp_path / "reports" / "records.json").read_text())
    assert records["command"] == "bthcheck verify x2-counterexample --profile quick -p no:randomly"
    assert [row["on_record"] for row in records["claims"]] == ["supported"]
    page = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert "<code>bthcheck verify X2-counterexample --profile quick</code>" in page
    site = installed.parents[1] / "lib"
    assert not [path for path in site.rglob("*") if path.name in (".pytest_cache", ".bthcheck_cache", "reports")]


@IN_A_CHECKOUT
@pytest.mark.skipif(os.name != "posix", reason="an environment as on POSIX")
def test_a_wheel_holds_every_claim_and_workers_find_them(installed, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")  # another project's, which are not for these
    code, text = run(installed, tmp_path, "verify", "--collect-only", "-q")
    assert code == 0, text
    from bthcheck.cli.statements import statements

    count = len(statements(paper.claims_folder()))
    assert f"{count} tests collected" in text
    assert len(set(re.findall(r"paper/(?:extensions/)?test_\w+\.py::\w+", text))) == count
    code, text = run(installed, tmp_path, "verify", "-n", "2", "-k", "X2-counterexample", *QUICK)
    assert code == 0, text
    code, text = run(installed, tmp_path, "show", "X2-counterexample")
    assert "on record  quick supported, laptop supported, paper supported" in text
    assert "last       supported (profile quick" in text


def test_nothing_chosen_and_nonsense_end_as_with_pytest(bth):
    assert bth("verify", "-k", "nothing", "-q").code == 5
    outcome = bth("verify", "--profile", "huge")
    assert outcome.code == 4
    assert "invalid choice: 'huge'" in outcome.err
    outcome = bth("verify", "T99")
    assert outcome.code == 4
    assert "file or directory not found: T99" in outcome.text


def test_help_of_pytest_is_one_flag_away(bth):
    outcome = bth("verify", "--pytest-help")
    assert outcome.code == 0
    assert "--bth-profile" in outcome.out


def test_verdicts_are_put_on_record_where_one_is(bth):
    outcome = bth("verify", "X2-counterexample", *QUICK, "--update-baseline")
    assert outcome.code == 0, outcome.text
    own, came = bth.folder / "reports" / "baseline.json", paper.on_record(bth.folder / "elsewhere")
    for profile in PROFILES:  # the record begins with the one that came along, and only what ran may have other numbers
        claims, others = (read_baseline(path, profile)["claims"] for path in (own, came))
        assert {id: claim["verdict"] for id, claim in claims.items()} == {id: claim["verdict"] for id, claim in others.items()}
        assert [id for id in claims if claims[id] != others[id]] in ([], ["X2-counterexample"])


def test_claims_that_are_not_there_are_missed(said, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "PACKAGE", tmp_path / "bthcheck")
    code, text = said("verify")
    assert code == 1
    assert "install bthcheck anew" in text
