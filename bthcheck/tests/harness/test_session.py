from bthcheck.harness.session import Channel, ProgressMonitor, RunLog, usage


def test_a_run_trained_by_one_worker_and_read_by_another_is_a_miss(tmp_path):
    channel = Channel(tmp_path)
    log = RunLog(channel, "one")
    log.start(3)
    log.finish(None, "a", True, 2.0)
    log.finish(None, "a", False, 2.0)
    log.finish(None, "b", False, 9.0)
    found = usage(channel)
    assert (found.hits, found.misses, found.seconds) == (1, 1, 2.0)


def test_events_survive_a_line_cut_off_by_a_crash(tmp_path):
    channel = Channel(tmp_path)
    channel.log("run", key="a")
    (tmp_path / "999.jsonl").write_text('{"event": "run", "key": "b"}\n{"event": "ru')
    assert sorted(event["key"] for event in channel.events("run")) == ["a", "b"]


def test_progress_speaks_when_something_was_trained(tmp_path):
    channel = Channel(tmp_path)
    monitor = ProgressMonitor(channel, lambda line: None)
    log = RunLog(channel, "sinusoids")
    log.start(3)
    assert monitor.lines() == []
    log.finish(None, "a", False, 1.0)
    assert monitor.lines() == []  # only read
    log.finish(None, "b", True, 1.0)
    assert monitor.lines() == ["training sinusoids: 2 of 3 runs"]
    assert monitor.lines() == []


def test_a_monitor_that_was_never_started_can_be_stopped(tmp_path):
    ProgressMonitor(Channel(tmp_path), lambda line: None).stop()
