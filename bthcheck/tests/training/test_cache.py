import dataclasses
import json
import multiprocessing
import multiprocessing.pool
import os
import pickle
import signal
import stat
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import load_file, save_file

import bthcheck
from bthcheck import files
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.training import cache, fused
from bthcheck.training.cache import RunCache, run_key
from bthcheck.training.runs import Run
from bthcheck.training.statistics import STATISTICS

TINY = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=range(3), epochs=3)


class Counter:
    """An observer that counts."""

    def __init__(self):
        self.trained, self.read, self.waited = [], [], []

    def start(self, total):
        self.total = total

    def finish(self, run, key, trained, seconds):
        (self.trained if trained else self.read).append(key)

    def wait(self, sentence):
        self.waited.append(sentence)


def train(folder, experiment=TINY):
    counter = Counter()
    return bthcheck.run(experiment, cache=folder, progress=counter, threads=2), counter


def entry(folder):
    return min(folder.glob("*.safetensors"))


def test_second_time_is_read_and_is_the_same(tmp_path):
    first, cold = train(tmp_path)
    second, warm = train(tmp_path)
    assert (len(cold.trained), len(cold.read)) == (6, 0)
    assert (len(warm.trained), len(warm.read)) == (0, 6)
    assert first.identical(second)


def test_only_what_is_missing_is_trained(tmp_path):
    train(tmp_path)
    wider, counter = train(tmp_path, TINY.replace(levels=(0.25, 0.5, 1.0), seeds=range(4)))
    assert (len(counter.trained), len(counter.read)) == (6, 6)
    alone = bthcheck.run(TINY.replace(levels=(0.5,), seeds=(3,)), progress=False)
    assert wider.sel(frequency=[0.5], seed=[3]).trajectory_length.equals(alone.trajectory_length)


def test_key_is_blind_to_what_cannot_change_the_numbers():
    key = run_key(Run(TINY, 0.25, 1), "fused", "cpu")
    others = [TINY.replace(name="other"), TINY.replace(levels=(0.25, 0.3)), TINY.replace(seeds=(1,))]
    assert {run_key(Run(other, 0.25, 1), "fused", "cpu") for other in others} == {key}


def test_key_sees_everything_that_can():
    run = Run(TINY, 0.25, 1)
    changes = [
        {"epochs": 4}, {"batch_size": 2}, {"learning_rate": 0.002}, {"decay": 0.5}, {"sampling": "replacement"},
        {"dtype": "float64"}, {"lipschitz_every": 1}, {"network": MLP((10, 10, 5, 1))},
        {"network": dataclasses.replace(TINY.network, first_layer="trained")},
    ]  # fmt: skip
    changes += [{"task": dataclasses.replace(TINY.task, **{name: 20})} for name in ("train", "test", "scale")]
    keys = [run_key(Run(TINY.replace(**change), 0.25, 1), "fused", "cpu") for change in changes]
    keys += [run_key(run, "fused", "cpu"), run_key(run, "reference", "cpu"), run_key(run, "reference", "cuda:1")]
    keys += [run_key(Run(TINY, 1.0, 1), "fused", "cpu"), run_key(Run(TINY, 0.25, 2), "fused", "cpu")]
    assert len(set(keys)) == len(keys)
    assert run_key(run, "reference", "cuda:0") == run_key(run, "reference", "cuda:1")


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def alter_a_number(path):
    """A well-formed file with one other number: only the checksum can tell."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    arrays["statistics/train_loss"][0] += 1e-9
    save_file(arrays, path, metadata)


def other_schema(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    facts = {**json.loads(metadata["facts"]), "schema": 0}
    save_file(load_file(path), path, {**metadata, "facts": json.dumps(facts)})


def replace_by(make):
    """Put something else in the place of a file."""

    def harm(path):
        path.unlink()
        make(path)

    return harm


def make_device(path):
    """Make what /dev/zero is: endless zeros."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")


def header(text):
    """Write an archive whose header is this text."""

    def harm(path):
        content = text.encode()
        path.write_bytes(len(content).to_bytes(8, "little") + content + b"\0" * 64)

    return harm


def other_arrays(**changes):
    """An entry that this module might have written, checksum and all, with other arrays in it."""

    def harm(path):
        result = RunCache(path.parent).read(path.stem)
        statistics = {**result.statistics, **changes.pop("statistics", {})}
        statistics = {name: values for name, values in statistics.items() if values is not None}
        RunCache(path.parent).write(path.stem, dataclasses.replace(result, statistics=statistics, **changes))

    return harm


DAMAGE = {
    "a folder": replace_by(lambda path: path.mkdir()),
    "a link to nothing": replace_by(lambda path: path.symlink_to("nowhere")),
    "a link to itself": replace_by(lambda path: path.symlink_to(path)),
    "a pipe": replace_by(os.mkfifo),
    "a link to a pipe": replace_by(lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe"))),
    "a device": replace_by(make_device),
    "nested deeply": header("[" * 100_000),
    "a list for a header": header("[1, 2]"),
    "no metadata": header("{}"),
    "a number for metadata": header('{"__metadata__": 7}'),
    "facts of another type": header('{"__metadata__": {"facts": "3", "sha256": "x"}}'),
    "facts that are no text": header('{"__metadata__": {"facts": null, "sha256": "x"}}'),
    "a header of 16 EiB": lambda path: path.write_bytes(b"\xff" * 8 + b"{}"),
    "fewer epochs": other_arrays(statistics={name: np.zeros(2) for name in STATISTICS}),
    "epochs that differ": other_arrays(statistics={"train_loss": np.zeros(2)}),
    "a statistic less": other_arrays(statistics={"train_loss": None}),
    "statistics in float32": other_arrays(statistics={name: np.zeros(3, np.float32) for name in STATISTICS}),
    "parameters of two dimensions": other_arrays(parameters=np.zeros((2, 2), np.float32)),
    "whole parameters": other_arrays(parameters=np.zeros(2, np.int64)),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "emptied": lambda path: path.write_bytes(b""),
    "a byte flipped": flip_a_byte,
    "a number altered": alter_a_number,
    "another schema": other_schema,
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Explosive())),
    "plain tensors": lambda path: save_file({"parameters": np.zeros(3)}, path),
}


