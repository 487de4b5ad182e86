"""The plugin from outside: pytest in a process of its own, on a small folder of claims."""

import re

import pytest

from bthcheck.harness.controller import THREADS
from bthcheck.report.baseline import verdicts
from bthcheck.tests.harness.samples import CLAIMS, TRAINED, TROUBLE

# -------------------------------------------------------------------------------------------- verdicts, rows


def test_verdicts_decide_what_passes(claims):
    outcome = claims(CLAIMS)
    assert outcome.code == 1
    assert outcome.statuses == {"DOWN": "refuted", "NOISE": "inconclusive", "EXACT": "supported", "UP": "supported"}
    assert list(outcome.statuses)[:2] == ["DOWN", "NOISE"]  # worst first
    assert "2 failed, 2 passed" in outcome.text
    assert re.search(r"^DOWN +refuted +-[\d.]+ \[-[\d.]+, -[\d.]+\] +1 +8 +\d", outcome.text, re.M)
    assert outcome.text.rstrip().splitlines()[-1].startswith(("=", "2 failed"))
    assert "It grows, but shrinks" in outcome.text  # it needs attention
    assert "One is at most two" not in outcome.text
    assert "claims: 2 supported; 1 refuted; 1 inconclusive" in outcome.text
    assert "report: reports/index.html" in outcome.text
    assert (outcome.folder / "reports" / "figures" / "UP-1.svg").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "4"),
        ("-n", "2", "--dist", "worksteal"),
        ("-n", "2", "--dist", "loadfile"),
        ("-p", "randomly"),
    ],
    ids=["load", "worksteal", "loadfile", "random order"],
)
def test_rows_are_the_same_however_it_is_run(claims, arguments):
    if "randomly" in arguments:
        pytest.importorskip("pytest_randomly")
    plain = claims(CLAIMS, "-n", "0").rows()
    assert claims(CLAIMS, *arguments).rows() == plain


def test_a_part_is_a_whole_of_its_own(claims):
    outcome = claims(CLAIMS, "-k", "test_up")
    assert outcome.code == 0
    assert outcome.statuses == {"UP": "supported"}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_trouble_is_shown_as_such(claims, workers):
    arguments = ("-n", workers) if workers != "0" else ("-n", "0", "-k", "not crash")
    outcome = claims(TROUBLE, *arguments)
    assert outcome.code == 1
    expected = {"SETUP": "error", "RAISES": "error", "FAILS": "error", "EMPTY": "error", "GOOD": "supported"}
    if workers != "0":
        expected["CRASH"] = "crashed"
    assert outcome.statuses == expected
    reasons = {row["claim"]["id"]: row["reason"] for row in outcome.records["claims"]}
    assert "the fixture broke" in reasons["SETUP"]
    assert reasons["RAISES"] == "ZeroDivisionError: by nought"
    assert reasons["FAILS"] == "no more"
    assert [len(row["findings"]) for row in outcome.records["claims"] if row["claim"]["id"] == "FAILS"] == [1]
    assert "claim EMPTY presented no evidence" in reasons["EMPTY"]
    html = (outcome.folder / "reports" / "index.html").read_text()
    assert "by nought" in html
    if workers != "0":
        assert "crashed" in reasons["CRASH"]


def test_what_never_ran_has_no_verdict(claims):
    outcome = claims(TROUBLE, "-x", "-k", "setup or good")
    assert outcome.statuses == {"SETUP": "error", "GOOD": "no verdict"}


def test_nothing_is_written_without_claims(claims):
    outcome = claims("def test_plain():\n    pass\n")
    assert outcome.code == 0
    assert "verdicts" not in outcome.text
    assert not (outcome.folder / "reports").exists()
    assert not (outcome.folder / ".bthcheck_cache").exists()
    assert not (claims(CLAIMS, "--collect-only").folder / "reports" / "index.html").exists()


# ------------------------------------------------------------------------------------- baseline and placebo


