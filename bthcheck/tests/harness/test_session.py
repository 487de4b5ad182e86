import json
import os
import shutil
import time
import warnings

import numpy as np
import pytest

from bthcheck.harness.monitor import ProgressMonitor
from bthcheck.harness.session import Channel, ResultLog, RunLog, usage
from bthcheck.progress import reporter


class Shown:
    """Where a monitor shows what it has to say."""

    encoding = width = None

    def __init__(self):
        self.line, self.said = "", []

    def show(self, line):
        self.line = line

    def say(self, line):
        self.said.append(line)


def looking(channel):
    """A monitor that looks when it is told to, and what it shows."""
    monitor, shown = ProgressMonitor(channel, interval=1e6), Shown()
    monitor.start(shown)
    return monitor, shown


def test_a_run_trained_by_one_worker_and_read_by_another_is_a_miss(tmp_path):
    channel = Channel(tmp_path)
    log = RunLog(channel, "one", {})
    log.start(3)
    log.finish(None, "a", True, 2.0)
    log.finish(None, "a", False, 2.0)
    log.finish(None, "b", False, 9.0)
    found = usage(channel)
    assert (found.hits, found.misses, found.seconds) == (1, 1, 2.0)


def test_a_result_that_one_computed_and_others_read_was_computed(tmp_path):
    log = ResultLog(channel := Channel(tmp_path))
    log.finish("search", "a", True, 2.0)
    log.finish("search", "a", False, 2.0)
    log.finish("trace", "b", False, 1.0)
    log.finish("trace", "b", False, 1.0)
    log.finish("object", "", True, 1.0)  # of what cannot be kept there is no key
    log.finish("object", "", True, 1.0)
    found = usage(channel)
    assert (found.results_read, found.results_computed, found.hits, found.misses) == (1, 3, 0, 0)
    assert str(found).endswith("; of other results 1 from the cache, 3 computed")
    log.wait("somebody computes")
    assert [event["sentence"] for event in channel.events("wait")] == ["somebody computes"]


def test_events_survive_a_line_cut_off_by_a_crash(tmp_path):
    channel = Channel(tmp_path)
    channel.log("run", key="a")
    (tmp_path / "999.jsonl").write_text('{"event": "run", "key": "b"}\n{"event": "ru')
    assert sorted(event["key"] for event in channel.events("run")) == ["a", "b"]


def test_progress_is_shown_while_something_is_trained(tmp_path):
    channel = Channel(tmp_path)
    monitor, shown = looking(channel)
    log = RunLog(channel, "sinusoids", {})
    log.start(3)
    log.finish(None, "a", False, 100.0)
    monitor.look()
    assert shown.line == ""  # only read
    log.begin([None], ["b"], lambda: 0.0)
    monitor.look()
    assert shown.line == "training sinusoids: 1 of 3 runs (33 %), about 3 min left"
    log.finish(None, "b", True, 1.0)
    monitor.look()
    assert shown.line == ""
    log.begin([None], ["c"], lambda: 0.0)
    monitor.look()
    assert shown.line == "training sinusoids: 2 of 3 runs (66 %), a few seconds left"
    log.end()
    monitor.look()
    assert shown.line == ""
    monitor.stop()


def test_a_process_says_from_time_to_time_how_far_a_long_run_is(tmp_path, monkeypatch):
    monkeypatch.setattr(reporter, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reporter, "SAY_SECONDS", 0.02)
    channel = Channel(tmp_path)
    log = RunLog(channel, "sinusoids", {})
    log.start(1)
    done = iter(np.linspace(0.1, 0.9, 1000))
    log.begin([None], ["a"], lambda: next(done))
    wait_until(lambda: len(channel.events("share")) >= 3)
    shares = [event["share"] for event in channel.events("share")]
    assert shares == sorted(shares)
    assert {event["key"] for event in channel.events("share")} == {"a"}
    log.finish(None, "a", True, 1.0)
    wait_until(lambda: not log._looking)
    count = len(channel.events("share"))
    log.begin([None], ["b"], lambda: 0.5)  # it begins anew
    wait_until(lambda: len(channel.events("share")) > count)
    log.end()
    wait_until(lambda: not log._looking)


