"""Results that are kept: read only where nothing that decides them has changed, and never a reason to fail."""

import json
import multiprocessing
import os
import signal
import threading
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch
import xarray as xr
from filelock import FileLock
from safetensors.numpy import load_file, save_file

from bthcheck.evidence.search import Comparison, Search, examples, falsify
from bthcheck.training import kept
from bthcheck.training.cache import RunCache
from bthcheck.training.contents import decoded, encoded

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])


class Told:
    """A listener that remembers."""

    def __init__(self):
        self.computed, self.read, self.waited = [], [], []

    def finish(self, function, key, computed, seconds):
        assert seconds >= 0
        (self.computed if computed else self.read).append(function)

    def wait(self, sentence):
        self.waited.append(sentence)


def keeper(folder):
    told = Told()
    return kept.Keeper(RunCache(folder), told), told


def twice(folder, function, *arguments, **options):
    """What a function returns at first and from the cache, and how often it was computed."""
    first, _ = keeper(folder)
    second, told = keeper(folder)
    return first(function, *arguments, **options), second(function, *arguments, **options), len(told.computed)


class Pair(NamedTuple):
    one: np.ndarray
    two: float


@dataclass
class Nested:
    pair: Pair
    name: str


def nested(size) -> Nested:
    return Nested(Pair(np.arange(size, dtype=np.float32), 0.1), "a")


def of_everything():
    labelled = xr.DataArray([[1.0, np.nan]], {"seed": [3], "level": ["a", "b"]}, ("seed", "level"), "height", {"units": "1"})
    return {
        "none": None, 3: (True, 2, 0.1 + 0.2, float("inf"), "ä"), "list": [np.float64(1 / 3), np.int8(-3), np.bool_(True)],
        "arrays": [np.arange(6).reshape(2, 3).T, np.zeros((0, 2), np.uint8), np.array(1 / 3)],
        "repeated": np.broadcast_to(np.eye(2), (3, 2, 2)),
        "labelled": labelled, "table": xr.Dataset({"x": labelled, "y": ("step", [1, 2])}, attrs={"level": "level", "n": 3}),
    }  # fmt: skip


