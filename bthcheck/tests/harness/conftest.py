"""A session of claims in a folder of its own, run as a user would."""

import json
import os
import subprocess
import sys

import pytest

from bthcheck.tests.harness.samples import CONFTEST


class Outcome:
    """What a pytest process printed and left behind."""

    def __init__(self, process, folder):
        self.code = process.returncode
        self.text = process.stdout + process.stderr
        self.folder = folder

    @property
    def records(self):
        return json.loads((self.folder / "reports" / "records.json").read_text())

    @property
    def statuses(self):
        return {row["claim"]["id"]: row["status"] for row in self.records["claims"]}

    def rows(self):
        """Everything a row says but the time it took."""
        return [{key: value for key, value in row.items() if key != "seconds"} for row in self.records["claims"]]


def python_path(folder):
    """Return where Python looks for modules: in the folder of the claims too, as with an option -p."""
    return os.pathsep.join(path for path in (str(folder), os.environ.get("PYTHONPATH")) if path)


@pytest.fixture
def claims(tmp_path):
    """A function that writes claims into a folder and runs pytest there."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(source, *arguments, conftest=CONFTEST, environment=None, files=None):
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        (tmp_path / "conftest.py").write_text(conftest)
        (tmp_path / "test_claims.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        if not any("randomly" in argument for argument in arguments):
            command += ["-p", "no:randomly"]
        process = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": python_path(tmp_path), **(environment or {})},
        )  # fmt: skip
        return Outcome(process, tmp_path)

    run.folder = tmp_path
    return run