def test_baseline_lets_known_failures_be_but_not_new_ones(claims):
    recorded = claims(CLAIMS, "--update-baseline")
    assert recorded.code == 0  # what is put on record is not held against a claim
    baseline = verdicts(recorded.folder / "reports" / "baseline.json", "laptop")
    assert baseline == {"DOWN": "refuted", "EXACT": "supported", "NOISE": "inconclusive", "UP": "supported"}
    again = claims(CLAIMS)
    assert again.code == 0
    assert "2 passed, 2 xfailed" in again.text
    assert "claims: 2 supported; 2 not supported, as on record; nothing has changed" in again.text
    assert "It grows" not in again.text.partition("verdicts")[2]
    assert again.statuses["DOWN"] == "refuted"
    changed = claims(CLAIMS.replace("increases(values(3)", "increases(values(0)"))
    assert changed.code == 1
    assert "claim UP is inconclusive" in changed.text
    assert re.search(r"^UP +inconclusive +supported .*\n    It grows\n    .*\n    on record: supported$", changed.text, re.M)
    assert "2 not supported, as on record; 1 inconclusive; changed: UP (inconclusive, on record supported)" in changed.text
    assert "on record: supported" in (changed.folder / "reports" / "index.html").read_text()
    assert claims(CLAIMS, "--profile", "quick").code == 1  # a record is of one profile


@pytest.mark.parametrize("workers", ["0", "2"])
def test_placebo_does_not_come_out_supported(claims, workers):
    outcome = claims(CLAIMS, "--placebo", "-n", workers)
    assert outcome.code == 0
    assert outcome.statuses == {"UP": "inconclusive", "DOWN": "inconclusive", "NOISE": "inconclusive", "EXACT": "skipped"}
    assert "verdicts on a placebo" in outcome.text
    assert "A placebo" in (outcome.folder / "reports" / "index.html").read_text()


def test_a_harness_that_always_supports_fails_its_placebo(claims):
    rigged = (
        CLAIMS
        + """
from bthcheck.evidence import trends
trends.permuted = lambda values, along, generator: values
"""
    )
    outcome = claims(rigged, "--placebo", "-k", "test_up")
    assert outcome.code == 1
    assert "a placebo came out supported" in outcome.text


# ------------------------------------------------------------------------------------------- training in it


def test_runs_are_shared_counted_and_reused(claims):
    cold = claims(TRAINED, "-n", "4")
    assert cold.statuses == {"SLOWER": "supported", "WORSE": "supported"}, cold.text
    assert "runs: 0 runs from the cache, 30 trained" in cold.text
    warm = claims(TRAINED, "-n", "0")
    assert "runs: 30 runs from the cache, 0 trained" in warm.text
    assert warm.rows() == cold.rows()
    fresh = claims(TRAINED, "-n", "2", "--no-cache")
    assert "runs: 0 runs from the cache, 30 trained" in fresh.text
    assert fresh.rows() == cold.rows()
    few = claims(TRAINED, "--seeds", "1,4", "-k", "slower")
    assert few.records["experiments"][0]["configuration"]["seeds"] == [1, 4]
    assert "2 seeds are too few" in few.text
    elsewhere = claims(TRAINED, "--cache-dir", "other", "-k", "slower", "--seeds", "2", "--engine", "fused", "--device", "cpu")
    assert "6 trained" in elsewhere.text
    assert len(list((elsewhere.folder / "other").glob("*.safetensors"))) == 6


def test_a_diverged_run_makes_its_claims_inconclusive(claims):
    diverging = TRAINED.replace("epochs=300", "epochs=5, learning_rate=5.0")
    outcome = claims(diverging, "--no-cache")
    assert outcome.statuses == {"SLOWER": "inconclusive", "WORSE": "inconclusive"}
    assert "run(s) diverged: frequency=" in outcome.text
    assert "runs diverged." in (outcome.folder / "reports" / "index.html").read_text()


def test_workers_share_the_cores(claims, monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    probe = """
from pathlib import Path
def test_threads(pytestconfig):
    from bthcheck.choices import available_threads
    from bthcheck.harness.settings import at_once
    from bthcheck.harness.stash import SETTINGS
    import torch
    expected = max(1, available_threads() // 4)
    assert torch.get_num_threads() == expected
    assert pytestconfig.stash[SETTINGS].threads == at_once(4, available_threads())
    start = Path("/proc/self/environ")  # as it was before any plugin could import a library that reads it
    if start.exists():
        assert f"OPENBLAS_NUM_THREADS={expected}" in start.read_text().split("\\0")
"""
    outcome = claims(probe, "-n", "4")
    assert outcome.code == 0, outcome.text
