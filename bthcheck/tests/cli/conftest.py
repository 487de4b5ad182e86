"""The command, run as a user would: in this process where only words are looked at, else in one of its own."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from bthcheck.cli.command import command


class Outcome:
    """What a command printed and how it ended."""

    def __init__(self, process):
        self.code = process.returncode
        self.out, self.err = process.stdout, process.stderr
        self.text = self.out + self.err


@pytest.fixture
def bth(tmp_path):
    """A function that runs ``python -m bthcheck`` in a folder of its own."""

    def run(*arguments, environment=None, cwd=tmp_path):
        command = [sys.executable, "-m", "bthcheck", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "120", "TMPDIR": str(tmp_path), **(environment or {})}
        process = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, errors="replace", timeout=300, env=environment
        )
        return Outcome(process)

    run.folder = tmp_path
    return run


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A function that runs the command in this process, in a folder of its own, and returns status and output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(command, list(map(str, arguments)), prog_name="bthcheck")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run
