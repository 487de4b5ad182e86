"""What is done when a GPU is full, and how many runs are thought to fit."""

import weakref

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.networks import CNN
from bthcheck.tasks import CorruptedImages
from bthcheck.tests.training.test_engines import SMALL
from bthcheck.tests.training.test_gpu import runs_of
from bthcheck.training import engines, memory, reference, stacked
from bthcheck.training.runs import Run
from bthcheck.training.stacked import engine as stacked_engine
from bthcheck.training.stacked import layers


def limited(train, most, error):
    """`train` that raises `error` for more than `most` runs, and the sizes it was called with."""
    sizes = []

    def attempt(runs, device):
        sizes.append(len(runs))
        if len(runs) > most:
            raise error
        return train(runs, device)

    return attempt, sizes


def test_a_full_gpu_gets_fewer_runs_at_a_time_and_says_so(monkeypatch, place):
    runs = runs_of("paper, minibatches", epochs=2, seeds=(0, 1, 2), levels=(0.25, 0.5))[:5]
    whole = [stacked.train([run], place)[0] for run in runs]
    attempt, sizes = limited(stacked_engine._train, 2, torch.OutOfMemoryError("CUDA out of memory."))
    monkeypatch.setattr(stacked_engine, "_train", attempt)
    with pytest.warns(UserWarning, match="the GPU ran out of memory") as caught:
        results = stacked.train(runs, place)
    assert [str(warning.message) for warning in caught] == [
        "the GPU ran out of memory with 5 runs side by side; going on with 3 at a time",
        "the GPU ran out of memory with 3 runs side by side; going on with 2 at a time",
    ]
    assert sizes == [5, 3, 2, 1, 2]
    for one, other in zip(results, whole, strict=True):
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["stacked", "reference"])
def test_a_gpu_too_small_for_one_run_is_one_clear_sentence(engine, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(stacked_engine, "_train", full)
    monkeypatch.setattr(reference, "train", full)
    with pytest.raises(MemoryError, match=r"too little free memory for even one run of sinusoids; free some, .* device='cpu'"):
        bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(0,)), engine=engine, progress=False)


def test_memory_of_the_failed_attempt_is_freed_before_the_next(monkeypatch):
    held = []

    def attempt(runs, device):
        assert all(reference() is None for reference in held)
        if len(runs) > 1:
            data = torch.empty(3)
            held.append(weakref.ref(data))
            cycle = [data]
            cycle.append(cycle)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return stacked_train(runs, device)

    stacked_train = stacked_engine._train
    monkeypatch.setattr(stacked_engine, "_train", attempt)
    with pytest.warns(UserWarning, match="going on with 1 at a time"):
        assert len(stacked.train(runs_of("one point a step", epochs=1, levels=(0.5,)))) == 2


def test_what_is_said_in_words_and_while_ending_a_capture_counts_as_full():
    def said(text):
        return memory.is_out_of_memory(RuntimeError(text))

    assert said("CUDA error: out of memory")
    assert said("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert not said("CUDA error: operation failed due to a previous error during capture")
    error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory.")
    assert memory.is_out_of_memory(error)


@pytest.mark.filterwarnings("error")
def test_other_errors_are_not_taken_for_a_full_gpu(monkeypatch):
    attempt, sizes = limited(stacked_engine._train, 0, RuntimeError("something else"))
    monkeypatch.setattr(stacked_engine, "_train", attempt)
    with pytest.raises(RuntimeError, match="something else"):
        stacked.train(runs_of("one point a step", epochs=1))
    assert sizes == [4]


GIB = 2**30
PAPER_CIFAR = SMALL.replace(
    task=CorruptedImages(train=1000, test=200), network=CNN(), vary="corruption", levels=(0.0, 0.6), dtype="float32",
    epochs=100,
)  # fmt: skip


def test_a_gpu_is_shared_by_the_processes_on_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (79 * GIB, 80 * GIB))
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert memory.room("cuda") == int(0.8 * 79 * GIB)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    assert memory.room("cuda") == int(0.8 * 20 * GIB)
    monkeypatch.setattr(memory, "cuda_count", lambda: 2)
    assert memory.room("cuda:1") == int(0.8 * 40 * GIB)
    assert memory.room("cpu") == GIB


def test_the_size_of_a_shard_follows_from_memory(monkeypatch):
    images = [Run(PAPER_CIFAR, level, seed) for level in (0.0, 0.6) for seed in (0, 1)]
    monkeypatch.setattr(stacked_engine, "room", lambda device: 60 * GIB)
    most = stacked.shard_size(images, "cuda")
    parameters = sum(p.numel() for p in images[0].network().parameters())
    assert 32 <= most < 60 * GIB / (4 * parameters)
    monkeypatch.setattr(stacked_engine, "room", lambda device: 1000)
    assert stacked.shard_size(images, "cuda") == 1
    # Points of their own cost every run memory.
    monkeypatch.setattr(stacked_engine, "room", lambda device: 10 * GIB)
    shared = stacked.shard_size(images, "cuda")
    monkeypatch.setattr(stacked_engine, "same_points", lambda data: False)
    assert stacked.shard_size(images, "cuda") < shared
    larger = [Run(PAPER_CIFAR.replace(batch_size=64), 0.0, 0)]
    assert stacked.shard_size(larger, "cuda") < shared


def test_an_upper_bound_on_what_a_pass_holds():
    network = CNN((1, 12, 11), (2, 3), 3, 2, 4)
    first, second = 9 * (10 * 9), 18 * (3 * 2)  # patches of the two convolutions
    entries = layers.entries_a_point(network.build())
    assert 132 + first + second < entries < 132 + 6 * (132 + first + second)


def test_shards_of_a_gpu_hold_what_fits(monkeypatch):
    runs = runs_of("paper, minibatches", seeds=range(5))
    asked = []

    def size(alike, device, memory):
        asked.append(memory)
        return 4 if len(alike) == 10 else pytest.fail(str(alike))

    monkeypatch.setattr(stacked, "shard_size", size)
    assert engines._shards(stacked, runs, "cuda") == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert engines._shards(stacked, runs, "cuda", 5, 10**9) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]  # one a worker
    assert asked == [None, 10**9]


@pytest.mark.parametrize(("processes", "sizes"), [(None, [4, 4, 2]), ("1", [4, 4, 2]), ("2", [5, 5]), ("4", [10])])
def test_a_stack_on_a_cpu_is_split_over_the_cores_that_are_left_to_a_worker(monkeypatch, processes, sizes):
    """Half a stack takes more than half as long, which is of use to nobody where cores are what is waited for."""
    runs = runs_of("paper, minibatches", seeds=range(5))
    monkeypatch.setattr(stacked, "shard_size", lambda *_: 1000)
    monkeypatch.setattr(engines, "available_threads", lambda: 3 if processes in (None, "1") else 4)
    if processes is None:
        monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    else:
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", processes)
    assert [len(shard) for shard in engines._shards(stacked, runs, "cpu")] == sizes