class Explosive:
    """Unpickling this would fail the test."""

    def __reduce__(self):
        return (pytest.fail, ("a cache entry was unpickled",))


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_entry_is_said_and_trained_again(tmp_path, kind):
    first, _ = train(tmp_path)
    path = entry(tmp_path)
    DAMAGE[kind](path)
    with pytest.warns(UserWarning, match=rf"cached run .*{path.name} is damaged .* trained again") as warned:
        second, counter = train(tmp_path)
    assert len(warned) == 1
    assert (len(counter.trained), len(counter.read)) == (1, 5)
    assert first.identical(second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, healed = train(tmp_path)
    assert len(healed.read) == 6


def test_what_a_link_points_to_is_never_written(tmp_path):
    """Whoever hands a cache over could otherwise have any file replaced that its next user may write."""
    folder, outside = tmp_path / "cache", tmp_path / "outside"
    train(folder)
    path = entry(folder)
    path.unlink()
    outside.write_text("not a run")
    path.symlink_to(outside)
    with pytest.warns(UserWarning, match="is damaged"):
        train(folder)
    assert outside.read_text() == "not a run"
    assert not path.is_symlink()
    assert len(train(folder)[1].read) == 6


def test_another_runs_file_under_this_name_is_not_believed(tmp_path):
    train(tmp_path)
    one, two = sorted(tmp_path.glob("*.safetensors"))[:2]
    one.write_bytes(two.read_bytes())
    with pytest.warns(UserWarning, match="belongs to another run"):
        train(tmp_path)


def test_a_lock_file_means_nothing(tmp_path):
    for run in [Run(TINY, level, seed) for level in TINY.levels for seed in TINY.seeds]:
        (tmp_path / f"{run_key(run, 'fused', 'cpu')}.lock").touch()
    _, counter = train(tmp_path)
    assert len(counter.trained) == 6


def test_cache_can_be_anywhere_but_must_be_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"the cache folder .*file cannot be used: File exists"):
        train(tmp_path / "file")


def test_a_failed_training_leaves_no_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(fused, "train", lambda *a: (_ for _ in ()).throw(RuntimeError("out of luck")))
    with pytest.raises(RuntimeError, match="out of luck"):
        train(tmp_path)
    assert not list(tmp_path.glob("*.safetensors")) + list(tmp_path.glob("*.tmp"))


def train_in_a_process(folder, barrier, queue):
    barrier.wait()
    result, counter = train(folder, SINUSOIDS.replace(levels=(0.25, 1.0), seeds=range(8), epochs=40))
    queue.put((counter.trained, counter.read, float(result.train_loss.sum())))


def test_processes_share_the_work(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(3), context.Queue()
    processes = [context.Process(target=train_in_a_process, args=(tmp_path, barrier, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    outcomes = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    trained = [key for keys, _, _ in outcomes for key in keys]
    assert len(trained) == len(set(trained)) == 16  # each run once, by whoever came first
    assert all(len(own) + len(read) == 16 for own, read, _ in outcomes)
    assert len({total for *_, total in outcomes}) == 1


def hold_the_lock(path, ready):
    with FileLock(path):
        ready.set()
        time.sleep(600)


def test_a_killed_process_does_not_keep_its_run(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    path = tmp_path / f"{run_key(Run(TINY, 0.25, 0), 'fused', 'cpu')}.lock"
    holder = context.Process(target=hold_the_lock, args=(path, ready))
    holder.start()
    assert ready.wait(60)
    killer = multiprocessing.pool.ThreadPool(1).apply_async(lambda: (time.sleep(1), os.kill(holder.pid, signal.SIGKILL)))
    start = time.monotonic()
    _, counter = train(tmp_path)
    assert len(counter.trained) == 6
    assert time.monotonic() - start > 0.5  # it did wait for the one that was locked
    killer.get()
    holder.join()


def test_statistics_come_back_exactly(tmp_path):
    run = Run(TINY, 0.25, 0)
    result = fused.train(run)
    cache = RunCache(tmp_path)
    cache.write("k", result)
    back = cache.read("k")
    assert back.statistics.keys() == set(STATISTICS)
    for name in STATISTICS:
        assert np.array_equal(back.statistics[name], result.statistics[name], equal_nan=True)
    assert np.array_equal(back.parameters, result.parameters)
    assert back.parameters.dtype == np.float32


def test_a_folder_is_looked_through_once_and_not_by_every_look_up(tmp_path, monkeypatch):
    """What a session does often must take no longer where there are 20 000 runs than where there is one."""
    train(tmp_path)
    monkeypatch.setattr(cache, "_swept", {})
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(Path(folder)) or scandir(folder))
    monkeypatch.setattr(os, "listdir", None)
    RunCache(tmp_path)
    assert looked == [tmp_path, tmp_path]  # whether it can be read, which lists nothing, and what the dead left
    _, warm = train(tmp_path)
    _, cold = train(tmp_path, TINY.replace(epochs=4))
    assert (len(warm.read), len(cold.trained)) == (6, 6)
    assert looked == [tmp_path] * 4  # whether it can be read, each time
    cache._swept[tmp_path.absolute()] -= files.LEFT_BEHIND_SECONDS
    RunCache(tmp_path)
    assert looked == [tmp_path] * 6
