"""The line that says how far training is, on a terminal and elsewhere: it is there, and nothing of pytest's is different."""

import io
import os
import re
import sys

import pytest

from bthcheck.harness.screen import Screen
from bthcheck.tests.harness.samples import CONFTEST

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo terminals as on POSIX")
pytest.importorskip("pyte")

OFTEN = (
    CONFTEST
    + """
import time
from bthcheck.harness.monitor import ProgressMonitor
ProgressMonitor.__init__.__defaults__ = (0.1, time.monotonic)
"""
)
CLAIMS = """
import time
import pytest
from bthcheck import claim
from bthcheck.harness.session import RunLog
from bthcheck.harness.stash import SETTINGS


@pytest.fixture
def training(pytestconfig, request):
    log = RunLog(pytestconfig.stash[SETTINGS].channel, "sinus\\x1b[2Joids φ", {"levels": [1]})
    log.start(4)

    def train(*keys):
        for key in keys:
            log.begin([None], [key], lambda: 0.5)
            time.sleep(0.5)
            log.finish(None, key, True, 0.5)

    yield train
    log.end()


@claim("ONE", statement="One is at most two", source="nowhere", kind="exact")
def test_one(training, evidence):
    training("a")
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 <= 2")


def test_plain():
    pass


def test_two(training):
    print("printed by the test")
    training("b", "c")


def test_bad(training):
    training("d")
    pytest.fail("no", pytrace=False)
"""


@pytest.fixture
def watched(tmp_path):
    """A function that runs the claims above on a terminal, with training or without."""
    from bthcheck.tests.harness.pseudo import look_at

    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(OFTEN)
    (tmp_path / "test_later.py").write_text("def test_a(): pass\ndef test_b(): pass\n")

    def run(*arguments, trains=True, **options):
        source = (
            CLAIMS
            if trains
            else re.sub(r"    log\.(start|end)\(.*\)|            .*\n", "", CLAIMS).replace("for key in keys:", "pass")
        )
        (tmp_path / "test_claims.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        if "randomly" not in arguments:
            command += ["-p", "no:randomly"]
        return look_at(command, cwd=tmp_path, **options)

    return run


def before_verdicts(lines):
    """Return what was printed while the tests ran, and of those that failed."""
    end = next(number for number, line in enumerate(lines) if "= verdicts =" in line)
    return [line for line in lines[:end] if line]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("-v",), {"columns": 60, "rows": 8}),  # what scrolls away
        (("-q", "--no-header"), {"columns": 34, "environment": {"NO_COLOR": "1"}}),
        (("--color=yes", "--tb=short"), {"columns": 120, "environment": {"PYTHONIOENCODING": "ascii"}}),
    ],
    ids=["verbose on a low screen", "quiet, narrow, no colour", "colours without Greek letters"],
)
def test_a_line_stands_below_what_pytest_prints_and_leaves_no_trace(watched, arguments, options):
    seen = watched(*arguments, **options)
    plain = watched(*arguments, trains=False, **options)
    assert seen.code == plain.code == 1
    assert before_verdicts(seen.lines) == before_verdicts(plain.lines)
    live = [(shot, line) for shot in seen.shots for line in shot if line.startswith("training")]
    assert len({line for _, line in live}) >= 3
    assert any(re.search(r"[1-3] of 4 runs", line) for _, line in live)
    for shot, line in live:
        assert len(line) < seen.screen.columns
        assert [other for other in shot if other][-1] == line  # nothing is below it
        assert sum(other.startswith("training") for other in shot) == 1
    assert b"\x1b[2Joids" not in seen.raw


def test_workers_train_and_the_controller_tells(watched):
    seen = watched("-n", "2")
    assert any(re.search(r"training .* of 4 runs", line) for shot in seen.shots for line in shot)
    assert not [line for line in seen.lines if line.startswith("training")]
    assert "......F"[-6:] in "".join(seen.lines) or re.search(r"[.F]{6}", "".join(seen.lines))


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("-s",), {}), ((), {"TERM": "dumb"}), (("-p", "no:terminal"), {})],
    ids=["tests print", "dumb", "no reporter"],
)
def test_nothing_moves_where_it_must_not(watched, arguments, environment):
    seen = watched(*arguments, environment=environment)
    assert seen.code == 1
    assert not [line for shot in seen.shots for line in shot if line.startswith("training")]  # it took less than 15 s
    assert b"\x1b[J" not in seen.raw
    assert b"\x1b[A" not in seen.raw


def test_elsewhere_it_is_a_line_of_its_own_from_time_to_time(claims):
    often = CONFTEST + "from bthcheck.progress import display\ndisplay.Plain.__init__.__defaults__ = (None, 1.0)\n"
    outcome = claims(CLAIMS.replace("sleep(0.5)", "sleep(3.3)"), "-k", "two or plain", conftest=often)
    assert outcome.code == 0, outcome.text
    lines = outcome.text.splitlines()
    told = [line for line in lines if line.startswith("training")]
    assert len(told) >= 2
    assert told[0].startswith(r"training sinus\x1b[2Joids φ: 0 of 4 runs")
    assert "\x1b" not in outcome.text
    assert any(re.fullmatch(r"test_claims.py \.", line) for line in lines), outcome.text


# ------------------------------------------------------------------------------------------------- without a process


class Writer:
    """As much of pytest's writer as is asked for."""

    def __init__(self, file, column=0):
        self._file, self._current_line, self.width_of_current_line = file, "x" * column, column


class Reporter:
    """As much of pytest's reporter as is asked for."""

    def __init__(self, file, column=0):
        self._tw, self.currentfspath = Writer(file, column), "test_claims.py"


@pytest.fixture
def screen(tmp_path):
    """A function that makes a screen on a file, and returns what was written."""
    file = (tmp_path / "out").open("w+", encoding="utf-8")

    def make(column=0, live=True):
        made = Screen(Reporter(file, column), os.dup(file.fileno()), live=live)
        return made, lambda: (tmp_path / "out").read_bytes().decode("utf-8")

    yield make
    file.close()


def test_what_pytest_writes_takes_the_line_away_first(screen):
    made, written = screen(column=7)
    made.show("training")
    assert written() == "\n\x1b[2Ktraining\x1b[A\x1b[8G"
    made.show("training")  # the same need not be drawn again
    made._terminal._tw._file.write("F")
    assert written() == "\n\x1b[2Ktraining\x1b[A\x1b[8G\x1b[JF"
    made.show("")
    assert written().endswith("\x1b[JF")


def test_a_sentence_that_stays_has_a_line_of_its_own(screen):
    made, written = screen(column=7)
    made.say("waiting\x1b[2J")
    assert written() == "\nwaiting\\x1b[2J\n"
    assert made._terminal.currentfspath is None
    assert made._terminal._tw._current_line == ""


def test_a_debugger_has_the_terminal_to_itself(screen):
    made, written = screen()
    made.show("training")
    made.pause(True)
    before = written()
    assert before.endswith("\x1b[J")
    made.show("training more")
    made.say("waiting")
    assert written() == before
    made.pause(False)
    made.show("training more")
    assert written() != before


def test_who_leaves_leaves_the_terminal_as_it_was(screen):
    made, written = screen()
    file = made._file
    made.show("training")
    made.close()
    made.close()
    assert made._terminal._tw._file is file
    made.show("training")
    assert written().endswith("training\r\x1b[J")


def test_a_stream_without_a_descriptor_is_left_alone():
    from bthcheck.harness.screen import screen_of

    class Config:
        class pluginmanager:
            @staticmethod
            def getplugin(name):
                return Reporter(io.StringIO())

    assert screen_of(Config) is None
