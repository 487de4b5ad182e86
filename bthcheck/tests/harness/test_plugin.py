"""The plugin from outside: pytest in a process of its own, on a small folder of claims."""

import json
import os
import re
import subprocess
import sys

import pytest

from bthcheck.harness.plugin import _THREADS

CONFTEST = 'pytest_plugins = ["bthcheck.pytest_plugin"]\n'

CLAIMS = """
import os
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from bthcheck import claim


def values(slope, seed=0):
    table = slope * np.arange(4) + np.random.default_rng(seed).normal(size=(8, 4))
    return xr.DataArray(table, {"seed": range(8), "level": [1, 2, 3, 4]}, ("seed", "level"))


@claim("UP", statement="It grows", source="nowhere")
def test_up(evidence):
    evidence.increases(values(3), "level", quantity="height")
    figure = Figure()
    figure.subplots().plot([1, 2])
    evidence.figure(figure, "A line.")


@claim("DOWN", statement="It grows, but shrinks", source="nowhere")
def test_down(evidence):
    evidence.increases(values(-3), "level")


@claim("NOISE", statement="It grows, or not", source="nowhere")
def test_noise(evidence):
    evidence.increases(values(0), "level")


@claim("EXACT", statement="One is at most two", source="nowhere", kind="exact")
def test_exact(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""

TROUBLE = """
import os
import pytest
from bthcheck import claim


@pytest.fixture
def broken():
    raise RuntimeError("the fixture broke")


@claim("CRASH", statement="It crashes", source="nowhere")
def test_crash(evidence):
    os._exit(3)


@claim("SETUP", statement="Its fixture breaks", source="nowhere")
def test_setup(broken, evidence):
    pass


@claim("RAISES", statement="It raises", source="nowhere")
def test_raises(evidence):
    evidence.note("so far")
    raise ZeroDivisionError("by nought")


@claim("EMPTY", statement="It presents nothing", source="nowhere", kind="exact")
def test_empty(evidence):
    pass


@claim("GOOD", statement="It holds", source="nowhere", kind="exact")
def test_good(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="1 ≤ 2")
"""

TRAINED = """
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS
import pytest


@pytest.fixture(scope="session")
def tiny(train):
    return train(SINUSOIDS.replace(name="tiny", levels=(0.25, 0.5, 1.0), epochs=300))


@claim("SLOWER", statement="Higher frequencies train slower", source="Fig. 1a")
def test_slower(tiny, evidence):
    evidence.increases(tiny.train_loss.isel(epoch=-1), "frequency", quantity="training loss")


@claim("WORSE", statement="They generalise worse", source="Fig. 1c")
def test_worse(tiny, evidence):
    evidence.increases(tiny.test_loss.isel(epoch=-1), "frequency", quantity="test loss")
"""


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


@pytest.fixture
def claims(tmp_path):
    """A function that writes claims into a folder and runs pytest there."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(source, *arguments, conftest=CONFTEST):
        (tmp_path / "conftest.py").write_text(conftest)
        (tmp_path / "test_claims.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        if not any("randomly" in argument for argument in arguments):
            command += ["-p", "no:randomly"]
        process = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}
        )
        return Outcome(process, tmp_path)

    return run


# -------------------------------------------------------------------------------------------- verdicts, rows


def test_verdicts_decide_what_passes(claims):
    outcome = claims(CLAIMS)
    assert outcome.code == 1
    assert outcome.statuses == {"DOWN": "refuted", "NOISE": "inconclusive", "EXACT": "supported", "UP": "supported"}
    assert list(outcome.statuses)[:2] == ["DOWN", "NOISE"]  # worst first
    assert "2 failed, 2 passed" in outcome.text
    assert re.search(r"DOWN +It grows, but shrinks +refuted +-[\d.]+ \[-[\d.]+, -[\d.]+\] +1 +8 +\d", outcome.text)
    assert outcome.text.rstrip().splitlines()[-1].startswith(("=", "2 failed"))
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
    expected = {"SETUP": "error", "RAISES": "error", "EMPTY": "error", "GOOD": "supported"}
    if workers != "0":
        expected["CRASH"] = "crashed"
    assert outcome.statuses == expected
    reasons = {row["claim"]["id"]: row["reason"] for row in outcome.records["claims"]}
    assert "the fixture broke" in reasons["SETUP"]
    assert reasons["RAISES"] == "ZeroDivisionError: by nought"
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
    baseline = json.loads((recorded.folder / "reports" / "baseline.json").read_text())
    assert baseline["laptop"] == {"DOWN": "refuted", "EXACT": "supported", "NOISE": "inconclusive", "UP": "supported"}
    again = claims(CLAIMS)
    assert again.code == 0
    assert "2 passed, 2 xfailed" in again.text
    assert again.statuses["DOWN"] == "refuted"
    changed = claims(CLAIMS.replace("increases(values(3)", "increases(values(0)"))
    assert changed.code == 1
    assert "claim UP is inconclusive" in changed.text
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
from bthcheck import evidence as tests
tests.permuted = lambda values, along, generator: values
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
    for name in _THREADS:
        monkeypatch.delenv(name, raising=False)
    probe = """
from pathlib import Path
def test_threads(pytestconfig):
    from bthcheck.choices import available_threads
    import torch
    expected = max(1, available_threads() // 4)
    assert torch.get_num_threads() == expected
    assert pytestconfig.stash[_SESSION].settings.threads == expected
    start = Path("/proc/self/environ")  # as it was before any plugin could import a library that reads it
    if start.exists():
        assert f"OPENBLAS_NUM_THREADS={expected}" in start.read_text().split("\\0")
"""
    outcome = claims(probe, "-n", "4")
    assert outcome.code == 0, outcome.text


