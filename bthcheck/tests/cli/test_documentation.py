"""docs/reference/command.md: its examples run, and the help it shows is what there is."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bthcheck.cli.command import VERBS, command
from bthcheck.cli.errors import STATUSES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "command.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not a checkout of the project")


def script():
    spec = importlib.util.spec_from_file_location("write_help", ROOT / "docs" / "write_help.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_help_that_there_is():
    page, help_of = PAGE.read_text(encoding="utf-8"), script()
    verbs = [verb for verb, _ in help_of.BLOCK.findall(page)]
    assert [verb for verb in verbs if " " not in verb] == re.findall(r"^## (\w+)", page, re.M)
    assert {verb for verb in verbs if " " not in verb} == set(VERBS)
    assert page == help_of.written(page), "run python docs/write_help.py"
    assert help_of.written(page.replace("Exit status", "exit")) == page
    said = CliRunner().invoke(command, ["list", "--help"], prog_name="bthcheck", terminal_width=help_of.WIDTH).output
    assert all(line.rstrip() in page for line in said.splitlines())


def test_every_status_is_explained():
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [str(status) for status in STATUSES]


def test_the_examples_of_the_page_run(bth, said, monkeypatch):
    from bthcheck.datasets import full

    monkeypatch.setattr(full, "download", lambda dataset, root: f"{root}/{dataset}")
    examples = [
        line
        for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(examples) >= 10
    for line in examples:
        program, *arguments = shlex.split(line)
        assert program == "bthcheck"
        if arguments[0] in ("verify", "replay"):  # pytest, which needs a process of its own
            outcome = bth(*arguments)
            code, text = outcome.code, outcome.text
        else:
            code, text = said(*arguments)
        assert code == 0, f"{line}\n{text}"


def test_warnings_are_sentences(tmp_path):
    source = "import warnings; from bthcheck.cli import main; main(['train', '--load', 'x']); warnings.warn('so it is')"
    process = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=tmp_path)
    assert process.stderr.splitlines()[-1] == "Warning: so it is"
