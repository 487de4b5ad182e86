"""Sessions that train on a Dask cluster: the same verdicts, who trained, and sentences where there is no such cluster."""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bthcheck.processes import is_alive
from bthcheck.tests.harness.samples import CONFTEST

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")

CLAIMS = """
import os
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS

EPOCHS = int(os.environ.get("BTHCHECK_TEST_EPOCHS", "6"))
LITTLE = SINUSOIDS.replace(levels=(0.25, 0.5, 1.0), seeds=range(8), epochs=EPOCHS)


@claim("SHORT", statement="Paths are longer at a higher frequency", source="nowhere")
def test_short(train, evidence):
    data = train(LITTLE)
    evidence.increases(data.trajectory_length.isel(epoch=-1), "frequency", quantity="length")


@claim("OTHER", statement="So they are in other networks", source="nowhere")
def test_other(train, evidence):
    data = train(LITTLE.replace(name="other", learning_rate=0.002))
    evidence.increases(data.trajectory_length.isel(epoch=-1), "frequency", quantity="length")
"""


@pytest.fixture
def dask():
    return pytest.importorskip("distributed")


def verdicts(outcome):
    records = json.loads((outcome.folder / "reports" / "records.json").read_text())
    return records, {row["claim"]["id"]: (row["verdict"], row["findings"]) for row in records["claims"]}


def test_a_session_on_two_dask_workers_comes_to_the_same(claims, dask):
    here = claims(CLAIMS, "--profile", "quick", "--no-cache")
    _, expected = verdicts(here)
    there = claims(CLAIMS, "--profile", "quick", "--no-cache", "--dask", "local:2", "-n", "2")
    records, found = verdicts(there)
    assert found == expected
    assert there.code == here.code
    assert "trained on 2 Dask workers at tcp://127.0.0.1:" in there.text
    assert "runs: 0 runs from the cache, 24 trained" in there.text
    assert records["environment"]["trained on"].startswith("trained on 2 Dask workers at tcp://127.0.0.1:")
    for library in ("numpy", "torch", "numba", "bthcheck"):
        assert library in records["environment"]["trained on"]
    assert "trained on 2 Dask workers" in (there.folder / "reports" / "index.html").read_text()
    assert "Traceback" not in there.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dask", "local:0"), "--dask local:N needs a whole number of processes from 1 to"),
        (("--dask", "local:x"), "got 'local:x'"),
        (("--dask", "somewhere"), "--dask must be the address of a Dask scheduler, such as tcp://127.0.0.1:8786, or local:N"),
        (("--dask", "tcp://127.0.0.1:1"), "--dask: no Dask scheduler answers at tcp://127.0.0.1:1; dask scheduler starts one"),
        (("--dask", "tcp://127.0.0.1:1", "-n", "2"), "--dask: no Dask scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_what_is_no_cluster_ends_the_session_before_it_begins(claims, dask, arguments, message):
    outcome = claims(CLAIMS, *arguments)
    assert outcome.code == pytest.ExitCode.USAGE_ERROR
    said = [line for line in outcome.text.splitlines() if "--dask" in line]
    assert len(said) == 1
    assert message in said[0]
    assert "Traceback" not in outcome.text
    assert "collected" not in outcome.text
    assert not (outcome.folder / "reports").exists()


def test_gpus_that_the_workers_do_not_have_are_said_before_it_begins(claims, dask):
    outcome = claims(CLAIMS, "--dask", "local:1", "--device", "cuda:0", environment={"CUDA_VISIBLE_DEVICES": ""})
    assert outcome.code == pytest.ExitCode.USAGE_ERROR
    said = [line for line in outcome.text.splitlines() if "--device" in line]
    assert len(said) == 1
    assert "--device cuda:0 is not available: the Dask worker at tcp://127.0.0.1:" in said[0]
    assert "sees no CUDA device; use cpu or auto" in said[0]


def test_whoever_only_looks_starts_no_cluster(claims, dask):
    outcome = claims(CLAIMS, "--dask", "tcp://127.0.0.1:1", "--collect-only")
    assert outcome.code == pytest.ExitCode.OK
    assert "no Dask scheduler" not in outcome.text


def descendants(pid):
    """Return the processes that a process has started, and those that these have."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.parametrize("group", [True, False])
def test_ctrl_c_reports_what_is_finished_and_leaves_no_worker(tmp_path, dask, group):
    if not Path("/proc/self").is_dir():
        pytest.skip("processes are looked up in /proc")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_claims.py").write_text(CLAIMS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--dask", "local:2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "200", "TMPDIR": str(tmp_path), "BTHCHECK_TEST_EPOCHS": "1500"},
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    try:
        until = time.monotonic() + 120
        while len(list((tmp_path / ".bthcheck_cache").glob("*.safetensors"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        started = descendants(process.pid)
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        text = process.communicate(timeout=60)[0]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert len(started) >= 2
    assert "interrupted: 0 of 2 claims have a verdict" in text
    assert "trained on 2 Dask workers" in text
    until = time.monotonic() + 20
    while (alive := [pid for pid in started if is_alive(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive
    assert "Traceback" not in text
