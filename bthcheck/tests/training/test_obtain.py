"""Caches that are shared, full, gone or not to be written; waiting for others; and stopping when asked to."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import filelock
import numpy as np
import pytest

import bthcheck
from bthcheck import files as files_module
from bthcheck.networks import CNN, MLP
from bthcheck.tests.harness.test_folders import dead_process
from bthcheck.tests.training.test_cache import TINY, Counter, train
from bthcheck.training import cache as cache_module
from bthcheck.training import interrupt, obtain
from bthcheck.training.cache import RunCache, run_key
from bthcheck.training.runs import Run

FIRST = Run(TINY, 0.25, 0)


def files(folder):
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# ------------------------------------------------------------------------------------- where nothing can be kept


def assert_nothing_lost(folder, message):
    """All six runs are there, and one warning says that they are not kept."""
    with pytest.warns(UserWarning, match=message) as warned:
        result, counter = train(folder)
    assert len(warned) == 1
    assert len(counter.trained) == 6
    assert result.identical(bthcheck.run(TINY, progress=False))


def test_a_full_disk_loses_no_run(tiny_disk):
    (tiny_disk / "filler").write_bytes(b"x" * 40_000)
    assert_nothing_lost(tiny_disk, r"may not be kept in .*: No space left on device")
    assert not [name for name in files(tiny_disk) if name.endswith(".tmp")]


def test_a_disk_that_fails_loses_no_run(tmp_path, monkeypatch):
    def broken(path, content):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(cache_module, "write_whole", broken)
    assert_nothing_lost(tmp_path, "may not be kept in .*: Input/output error")


def test_a_folder_deleted_meanwhile_is_made_again(tmp_path):
    import shutil

    folder = tmp_path / "cache"

    class Deleting(Counter):
        def finish(self, *arguments):
            super().finish(*arguments)
            if len(self.trained) == 2:
                shutil.rmtree(folder)

    counter = Deleting()
    result = bthcheck.run(TINY, cache=folder, progress=counter, threads=1)
    assert len(counter.trained) == 6
    assert result.identical(bthcheck.run(TINY, progress=False))
    assert len(list(folder.glob("*.safetensors"))) == 4


def read_only(folder):
    """Mount a folder on itself, read-only: permissions do not bind root."""
    for options in (["--bind"], ["-o", "remount,bind,ro"]):
        done = subprocess.run(["mount", *options, folder, folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")


def test_a_cache_that_cannot_be_written_is_served_and_left_as_it_is(tmp_path):
    train(tmp_path, TINY.replace(seeds=(0, 1)))
    read_only(tmp_path)
    try:
        before = files(tmp_path)
        with pytest.warns(UserWarning, match=r"read from .* not kept there, because it cannot be written: Read-only") as warned:
            _, counter = train(tmp_path)
        assert len(warned) == 1
        assert (len(counter.trained), len(counter.read)) == (2, 4)
        assert files(tmp_path) == before
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_what_was_left_behind_by_the_dead_is_removed(tmp_path):
    of_the_dead = files_module.temporary(tmp_path).name.replace(str(os.getpid()), str(dead_process()))
    young = [(of_the_dead, 0), (".bthcheck-2-cd.tmp", 10)]
    for name, age in (("old.tmp", 700), (".bthcheck-1-ab.tmp", 700), ("old.safetensors", 10**6), *young):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - age))
    RunCache(tmp_path)
    assert files(tmp_path) == {"old.tmp", ".bthcheck-2-cd.tmp", "old.safetensors"}  # the first is not of this package


# --------------------------------------------------------------------------------------------- several users

UMASK = """
import os, sys
os.umask(int(sys.argv[2], 8))
import bthcheck
from bthcheck.tests.training.test_cache import TINY
bthcheck.run(TINY.replace(levels=(0.25,), seeds=(0,)), cache=sys.argv[1], progress=False)
"""


@pytest.mark.parametrize(("umask", "mode"), [("002", 0o664), ("077", 0o600), ("022", 0o644)])
def test_entries_and_locks_have_the_permissions_of_any_file(tmp_path, umask, mode):
    """They once were 0600 and 0644 whatever the umask, and a second user of a group found nothing."""
    subprocess.run([sys.executable, "-c", UMASK, str(tmp_path), umask], check=True)
    assert len(list(tmp_path.iterdir())) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}


def test_an_entry_of_somebody_else_is_called_what_it_is(tmp_path, monkeypatch):
    train(tmp_path)
    (path, *_) = tmp_path.glob("*.safetensors")
    original = os.open

    def refuse(name, *arguments, **options):
        if os.fspath(name) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(name, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.warns(UserWarning, match=rf"{path.name} cannot be read \(Permission denied\) and is trained again"):
        _, counter = train(tmp_path)
    assert (len(counter.trained), len(counter.read)) == (1, 5)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
        OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)),
        NotImplementedError("FileSystem does not appear to support flock"),
    ],
)
def test_without_locks_runs_are_trained_all_the_same(tmp_path, monkeypatch, error):
    def refuse(self):
        raise error

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    with pytest.warns(UserWarning, match="trained without locks, because none can be had") as warned:
        _, counter = train(tmp_path)
    assert len(warned) == 1
    assert len(counter.trained) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, counter = train(tmp_path)  # what is read needs no lock
    assert len(counter.read) == 6


# ---------------------------------------------------------------------------------------- waiting for others


def test_who_waits_says_for_what_and_goes_on_for_as_long_as_it_takes(tmp_path, monkeypatch):
    """An hour once ended it, also where others had finished runs meanwhile. Here 8 s are 0.2 s."""
    monkeypatch.setattr(obtain, "_SAY_SECONDS", 0.2)
    bthcheck.run(TINY, progress=False)  # compiled by now
    lock = tmp_path / f"{run_key(FIRST, 'fused', 'cpu')}.lock"
    held = filelock.FileLock(lock, thread_local=False)  # released by another thread
    held.acquire()
    threading.Timer(2.5, held.release).start()
    start = time.monotonic()
    _, counter = train(tmp_path)
    assert time.monotonic() - start > 2
    assert len(counter.trained) == 6
    assert 2 <= len(counter.waited) <= 6  # ever more seldom
    for sentence in counter.waited:
        assert str(FIRST) in sentence
        assert str(lock) in sentence
    seconds = [float(sentence.partition("at least ")[2].partition(" s")[0]) for sentence in counter.waited]
    assert seconds == sorted(seconds)


def test_a_progress_bar_says_what_is_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(obtain, "_SAY_SECONDS", 0.2)
    held = filelock.FileLock(tmp_path / f"{run_key(FIRST, 'fused', 'cpu')}.lock", thread_local=False)
    bthcheck.run(TINY, progress=False)  # compiled by now
    with held:
        threading.Timer(2.0, held.release).start()
        bthcheck.run(TINY, cache=tmp_path)
    assert f"waiting for {FIRST}" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- stopping

LONG = {
    "fused": TINY.replace(epochs=150_000),
    "reference": TINY.replace(epochs=10**5),
    "stacked": TINY.replace(epochs=10**5),
    "fused, one long epoch": TINY.replace(
        task=type(TINY.task)(train=500_000, test=2), epochs=1, network=MLP((10, 10, 256, 256, 1)), seeds=(0,), levels=(0.25,)
    ),
}
PROGRAM = """
import os, signal, sys, threading, time
import bthcheck
from bthcheck.experiments import Experiment