# --------------------------------------------------------------------------------------------------- misuse


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "abacus"), "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got 'abacus'"),
        (("--device", "cuda:77"), "device 'cuda:77' is not available"),
        (("--engine", "warp"), "argument --engine: invalid choice: 'warp'"),
        (("--profile", "huge"), "argument --profile: invalid choice: 'huge'"),
        (("--seeds", "0"), "--seeds must be a number of seeds or a list such as 0,3,7, got '0'"),
        (("--seeds", "many"), "--seeds must be a number of seeds"),
        (("--seeds", "1,1"), "--seeds must be distinct"),
        (("--results-dir", "pytest.ini"), "the results folder .*pytest.ini cannot be written"),
        (("--cache-dir", "pytest.ini"), "the cache folder .*pytest.ini cannot be written"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(claims, arguments, message):
    outcome = claims(CLAIMS, *arguments)
    assert outcome.code == 4, outcome.text
    assert re.search(message, outcome.text)
    assert "Traceback" not in outcome.text
    assert "passed" not in outcome.text


def test_a_claim_about_an_impossible_experiment_is_an_error(claims):
    outcome = claims(TRAINED.replace("epochs=300", "epochs=3, windows=7"), "--no-cache")
    assert set(outcome.statuses.values()) == {"error"}
    assert "windows must divide the 100 training points, got 7" in outcome.text


TRACEBACK = r"\.py:\d+: (in |\w+Error)"
CIFAR = """
from bthcheck import claim
from bthcheck.experiments import CORRUPTED_CIFAR


@claim("CIFAR", statement="s", source="t")
def test_cifar(train, evidence):
    train(CORRUPTED_CIFAR)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_data_that_are_missing_are_said_with_the_command_that_fetches_them(claims, workers):
    outcome = claims(CIFAR, "--profile", "paper", "--data-root", "some where", "--no-cache", *workers)
    assert outcome.statuses == {"CIFAR": "error"}
    words = " ".join(outcome.text.split())
    assert "the full cifar10 cannot be used because" in words
    assert re.search(r"data_batch_1 is missing; fetch it with: .* download cifar10 --data-root '\S+some where'", words)
    assert not re.search(TRACEBACK, outcome.text)  # a sentence, no traceback
    assert "INTERNALERROR" not in outcome.text
    assert "0 trained" in outcome.text


ALTERED = """
from bthcheck.datasets import embedded
embedded.SUBSETS["cifar10"] = embedded.SUBSETS["cifar10"]._replace(sha256="0" * 64)
"""
FULL_GPU = """
from bthcheck.training import fused


def full(*_):
    raise RuntimeError("CUDA error: out of memory")


fused.train = full
"""
PRETENDED_GPU = """
from bthcheck import choices
from bthcheck.harness import plugin
from bthcheck.training import engines

for module in (choices, plugin, engines):
    module.check_device = lambda device: None
"""


@pytest.mark.parametrize(
    ("more", "arguments", "message"),
    [
        (ALTERED, (), r"cifar10-airplane-dog\.npz of this package is altered \(its SHA-256 differs\); install bthcheck anew"),
        (FULL_GPU, (), "too little free memory for even one run of corrupted CIFAR; free some"),
        (PRETENDED_GPU, ("--engine", "fused", "--device", "cuda"), "engine 'fused' runs on the cpu, got device='cuda'"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence_in_any_process(claims, more, arguments, message):
    outcome = claims(CIFAR, "--no-cache", "-n", "2", *arguments, conftest=CONFTEST + more)
    assert outcome.statuses == {"CIFAR": "error"}
    assert re.search(message, outcome.records["claims"][0]["reason"])
    assert not re.search(TRACEBACK, outcome.text)
    assert "INTERNALERROR" not in outcome.text


def test_a_download_that_fails_stops_the_session_with_a_sentence(claims):
    offline = (
        "from bthcheck.datasets import full\n\n\ndef refuse(*_):\n    raise OSError('no route')\n\n\nfull._fetch = refuse\n"
    )
    outcome = claims(CIFAR, "--download", "--data-root", "here", conftest=CONFTEST + offline)
    assert outcome.code == 4
    assert "cifar10 could not be downloaded to" in outcome.text
    assert "no route" in outcome.text


def test_claim_ids_are_unique(claims):
    outcome = claims(CLAIMS.replace('"DOWN"', '"UP"'))
    assert outcome.code == 4
    assert "claim ids must be unique, got UP more than once" in outcome.text
    spread = claims(CLAIMS.replace('"DOWN"', '"UP"'), "-n", "2")
    assert spread.code == 1
    assert "claim ids must be unique, got UP more than once" in spread.text
    assert "INTERNALERROR" not in spread.text


def test_the_family_has_a_size(claims):
    many = CLAIMS + "".join(
        f'\n@claim("M{i}", statement="s", source="t")\ndef test_m{i}(evidence):\n    pass\n' for i in range(30)
    )
    outcome = claims(many)
    assert outcome.code == 4
    assert "33 statistical claims are more than the 20 that share the family-wise error" in outcome.text


def test_evidence_needs_a_claim(claims):
    outcome = claims("def test_plain(evidence):\n    pass\n")
    assert outcome.code == 1
    assert "uses evidence but is not marked with bthcheck.claim" in outcome.text
