"""``bthcheck cache``: what is there, and what of it is removed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from bthcheck.cli.cache import _chosen
from bthcheck.experiments import SINUSOIDS
from bthcheck.geometry.covering import cover_points
from bthcheck.report.numbers import count
from bthcheck.training import entries as module
from bthcheck.training.cache import Form, RunCache, describe, key_of
from bthcheck.training.entries import entries
from bthcheck.training.kept import Keeper
from bthcheck.training.obtain import about
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.statistics import STATISTICS

DAY = 86400


@pytest.fixture
def cache(tmp_path):
    """A folder of 3 + 2 runs of two experiments and one that does not say what it is of, the oldest ten days old."""
    folder = tmp_path / ".bthcheck_cache"
    store = RunCache(folder)
    result = RunResult(dict.fromkeys(STATISTICS, np.zeros(3)), np.zeros(4, "float32"), False, 1.0)
    for number, (experiment, seed) in enumerate([(3, 0), (3, 1), (3, 2), (5, 0), (5, 1)]):
        run = Run(SINUSOIDS.replace(epochs=experiment), 0.5, seed)
        description = describe(run, "fused", "cpu")
        store.write(key_of(description), result, about(run, description))
        age(store.path(key_of(description)), 10 - number)
    store.write("0" * 64, result)
    age(folder / f"{'0' * 64}.safetensors", 5.5)
    return folder


def age(path, days):
    os.utime(path, (time.time() - days * DAY,) * 2)


def kept(folder):
    return [(entry.about or {}).get("description", {}).get("training", {}).get("epochs") for entry in entries(folder)]


def test_entries_say_what_they_are_of(cache):
    assert kept(cache) == [3, 3, 3, 5, 5, None]
    assert {entry.current for entry in entries(cache) if entry.about} == {True}
    assert RunCache(cache).read(entries(cache)[0].key, Form(3, "float32")) is not None  # and are read as before


def test_a_table_says_what_is_there(said, cache):
    code, text = said("cache")
    assert code == 0
    lines = text.splitlines()
    size = sum(path.stat().st_size for path in cache.glob("*.safetensors"))
    assert lines[0] == f".bthcheck_cache: 6 runs, {size / 1000:.3g} KB"
    assert lines[2].startswith("sinusoids (epochs 3)  3 ")
    assert lines[3].startswith("sinusoids (epochs 5)  2 ")
    assert lines[2].endswith("yes")
    assert lines[4].startswith("1 run, ")
    assert "do not say what they are of" in lines[4]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ((), 6),
        (("--older-than", "7.5d"), 3),
        (("--older-than", "180h"), 3),
        (("--older-than", "1w"), 2),
        (("--keep", "2"), 2),
        (("--keep", "0"), 0),
        (("--keep", "1GB"), 6),
        (("--keep", "1B"), 0),
        (("--unused",), 6),
        (("--keep", "4", "--older-than", "1w"), 2),
    ],
)
def test_what_is_chosen_is_removed_and_nothing_else(said, cache, options, left):
    newest = [entry.key for entry in entries(cache)][6 - left :]
    code, dry = said("cache", "prune", "--dry-run", *options)
    assert (code, len(entries(cache))) == (0, 6)
    code, text = said("cache", "prune", *options)
    assert code == 0
    assert [entry.key for entry in entries(cache)] == newest
    assert text.startswith(f"removed from .bthcheck_cache: {6 - left} run")
    assert dry == text.replace("removed", "would remove")
    assert len(list(cache.glob("*.lock"))) == 0


class Once(list):
    """A list that can be gone through and not be cut: to sum up what is behind every entry takes the square of the time."""

    def __getitem__(self, place):
        raise AssertionError(f"{place} was asked for")


@pytest.mark.parametrize("of", ["bytes", "runs"])
def test_what_is_beyond_a_size_is_found_in_one_pass(of):
    sizes = np.random.default_rng(0).integers(1, 1000, size=300).tolist()
    found = Once(module.Entry(Path(f"{number}.safetensors"), size, 0.0, None) for number, size in enumerate(sizes))
    for limit in (0, 1, 37, sum(sizes[150:]), sum(sizes[150:]) - 1, sum(sizes) - 1, sum(sizes)):
        after = [sum(sizes[place:]) if of == "bytes" else len(sizes) - place for place in range(len(sizes))]
        beyond = [number for number, size in enumerate(after) if size > limit]
        assert [int(entry.key) for entry in _chosen(found, None, (limit, of), False)] == beyond
    assert len(_chosen(found, 3600.0, None, False)) == len(sizes)
    assert _chosen(found, None, None, True) == []


class Silent:
    """A listener that says nothing."""

    def finish(self, function, key, computed, seconds):
        pass


@pytest.fixture
def results(cache):
    """Two results that are kept beside the runs, three days old."""
    keep = Keeper(RunCache(cache), Silent())
    for radius in (1.0, 2.0):
        keep(cover_points, np.zeros((1, 2)), radius)
    for path in cache.glob("*.kept"):
        age(path, 3)
    return cache


def test_kept_results_are_said_beside_the_runs(said, results):
    lines = said("cache")[1].splitlines()
    assert lines[0].startswith(".bthcheck_cache: 6 runs and 2 kept results, ")
    (line,) = [line for line in lines if line.startswith("bthcheck.geometry.covering.cover_points  2 ")]
    assert line.endswith("yes")


@pytest.mark.parametrize(
    ("options", "runs", "others"),
    [
        ((), 6, 2),
        (("--older-than", "2d"), 0, 0),
        (("--older-than", "4d"), 0, 2),
        (("--keep", "2"), 2, 2),
        (("--keep", "1B"), 0, 0),
        (("--unused",), 6, 2),
    ],
)
def test_kept_results_are_pruned_as_runs_are_but_count_as_none(said, results, options, runs, others):
    code, text = said("cache", "prune", *options)
    assert code == 0
    assert text.startswith(
        f"removed from .bthcheck_cache: {count(6 - runs, 'run')} of 6 and {count(2 - others, 'kept result')} of 2"
    )
    assert (len(list(results.glob("*.safetensors"))), len(list(results.glob("*.kept")))) == (runs, others)
    assert len(list(results.glob("*.lock"))) == others


def test_results_of_other_code_are_unused(said, results, monkeypatch):
    monkeypatch.setattr(module, "_digest_of", lambda name: "another")
    said("cache", "prune", "--unused")
    assert not list(results.glob("*.kept"))


def test_what_another_installation_trained_is_unused(said, cache, monkeypatch):
    monkeypatch.setattr(module, "library_versions", lambda: {"numpy": "0"})
    assert "no" in said("cache")[1].splitlines()[2].split()
    said("cache", "prune", "--unused")
    assert kept(cache) == [None]  # of which it is not known


def test_a_run_that_a_process_is_at_stays(said, cache):
    key = entries(cache)[0].key
    holder = "import sys; from filelock import FileLock\nwith FileLock(sys.argv[1]): print('held', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", holder, cache / f"{key}.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        code, text = said("cache", "prune", "--keep", "0")
    finally:
        process.kill()
        process.wait()
    assert code == 0
    assert "5 runs of 6, " in text
    assert "not removed, because a process is at them: 1 run\n" in text
    assert [entry.key for entry in entries(cache)] == [key]


def test_what_killed_processes_left_is_said_and_removed(said, cache, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for name, days in ((".bthcheck-1-ab.tmp", 1), (".bthcheck-2-cd.tmp", 0)):
        (cache / name).write_bytes(b"x" * 1500)
        age(cache / name, days)
    with FileLock(cache / "dead.lock"):
        pass
    (cache / "dead.lock").touch()
    sentence = "1 file, 1.5 KB, and 0 temporary folders of killed processes"
    assert f"bthcheck cache prune would remove {sentence}\n" in said("cache")[1]
    assert f"would remove {sentence}\n" in said("cache", "prune", "--dry-run")[1]
    assert f"removed {sentence}\n" in said("cache", "prune")[1]
    assert [path.name for path in cache.glob("*.tmp")] == [".bthcheck-2-cd.tmp"]  # which may still be written
    assert not (cache / "dead.lock").exists()


def test_reading_is_use(cache):
    oldest = entries(cache)[0]
    assert RunCache(cache).read(oldest.key) is not None
    assert entries(cache)[-1].key == oldest.key


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b'\x21\0\0\0\0\0\0\0{"__metadata__":{"facts":"[1]"}}'],
)
def test_a_file_that_is_none_does_not_say_what_it_is(cache, content):
    (cache / "x.safetensors").write_bytes(content)
    (cache / "y.safetensors").mkdir()
    os.mkfifo(cache / "z.safetensors")
    assert [entry.about for entry in entries(cache) if entry.key in ("x", "y", "z")] == [None] * 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("prune", "--older-than", "30"), "--older-than must be an age such as 30d, 12h or 2w, got '30'"),
        (("prune", "--older-than", "-1d"), "--older-than must be an age"),
        (("prune", "--keep", "much"), "--keep must be a size such as 500MB or 2GB, or a number of runs, got 'much'"),
        (("--cache-dir", "none"), "there is no folder none: name one with --cache-dir"),
        (("--cache-dir", "none", "prune"), "there is no folder none"),
        (("prune", "--cache-dir", "none"), "there is no folder none"),
        (("prune", "--cache-dir", "file"), "--cache-dir must be a folder that can be read, got file: Not a directory"),
    ],
)
def test_what_is_typed_wrong_is_a_sentence(said, cache, arguments, sentence):
    (cache.parent / "file").touch()
    code, text = said("cache", *arguments)
    assert code == 2
    assert sentence in text
    assert len(entries(cache)) == 6