def test_what_is_waited_for_is_said_once_whichever_process_waits(tmp_path):
    """A worker whose events come first may speak last."""
    channel = Channel(tmp_path)
    monitor, shown = looking(channel)
    RunLog(channel, "sinusoids", {}).wait("waiting for one")
    for _ in range(2):
        monitor.look()
        assert shown.said == ["waiting for one"]
    lines = [json.dumps({"event": "wait", "at": 0, "sentence": f"waiting for {what}"}) for what in ("two", "one")]
    channel.hear("0", lines)
    for _ in range(2):
        monitor.look()
        assert shown.said == ["waiting for one", "waiting for two"]


def test_a_monitor_that_was_never_started_can_be_stopped(tmp_path):
    ProgressMonitor(Channel(tmp_path)).stop()
    ProgressMonitor(Channel(tmp_path)).start(None)


# ---------------------------------------------------------------------------------- experiments that share a name


def test_experiments_that_share_a_name_do_not_share_their_progress(tmp_path):
    channel = Channel(tmp_path)
    monitor, shown = looking(channel)
    logs = [RunLog(channel, "dropout", {"training": {"epochs": epochs}, "levels": [1]}) for epochs in (300, 500)]
    logs[0].start(15)
    logs[1].start(10)
    for number in range(14):
        logs[0].finish(None, f"a{number}", True, 1.0)
    for number in range(5):
        logs[1].finish(None, f"b{number}", True, 1.0)
    for log in logs:
        log.begin([None], [f"{log.kinds}{log.experiment}"], lambda: 0.0)
    monitor.look()
    assert shown.line == (
        "training 2 experiments: 19 of 25 runs (76 %), a few seconds left:"
        " dropout (epochs 300) 14 of 15, dropout (epochs 500) 5 of 10"
    )


# ------------------------------------------------------------------------------------------ a folder that is lost


def test_a_folder_that_cannot_be_written_is_a_warning_once_and_loses_nothing(tmp_path):
    channel = Channel(tmp_path / "gone")
    log = RunLog(channel, "one", {})
    with pytest.warns(
        RuntimeWarning, match="progress cannot be followed because .*gone cannot be written: No such file"
    ) as seen:
        start_and_finish(log)
    assert len(seen) == 1
    assert usage(channel).misses == 1
    monitor, shown = looking(channel)
    log.begin([None], ["b"], lambda: 0.0)
    monitor.look()
    assert shown.line.startswith("training one: 1 of 3 runs")


def test_a_folder_that_cannot_be_written_is_no_error_even_where_warnings_are(tmp_path):
    channel = Channel(tmp_path / "gone")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        channel.log("run", key="a")
    assert len(channel.events()) == 1


def test_events_survive_a_full_disk(tiny_disk):
    channel = Channel(tiny_disk)
    channel.log("first")
    (tiny_disk / "rest").write_bytes(b"x" * (15 * 4096))
    with pytest.raises(OSError, match="No space"):
        (tiny_disk / "more").write_bytes(b"x" * 4096)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        fill(channel)
    assert len(channel.events("later")) == 100


def test_a_process_hands_over_what_its_folder_lost(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    worker, controller = Channel(folder), Channel(folder)
    worker.log("run", key="a")
    assert len(controller.events("run")) == 1
    controller.hear(str(os.getpid()), worker.own())
    assert len(controller.events("run")) == 1  # heard twice, counted once
    shutil.rmtree(folder)
    with pytest.warns(RuntimeWarning):
        worker.log("run", key="b")
    controller.hear(str(os.getpid()), json.loads(json.dumps(worker.own())))
    assert [event["key"] for event in controller.events("run")] == ["a", "b"]


def test_a_monitor_survives_a_terminal_that_is_gone(tmp_path):
    class Gone(Shown):
        def show(self, line):
            self.said.append(line)
            raise BrokenPipeError

    monitor, shown = ProgressMonitor(Channel(tmp_path), interval=0.01), Gone()
    monitor.start(shown)
    wait_until(lambda: len(shown.said) > 3)
    assert monitor._thread.is_alive()
    monitor.stop()
    assert not monitor._thread.is_alive()


def start_and_finish(log):
    log.start(3)
    log.finish(None, "a", True, 2.0)


def fill(channel):
    for _ in range(100):
        channel.log("later", text="x" * 100)


def wait_until(condition):
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")