experiment = Experiment.from_json(sys.argv[2])
if sys.argv[1] == "trace":
    call = lambda: bthcheck.trace(experiment, 0.25, 0, steps=10**5, engine=sys.argv[3])
else:
    call = lambda: bthcheck.run(experiment, engine=sys.argv[3], cache=sys.argv[4], progress=False, threads=2)
if sys.argv[3] == "fused":  # compiled by now
    bthcheck.run(experiment.replace(epochs=1, levels=(0.25,), seeds=(0,), task=type(experiment.task)()), progress=False)
    bthcheck.trace(experiment.replace(epochs=1, task=type(experiment.task)()), 0.25, 0, steps=1)
sent = []
def send():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(float(sys.argv[5]), send).start()
try:
    call()
except KeyboardInterrupt:
    print("interrupted after", time.monotonic() - sent[0])
"""


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("what", ["run", "trace"])
def test_ctrl_c_is_heard_within_two_seconds(what, name, tmp_path):
    """It once waited for whole runs: 38 s for 150 000 epochs, over a minute and three more presses with autograd."""
    if what == "trace" and name in ("stacked", "fused, one long epoch"):
        pytest.skip("a trace is of the other engines, and as long as its steps")
    command = [sys.executable, "-c", PROGRAM, what, LONG[name].to_json(), name.partition(",")[0], str(tmp_path), "4"]
    start = time.monotonic()
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert float(process.stdout.removeprefix("interrupted after ")) < 2
    assert "Traceback" not in process.stderr
    assert time.monotonic() - start < 100  # the process has ended, too
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_was_finished_before_is_kept(tmp_path):
    class Impatient(Counter):
        def finish(self, *arguments):
            super().finish(*arguments)
            if len(self.trained) == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bthcheck.run(TINY, cache=tmp_path, progress=Impatient(), threads=1)
    assert 3 <= len(list(tmp_path.glob("*.safetensors"))) < 6
    _, counter = train(tmp_path)
    assert len(counter.read) >= 3


LITTLE_CNN = CNN(shape=(1, 10, 1), channels=(1, 1), kernel=1, pool=1, hidden=2, output="identity")


@pytest.mark.parametrize("network", [MLP((10, 10, 4, 1)), LITTLE_CNN])
@pytest.mark.parametrize("engine", ["fused", "reference", "stacked"])
def test_a_run_that_was_stopped_is_no_result(engine, network, monkeypatch):
    stop = interrupt.Stop()
    stop.request()
    monkeypatch.setattr(interrupt, "_NEVER", stop)
    module = __import__(f"bthcheck.training.{engine}", fromlist=["train"])
    run = Run(TINY.replace(network=network), 0.25, 0)
    with pytest.raises(interrupt.Interrupted):
        module.train([run] if engine == "stacked" else run)
    if engine != "stacked":
        with pytest.raises(interrupt.Interrupted):
            module.trace(run, 5)


def test_outcomes_come_as_they_are_done_and_errors_come_through():
    assert sorted(interrupt.each_done(lambda x: x * x, [1, 2, 3], 2)) == [1, 4, 9]
    assert list(interrupt.each_done(lambda x: x, [], 2)) == []
    order = list(interrupt.each_done(lambda seconds: (time.sleep(seconds), seconds)[1], [0.5, 0.0], 2))
    assert order == [0.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        list(interrupt.each_done(lambda x: 1 / x, [1, 0], 1))


def test_whoever_leaves_early_starts_nothing_more():
    begun = []

    def work(item):
        begun.append(item)
        time.sleep(0.2)
        return item

    outcomes = interrupt.each_done(work, list(range(50)), 2)
    assert next(outcomes) in (0, 1)
    outcomes.close()
    count = len(begun)
    assert count <= 5
    time.sleep(0.5)
    assert len(begun) == count


def test_one_that_does_not_hear_is_not_waited_for(monkeypatch):
    """Compiling, for one: the process ends it."""
    monkeypatch.setattr(interrupt, "PATIENCE_SECONDS", 0.2)
    deaf = threading.Event()
    outcomes = interrupt.each_done(lambda wait: deaf.wait(20) if wait else 1, [False, True], 2)
    assert next(outcomes) == 1
    start = time.monotonic()
    outcomes.close()
    assert time.monotonic() - start < 2
    deaf.set()


# ------------------------------------------------------------------------------------------- what digits hang on

KEY = textwrap.dedent(
    """
    from bthcheck.tests.training.test_cache import TINY
    from bthcheck.training.cache import run_key
    from bthcheck.training.runs import Run
    print(run_key(Run(TINY, 0.25, 0), "fused", "cpu"))
    """
)


def test_a_key_knows_the_vector_units():
    """NUMBA_CPU_NAME=generic changes the seventh digit, and ATEN_CPU_CAPABILITY others."""
    keys = []
    for more in ({}, {"NUMBA_CPU_NAME": "generic"}, {"ATEN_CPU_CAPABILITY": "default"}, {}):
        command = [sys.executable, "-c", KEY]
        process = subprocess.run(command, env={**os.environ, **more}, check=True, capture_output=True, text=True)
        keys.append(process.stdout)
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


def test_code_that_changed_since_it_was_imported_keeps_nothing(tmp_path, monkeypatch):
    train(tmp_path)
    monkeypatch.setattr("bthcheck.training.code.digest", lambda module: None)
    with pytest.warns(UserWarning, match="the code of bthcheck has changed since it was imported"):
        result, counter = train(tmp_path)
    assert len(counter.trained) == 6
    assert len(list(tmp_path.glob("*.safetensors"))) == 6
    assert np.isfinite(result.train_loss).all()
