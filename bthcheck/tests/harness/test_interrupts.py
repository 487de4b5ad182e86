"""A session that is interrupted reports what is finished."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from bthcheck.tests.harness.samples import CONFTEST, ONE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")

SLOW = (
    ONE
    + """

@claim("SLOW", statement="It takes its time", source="nowhere", kind="exact")
def test_slow(evidence):
    import time
    from pathlib import Path
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
    Path("started").touch()
    time.sleep(120)


@claim("NEVER", statement="It is never reached", source="nowhere", kind="exact")
def test_never(evidence):
    import time
    time.sleep(120)
"""
)


@pytest.fixture
def interrupted(tmp_path):
    """A function that runs claims until the slow one has begun and interrupts them, and returns what was printed."""

    def run(*arguments, group, twice=False):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "conftest.py").write_text(CONFTEST)
        (tmp_path / "test_claims.py").write_text(SLOW)
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, "COLUMNS": "200", "TMPDIR": str(tmp_path)},
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )  # fmt: skip
        try:
            lines = wait_for(process, tmp_path / "started")
            (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
            if twice:
                time.sleep(1)
                process.send_signal(signal.SIGINT)
            text = lines + process.communicate(timeout=60)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, text

    return run


def wait_for(process, started):
    """Read until the first claim has passed and the slow one has started."""
    text = ""
    for line in process.stdout:
        text += line
        if "PASSED" in line:
            break
    for _ in range(600):
        if started.exists():
            return text
        time.sleep(0.1)
    raise AssertionError(text)


@pytest.mark.parametrize("group", [True, False], ids=["as a terminal does", "the process alone"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_is_finished_is_reported(interrupted, tmp_path, workers, group):
    code, text = interrupted("-n", workers, group=group)
    assert code == 2, text
    records = json.loads((tmp_path / "reports" / "records.json").read_text())
    statuses = {row["claim"]["id"]: row["status"] for row in records["claims"]}
    assert statuses == {"ONE": "supported", "SLOW": "no verdict", "NEVER": "no verdict"}, text
    assert re.search(r"^ONE +supported", text, re.M), text
    assert "report: reports/index.html" in text
    assert "interrupted: 1 of 3 claims have a verdict" in text
    assert records["state"] == "interrupted"
    page = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert "<strong>Interrupted: 1 of 3 claims have a verdict.</strong>" in page
    assert "INTERNALERROR" not in text
    assert not list(tmp_path.glob("bthcheck-*"))  # nor is its temporary folder left


def test_someone_impatient_has_a_report_too(interrupted, tmp_path):
    """The second Ctrl-C comes while xdist waits for its workers, which takes up to ten seconds."""
    _, text = interrupted("-n", "2", group=False, twice=True)
    records = json.loads((tmp_path / "reports" / "records.json").read_text())
    assert {row["claim"]["id"]: row["status"] for row in records["claims"]}["ONE"] == "supported", text
    assert (tmp_path / "reports" / "index.html").exists()


IN_THE_END = (
    CONFTEST
    + """
import os, signal
from bthcheck.report import page

_write = page.write

def write(*arguments, **named):
    for _ in range({count}):
        os.kill(os.getpid(), signal.SIGINT)
    return _write(*arguments, **named)

page.write = write
"""
)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupt_while_the_report_is_written_waits_for_it_and_a_second_one_does_not(claims, workers, count):
    outcome = claims(ONE, "-n", workers, conftest=IN_THE_END.replace("{count}", str(count)))
    assert outcome.code == pytest.ExitCode.INTERRUPTED, outcome.text
    assert "ONE    supported" in outcome.text
    assert "Traceback" not in outcome.text
    assert "KeyboardInterrupt" not in outcome.text
    assert (outcome.folder / "reports" / "index.html").exists() == (count == 1)
    assert ("interrupted while the report was being written: there is no new one" in outcome.text) == (count == 2)
