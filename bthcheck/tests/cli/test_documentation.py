"""docs/reference/command.md: its examples run, and the help it shows is what there is."""

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
WIDTH = 100
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not a checkout of the project")


def helped(*verb):
    """Return the help of a verb as a terminal of 100 characters shows it."""
    result = CliRunner().invoke(command, [*verb, "--help"], prog_name="bthcheck", terminal_width=WIDTH)
    return "\n".join(line.rstrip() for line in result.output.rstrip().splitlines())


def test_the_page_shows_the_help_that_there_is():
    blocks = re.findall(r"```text\n\$ bthcheck ([a-z ]+) --help\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [verb for verb, _ in blocks if " " not in verb] == re.findall(r"^## (\w+)", PAGE.read_text(encoding="utf-8"), re.M)
    assert {verb for verb, _ in blocks if " " not in verb} == set(VERBS)
    for verb, text in blocks:
        assert text == helped(*verb.split()), verb


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
