import pytest

from bthcheck.choices import share_of_devices
from bthcheck.harness.session import Channel, ProgressMonitor, RunLog, usage
from bthcheck.report.records import Results, headline, read_baseline, write_baseline


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


def test_gpus_are_dealt_out_over_workers():
    assert [share_of_devices("cuda", worker, 3) for worker in range(4)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert share_of_devices("cuda", 2, 1) == "cuda"
    assert share_of_devices("cuda:1", 2, 4) == "cuda:1"
    assert share_of_devices("cpu", 2, 4) == "cpu"


def test_baseline_keeps_other_profiles_and_claims_that_were_not_run(tmp_path):
    path = tmp_path / "baseline.json"
    assert read_baseline(path, "laptop") == {}
    write_baseline(path, "quick", [{"claim": {"id": "T1"}, "verdict": "inconclusive"}])
    write_baseline(path, "laptop", [{"claim": {"id": "T1"}, "verdict": "supported"}, {"claim": {"id": "T2"}, "verdict": None}])
    write_baseline(path, "laptop", [{"claim": {"id": "X1"}, "verdict": "refuted"}])
    assert read_baseline(path, "laptop") == {"T1": "supported", "X1": "refuted"}
    assert read_baseline(path, "quick") == {"T1": "inconclusive"}
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"baseline .* must be a JSON object"):
        read_baseline(path, "laptop")


def test_headline_is_the_weakest_finding_of_the_claims_verdict():
    row = {
        "verdict": "inconclusive",
        "findings": [
            {"verdict": "supported", "p": 0.9},
            {"verdict": "inconclusive", "p": 0.1},
            {"verdict": "inconclusive", "p": 0.3},
        ],
    }
    assert headline(row)["p"] == 0.3
    assert headline({"verdict": None, "findings": []}) == {}


def test_headline_of_a_claim_whose_condition_is_not_met_is_what_was_measured():
    condition = {"verdict": "inconclusive", "test": "condition", "p": None}
    tests = [{"verdict": "supported", "test": "trend", "p": p} for p in (0.1, 0.3)]
    assert headline({"verdict": "inconclusive", "findings": [condition, *tests]})["p"] == 0.3
    assert headline({"verdict": "inconclusive", "findings": [condition]}) is condition


def test_a_test_that_never_reported_has_no_verdict():
    results = Results({"a.py::t": {"id": "T1", "statement": "s"}})
    (row,) = results.rows()
    assert (row["status"], row["reason"]) == ("no verdict", "the test never reported")
    assert row["nodeid"] == "a.py::t"