def same(one, other):
    """Whether two values are of one type and equal to the bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (xr.Dataset, xr.DataArray)):
        return one.identical(other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other


def test_what_is_read_is_what_was_computed(tmp_path):
    first, second, computed = twice(tmp_path, of_everything)
    assert computed == 0
    assert same(first, second)
    assert same(first, of_everything())
    assert all(array.flags.c_contiguous for array in first["arrays"])  # sums of what is read are taken in the same order


def test_a_type_is_the_annotation_s_and_never_the_file_s(tmp_path):
    first, second, computed = twice(tmp_path, nested, 3)
    assert computed == 0
    for one in (first, second):
        assert type(one) is Nested
        assert type(one.pair) is Pair
        assert one.pair.one.tolist() == [0, 1, 2]
        assert (one.pair.two, one.name) == (0.1, "a")
    arrays = {}
    tree = encoded(nested(3), arrays)
    for wrong in (None, int, Pair, os.system):
        with pytest.raises(ValueError, match="it holds something else than it says"):
            decoded(tree, arrays, wrong)
    assert "Nested" not in json.dumps(tree)


def local():
    bound = 3

    def inner():
        return bound

    return inner


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        (object(), "an argument of type object has no description"),
        ({1}, "an argument of type set has no description"),
        (lambda: 3, "is a function in a function"),
        (local(), "is a function in a function"),
        (torch.nn.Linear(1, 1), "an argument of type Linear has no description"),
        ([np.array([object()])], "an argument of type object has no description"),
    ],
)  # fmt: skip
def test_what_cannot_be_described_is_computed_every_time_and_said(tmp_path, argument, why):
    keep, told = keeper(tmp_path)
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"returns is not kept, because .*{why}"):
            assert keep(kept_nothing, argument) is None
    assert len(told.computed) == 2


def kept_nothing(*arguments):
    return None


def returning_an_object():
    return object()


def returning_text():
    return "x" * 2**20


@pytest.mark.parametrize(
    ("function", "why"), [(returning_an_object, "a object"), (returning_text, "more text than a header may")]
)
def test_what_a_file_cannot_hold_is_returned_and_said(tmp_path, function, why):
    keep, _ = keeper(tmp_path)
    with pytest.warns(UserWarning, match=f"returns is not kept, because it holds {why}"):
        assert keep(function) is not None
    assert not list(tmp_path.glob("*.kept"))


def failing(x):
    raise ArithmeticError(f"no {x}")


def test_an_error_is_raised_and_not_kept(tmp_path):
    keep, told = keeper(tmp_path)
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="no 3"):
            keep(failing, 3)
    assert not told.computed
    assert not list(tmp_path.glob("*.kept"))


def holds(example):
    zero = np.zeros(len(example.x))
    return Comparison(zero, zero + 1, zero)


def never_holds(example):
    zero = np.zeros(len(example.x))
    return Comparison(zero + 2, zero + 1, zero)


def search(measure) -> Search:
    return falsify(examples(), measure, 10)


def test_a_search_that_found_nothing_is_read_with_all_its_cases_and_a_counterexample_is_searched_anew(tmp_path):
    first, second, computed = twice(tmp_path, search, holds)
    assert computed == 0
    assert second.examples == first.examples >= 10
    assert second.larger.tolist() == first.larger.tolist() == [1.0] * len(first.larger)
    assert second.summary == first.summary
    first, second, computed = twice(tmp_path, search, never_holds)
    assert computed == 1
    assert second.counterexample == first.counterexample is not None


HARMS = {
    "truncated": lambda b: b[:100],
    "empty": lambda b: b"",
    "a bit flipped": lambda b: b[:-3] + bytes([b[-3] ^ 1]) + b[-2:],
    "appended": lambda b: b + b"more",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_damaged_entry_is_a_miss_that_is_said(tmp_path, harm):
    keeper(tmp_path)[0](nested, 50)
    (path,) = tmp_path.glob("*.kept")
    path.write_bytes(harm(path.read_bytes()))
    keep, told = keeper(tmp_path)
    with pytest.warns(UserWarning, match=r"the kept result .*\.kept is damaged .* and is computed again"):
        assert keep(nested, 50).pair.one.tolist() == list(range(50))
    assert len(told.computed) == 1
    assert twice(tmp_path, nested, 50)[2] == 0


def test_an_entry_of_another_result_is_a_miss(tmp_path):
    keep, _ = keeper(tmp_path)
    keep(nested, 50)
    (path,) = tmp_path.glob("*.kept")
    keep(nested, 51)
    (other,) = set(tmp_path.glob("*.kept")) - {path}
    path.write_bytes(other.read_bytes())
    keep, told = keeper(tmp_path)
    with pytest.warns(UserWarning, match="is damaged"):
        assert len(keep(nested, 50).pair.one) == 50
    assert len(told.computed) == 1


def test_an_entry_that_says_it_is_something_else_is_a_miss(tmp_path):
    """With a checksum that is right: whoever forges one can say no more than numbers."""
    keep, _ = keeper(tmp_path)
    keep(nested, 50)
    (path,) = tmp_path.glob("*.kept")
    arrays = load_file(path)
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    facts = json.loads(header["__metadata__"]["facts"])
    facts["result"]["fields"]["__class__"] = facts["result"]["fields"].pop("name")
    from bthcheck.training.cache import _digest

    save_file(arrays, path, {"facts": json.dumps(facts), "sha256": _digest(arrays, json.dumps(facts))})
    keep, told = keeper(tmp_path)
    with pytest.warns(UserWarning, match=r"is damaged \(it holds something else than it says\)"):
        assert type(keep(nested, 50)) is Nested
    assert len(told.computed) == 1


def compute_in_a_process(folder, barrier, queue):
    keep, told = keeper(folder)
    barrier.wait()
    result = keep(nested, 7)
    queue.put((len(told.computed), result.pair.one.tolist()))


def test_processes_that_start_together_compute_a_result_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    processes = [context.Process(target=compute_in_a_process, args=(tmp_path, barrier, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    found = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert found == [(0, list(range(7))), (1, list(range(7)))]


def hold_the_lock(path, ready):
    with FileLock(path):
        ready.set()
        threading.Event().wait(600)


def lock_of(folder, function, *arguments):
    return folder / f"{kept.key_of(kept.describe(function, arguments, {}))}.lock"


def test_a_killed_process_does_not_keep_its_result(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold_the_lock, args=(lock_of(tmp_path, nested, 4), ready))
    holder.start()
    assert ready.wait(60)
    killer = threading.Timer(0.3, lambda: os.kill(holder.pid, signal.SIGKILL))
    killer.start()
    keep, told = keeper(tmp_path)
    assert len(keep(nested, 4).pair.one) == 4
    assert len(told.computed) == 1
    killer.join()
    holder.join()


def test_who_takes_too_long_is_not_waited_for_and_the_wait_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(kept, "_SAY_SECONDS", 0.1)
    keep, told = keeper(tmp_path)
    with FileLock(lock_of(tmp_path, nested, 4)):
        assert len(keep(nested, 4).pair.one) == 4
    assert len(told.computed) == 1
    assert "nested, which another process computes; its lock is" in told.waited[0]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_folder_that_can_be_read_alone_is_served_from(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    keeper(folder)[0](nested, 4)
    before = sorted(path.name for path in folder.iterdir())

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)  # root may write anywhere
    with pytest.warns(UserWarning, match="cannot be written"):
        keep, told = keeper(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep(nested, 4)
        keep(nested, 5)
    assert [len(told.read), len(told.computed)] == [1, 1]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_full_disk_costs_no_result(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("bthcheck.training.cache.write_whole", full)
    keep, _ = keeper(tmp_path)
    with pytest.warns(UserWarning, match="results computed from now on may not be kept in .*No space left"):
        assert len(keep(nested, 4).pair.one) == 4


def in_the_state_it_finds():
    return str(torch.zeros(1).dtype), torch.get_num_threads()


def test_what_a_program_has_set_is_in_no_result(tmp_path):
    """Nor is it in the key, under which others would read it."""
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        keep, _ = keeper(tmp_path)
        assert keep(in_the_state_it_finds) == ("torch.float32", 1)
        assert torch.zeros(1).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(threads)
