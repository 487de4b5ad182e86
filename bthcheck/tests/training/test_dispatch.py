"""Runs that an executor's workers train, where workers fail, lie, are slow or gone, and others are at the same runs."""

import dataclasses
import os
import pickle
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import filelock
import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages, Sinusoid
from bthcheck.tests.training import fakes
from bthcheck.tests.training.fakes import Fake
from bthcheck.tests.training.samples_own import Residual, Wave
from bthcheck.tests.training.test_cache import TINY as LONG
from bthcheck.tests.training.test_cache import Counter
from bthcheck.tests.training.test_cache import train as train_here
from bthcheck.training import dispatch, remote
from bthcheck.training.cache import run_key
from bthcheck.training.dispatch import Failed
from bthcheck.training.runs import Run

TINY = LONG.replace(task=Sinusoid(train=10, test=4), network=MLP((10, 10, 8, 1)), epochs=2)
FIRST = Run(TINY, 0.25, 0)


@pytest.fixture(scope="module")
def expected():
    return bthcheck.run(TINY, progress=False)


class Observer(Counter):
    """Counts, and keeps what else it is told."""

    def __init__(self):
        super().__init__()
        self.begun, self.met, self.credited = [], [], []

    def begin(self, runs, keys, share):
        self.begun.append(len(keys))

    def meet(self, workers, count, name):
        self.met.append((len(workers), count, name))

    def credit(self, worker):
        self.credited.append(worker)


def train(executor, cache=None, experiment=TINY, **options):
    observer = Observer()
    return bthcheck.run(experiment, cache=cache, progress=observer, executor=executor, **options), observer


def assert_ends(executor, folder, *parts):
    """The call ends in one sentence that has all parts, and names what is kept; the next call trains only the rest."""
    observer = Observer()
    with pytest.raises(Failed) as raised:
        bthcheck.run(TINY, cache=folder, progress=observer, executor=executor)
    said = str(raised.value)
    assert "\n" not in said
    for part in parts:
        assert part in said
    kept = len(list(folder.glob("*.safetensors")))
    assert f"{kept} of 6 runs are kept in {folder}; the same call goes on from there" in said
    assert kept == len(observer.trained)
    _, again = train(Fake(), folder)
    assert (len(again.trained), len(again.read)) == (6 - kept, kept)
    return kept, said, observer


# ------------------------------------------------------------------------------------------------ all is well


def test_results_are_those_of_this_process_to_the_bit_and_are_kept(tmp_path, expected):
    result, observer = train(Fake(), tmp_path)
    assert result.identical(expected)
    assert (len(observer.trained), len(set(observer.trained)), observer.read) == (6, 6, [])
    assert observer.met == [(1, 2, "Fake")]
    assert observer.waited == []
    _, here = train_here(tmp_path, TINY)
    assert (len(here.trained), len(here.read)) == (0, 6)


def test_what_is_in_the_cache_asks_nobody(tmp_path, expected):
    train_here(tmp_path, TINY)
    fake = Fake("refuse", answer=lambda facts: 1 / 0)
    result, observer = train(fake, tmp_path)
    assert result.identical(expected)
    assert (len(observer.read), fake.tasks) == (6, 0)


def test_without_a_cache_nothing_is_kept_and_all_is_there(expected):
    result, observer = train(Fake())
    assert result.identical(expected)
    assert len(observer.trained) == 6


def test_stacks_are_sent_whole_one_a_worker(expected):
    fake = Fake(workers=3)
    result, _ = train(fake, engine="stacked")
    assert fake.tasks == 3
    for name in ("trajectory_length", "lipschitz_mean"):
        np.testing.assert_allclose(result[name], expected[name], rtol=2e-3)


def test_the_reference_engine_gives_the_same_bits():
    little = TINY.replace(levels=(1.0,), seeds=(0, 1), epochs=1)
    result, _ = train(Fake(), experiment=little, engine="reference")
    assert result.identical(bthcheck.run(little, engine="reference", progress=False))


def test_no_more_tasks_are_out_than_two_a_worker():
    many = TINY.replace(seeds=range(12), epochs=1)
    fake = Fake(workers=2)
    _, observer = train(fake, experiment=many)
    assert 3 <= fake.most <= 4
    assert set(observer.begun) == {1}
    assert len(observer.trained) == 24


def test_as_many_are_said_to_be_in_training_as_there_are_workers(monkeypatch):
    """The time left is divided by them, and what waits at a worker is not in training."""
    fake = Fake(*["never"] * 10, workers=2)
    observer = Observer()
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        bthcheck.run(TINY, progress=observer, executor=fake)
    assert fake.tasks == 4
    assert observer.begun == [1, 1]


def test_an_executor_that_says_no_number_of_workers_is_sent_all():
    fake = Fake(workers=2)
    fake._max_workers = None
    _, observer = train(fake)
    assert observer.met == [(1, None, "Fake")]
    assert fake.most > 2


def test_few_files_are_no_reason_to_lose_a_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "most_locks", lambda: 1)
    fake = Fake(workers=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that there are no locks
        _, observer = train(fake, tmp_path)
    assert fake.most == 1
    assert [said for said in observer.waited if "1 of 3 workers" in said and "ulimit -n" in said]


# ------------------------------------------------------------------------------------------- what fails once, twice


ONCE = {"failed": fakes.failed, "lost": "lose", "an exception": OSError("the network is down"), **fakes.GARBAGE}


@pytest.mark.parametrize("what", ONCE.values(), ids=ONCE)
def test_what_fails_once_is_sent_again(what, tmp_path, expected):
    result, observer = train(Fake(what), tmp_path)
    assert result.identical(expected)
    assert (len(observer.trained), len(set(observer.trained))) == (6, 6)
    assert len(observer.waited) == 1
    assert "is sent again" in observer.waited[0]


def twice(what):
    """A single worker gets two runs and, when the first is done, the third; then again the one that failed."""
    return Fake(what, "train", what, workers=1)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (fakes.failed, "ZeroDivisionError: division by zero"),
        ("lose", "CancelledError"),
        (OSError("the network\nis down"), "OSError: the network is down"),
        (fakes.GARBAGE["a number"], "what came back is no result of a run"),
        (fakes.GARBAGE["other parameters"], "what came back is no result of a run"),
    ],
    ids=["failed", "lost", "an exception", "a number", "other parameters"],
)
def test_what_fails_twice_ends_the_call_with_a_sentence(what, why, tmp_path):
    kept, said, _ = assert_ends(twice(what), tmp_path, f"{FIRST} failed twice on Fake: {why}")
    assert kept >= 1
    assert "Traceback" not in said


def test_without_a_cache_it_says_how_to_have_one():
    with pytest.raises(Failed, match="runs that are trained are lost, because there is no cache; name one"):
        train(twice(fakes.failed))


def test_a_worker_short_of_memory_is_told_what_to_do(tmp_path):
    assert_ends(twice(fakes.short_of_memory), tmp_path, "MemoryError", "give every worker more memory, or have fewer")


def test_what_killed_several_workers_is_not_tried_on_more(tmp_path):
    class KilledWorker(Exception):
        pass

    killed = KilledWorker("4 different workers died while running it")
    fake = Fake(killed, workers=1)
    assert_ends(
        fake,
        tmp_path,
        "killed every worker of Fake that it was given to",
        "4 different workers",
        "give every worker more memory",
    )
    assert sum(future.done() and not future.cancelled() and future.exception() is killed for future in fake.futures) == 1


def test_what_others_are_at_when_the_call_ends_is_kept(tmp_path):
    """Two workers: one is at a run for long when the other fails for the second time."""
    slow = fakes.another(lambda *values: (time.sleep(1.0), values)[1])
    fake = Fake(fakes.failed, slow, *[fakes.failed] * 20)
    fake.says_what_is_begun = False  # as Dask, of which any task can be taken back
    kept, _, observer = assert_ends(fake, tmp_path)
    assert kept == 1
    assert "waiting for" in observer.waited[-1]


def test_a_pool_that_breaks_is_said_with_what_is_kept(tmp_path):
    kept, said, _ = assert_ends(
        Fake("train", "train", "break", *["break"] * 9), tmp_path, "Fake is broken", "with a new executor"
    )
    assert kept == 2
    assert f"{TINY.name} at frequency=" in said


def test_an_executor_that_is_shut_down_meanwhile_is_said_with_what_is_kept(tmp_path):
    assert_ends(Fake("train", "train", "train", "train", "refuse"), tmp_path, "Fake takes no tasks", "after shutdown")


def test_a_worker_that_is_found_to_have_other_code_ends_it(tmp_path):
    kept, _, observer = assert_ends(Fake("train", fakes.refused, workers=1), tmp_path, "a worker of Fake has another bthcheck")
    assert kept == 1
    assert not [said for said in observer.waited if "sent again" in said]


# --------------------------------------------------------------------------------------------------- who they are


def assert_refused(message, executor, **options):
    observer = Observer()
    with pytest.raises(ValueError, match=message) as raised:
        bthcheck.run(TINY, progress=observer, executor=executor, **options)
    assert "\n" not in str(raised.value)
    assert observer.trained == []
    assert getattr(executor, "tasks", 0) == 0


def raising(error):
    def answer(_):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda facts: facts | {"code": "0123456789"},
            r"another bthcheck, 0\.1\.0 with code 01234567 on .*, than the 0\.1\.0 with",
        ),
        (lambda facts: facts | {"code": None}, "has code of bthcheck .* that changed since it was imported; start it again"),
        (raising(ModuleNotFoundError("No module named 'bthcheck'")), "cannot import bthcheck: install there what is here, ver"),
        (
            raising(ModuleNotFoundError("No module named 'bthcheck.training.remote'")),
            "another bthcheck, without bthcheck.train",
        ),
        (raising(ModuleNotFoundError("No module named 'numba'")), "have bthcheck, but not numba, which it needs"),
        (raising(OSError("no\nroom")), "cannot say what they are: OSError: no room"),
        (lambda facts: "ok", "is no executor: it was asked for the facts of a worker, and returned 'ok'"),
    ],
)
def test_workers_that_are_not_what_they_should_be_train_nothing(answer, message):
    assert_refused(message, Fake(answer=answer))


def test_a_gpu_that_no_worker_has_is_said_before_training():
    no_gpu = Fake(answer=lambda facts: facts | {"gpus": []})
    assert_refused("sees no CUDA device on .* device 'cuda' is not available there", no_gpu, device="cuda")


def test_whether_there_is_a_gpu_is_asked_of_the_workers(monkeypatch):
    """This machine need not have one: what the caller knows of the device is its name."""
    monkeypatch.setattr("bthcheck.choices.cuda_count", lambda: 0)
    assert remote.difference("x", {"code": "x", "gpus": ["H100"], "host": "there"}, "cuda") is None
    assert "sees 1 CUDA device(s) on there" in remote.difference(
        "x", {"code": "x", "gpus": ["H100"], "host": "there"}, "cuda:1"
    )
    with pytest.raises(ValueError, match="device must be"):
        train(Fake(), device="gpu")


def elsewhere(facts):
    return facts | {"machine": facts["machine"] | {"processor": "m68k"}, "host": "amiga"}


def test_another_processor_is_said_and_its_runs_are_kept_as_its_own(tmp_path, expected):
    with pytest.warns(UserWarning, match="workers on amiga have the processor m68k: their runs may differ") as warned:
        result, observer = train(Fake(answer=elsewhere), tmp_path)
    assert len(warned) == 1
    assert result.identical(expected)
    assert {worker["host"] for worker in observer.credited} == {"amiga"}
    with pytest.warns(UserWarning, match="m68k"):
        _, again = train(Fake(answer=elsewhere), tmp_path, TINY.replace(seeds=range(4)))
    assert (len(again.trained), len(again.read)) == (2, 6)
    _, here = train_here(tmp_path, TINY)
    assert (len(here.trained), len(here.read)) == (6, 0)  # which are other runs
    about = {path.name for path in tmp_path.glob("*.safetensors")}
    assert len(about) == 8 + 6


def test_other_libraries_are_named():
    old = Fake(answer=lambda facts: facts | {"libraries": facts["libraries"] | {"torch": "1.0"}})
    with pytest.warns(UserWarning, match=r"have torch 1\.0 instead of [\d.]+\S*: their runs may differ"):
        train(old)


def test_a_worker_that_comes_later_has_its_runs_under_its_own_name(tmp_path):
    fake = Fake(workers=1)
    seen = []

    def first_asked_then_another(facts):
        seen.append(facts)
        return facts if len(seen) <= 3 else elsewhere(facts)

    fake.answer = first_asked_then_another
    _, observer = train(fake, tmp_path)
    assert [worker["host"] == "amiga" for worker in observer.credited] == [False, False, True, True, True, True]
    _, here = train_here(tmp_path, TINY)
    assert len(here.read) == 2


def test_facts_are_plain_and_true():
    found = remote.facts("fused", "cpu")
    assert found["bthcheck"] == bthcheck.__version__
    assert found["libraries"]["numpy"] == np.__version__
    assert found["code"] == remote.code_of("fused") != remote.code_of("stacked")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert 2**20 < found["memory"] < 2**50
    import json

    assert json.loads(json.dumps(found)) == found


def test_a_worker_trains_nothing_for_other_code():
    task = remote.Task.of([FIRST], "fused", "cpu", "nobody")
    changed = dataclasses.replace(task, code="0" * 64)
    assert "has another bthcheck" in remote.train(changed).get("refused", "")
    assert remote.train(task)["results"][0][2] is False


def test_what_cannot_be_unpickled_is_said():
    task = dataclasses.replace(remote.Task.of([FIRST], "fused", "cpu", "nobody"), runs=b"\x80\x04cno_such_module\nx\n.")
    assert (
        remote.train(task).get("refused", "")
        == "cannot unpickle the runs: ModuleNotFoundError: No module named 'no_such_module'"
    )


# ---------------------------------------------------------------------------------------------------- one's own

OWN = TINY.replace(task=Wave(), vary="frequency", levels=(1.0,), network=Residual(), seeds=(0, 1), epochs=1, lipschitz_every=1)


def test_architectures_and_tasks_of_ones_own_are_sent(tmp_path):
    result, observer = train(Fake(), tmp_path, OWN)
    assert len(observer.trained) == 2
    assert result.identical(bthcheck.run(OWN, progress=False))
    _, again = train(Fake("refuse"), tmp_path, OWN)
    assert len(again.read) == 2


def test_other_code_of_ones_own_is_refused_by_the_worker():
    task = remote.Task.of([Run(OWN, 1.0, 0)], "reference", "cpu", "nobody")
    assert task.own[0]
    assert "results" in remote.train(task)
    other = dataclasses.replace(task, own=("0" * 64,))
    assert "has other code of Wave and Residual on" in remote.train(other).get("refused", "")


def test_another_file_of_images_is_refused_by_the_worker(tmp_path):
    """A path that is the same on two machines says nothing of what is there, and the name of a run says what was."""
    labels = np.array([0, 1] * 4, np.uint8)
    images = np.zeros((8, 1, 28, 28), np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "images.npz", **arrays)
    pictures = CorruptedImages(source=str(tmp_path / "images.npz"), train=8, test=8)
    network = CNN(shape=(1, 28, 28), channels=(1, 1), hidden=2)
    experiment = CORRUPTED_CIFAR_SMALL.replace(task=pictures, network=network, levels=(0.0,), seeds=(0,), epochs=1)
    task = remote.Task.of([Run(experiment, 0.0, 0)], "fused", "cpu", "nobody")
    assert "results" in remote.train(task)
    assert "has another file " in remote.train(dataclasses.replace(task, files=("0" * 64,))).get("refused", "")
    (tmp_path / "images.npz").unlink()
    said = remote.train(task).get("refused", "")
    assert "cannot be read: No such file or directory" in said
    assert "every worker needs the file, at the same path" in said


class Stubborn(Wave):
    def __reduce__(self):
        raise pickle.PicklingError("it holds an open file")


def test_what_cannot_be_sent_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="Stubborn and Residual cannot be sent to a worker: PicklingError: it holds an open"):
        train(Fake(), experiment=OWN.replace(task=Stubborn()))


# ----------------------------------------------------------------------------------------------- others, and Ctrl-C


def test_two_callers_train_nothing_twice(tmp_path):
    observers = [Observer(), Observer()]
    threads = [
        threading.Thread(target=bthcheck.run, args=(TINY,), kwargs={"cache": tmp_path, "progress": one, "executor": Fake()})
        for one in observers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained = [key for one in observers for key in one.trained]
    assert sorted(set(trained)) == sorted(trained)
    assert len(trained) == 6
    assert sum(len(one.read) for one in observers) == 6


def test_who_waits_for_another_process_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "_SAY_SECONDS", 0.2)
    lock = tmp_path / f"{run_key(FIRST, 'fused', 'cpu')}.lock"
    held = filelock.FileLock(lock, thread_local=False)
    held.acquire()
    threading.Timer(1.5, held.release).start()
    _, observer = train(Fake(), tmp_path)
    assert len(observer.trained) == 6
    assert observer.trained[-1] == run_key(FIRST, "fused", "cpu")
    assert observer.waited
    assert all(str(FIRST) in said and str(lock) in said for said in observer.waited)


def test_a_worker_that_does_not_say_what_it_is_is_waited_for_aloud(monkeypatch):
    monkeypatch.setattr(dispatch, "_SAY_SECONDS", 0.2)
    slow = Fake(answer=lambda facts: (time.sleep(1.0 if not slow.tasks else 0), facts)[1])
    _, observer = train(slow)
    assert observer.waited
    assert all(said.startswith("waiting for a worker of Fake to say what it is") for said in observer.waited)


def test_ctrl_c_takes_back_what_has_not_begun(tmp_path):
    """Of an executor that trains one run and never answers again."""

    class Impatient(Observer):
        def finish(self, *arguments):
            super().finish(*arguments)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    fake = Fake("train", *["never"] * 20, workers=2)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bthcheck.run(TINY, cache=tmp_path, progress=Impatient(), executor=fake)
    assert time.monotonic() - start < 10
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    assert len(fake.futures) == 5
    assert [future.done() for future in fake.futures] == [True] * 5
    _, again = train(Fake(), tmp_path)  # no lock is left
    assert len(again.trained) == 5


def test_ctrl_c_is_heard_while_no_worker_answers():
    release = threading.Event()
    fake = Fake(answer=lambda facts: release.wait(20))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bthcheck.run(TINY, progress=False, executor=fake)
    assert time.monotonic() - start < 10
    release.set()
    assert fake.tasks == 0


def test_threads_of_this_process_stop_with_the_call():
    """Or the pool would train on, and the program that leaves its block would wait."""
    long = LONG.replace(epochs=150_000, seeds=(0,), levels=(0.25,))
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ThreadPoolExecutor(1) as pool:
        bthcheck.run(long, progress=False, executor=pool)
    assert time.monotonic() - start < 15  # of 40


# ---------------------------------------------------------------------------------------------------- no executors


@pytest.mark.parametrize("what", [3, "processes", object(), ThreadPoolExecutor])
def test_what_is_no_executor_is_refused(what):
    assert_refused("executor must be a concurrent.futures.Executor, or have its method submit", what)


def test_an_executor_that_is_shut_down_is_refused():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    assert_refused("ThreadPoolExecutor takes no tasks: RuntimeError: cannot schedule new futures after shutdown", pool)


def test_a_long_error_is_cut_to_a_line():
    assert remote.in_a_line(ValueError("a\n  b")) == "ValueError: a b"
    assert remote.in_a_line(KeyError()) == "KeyError"
    assert len(remote.in_a_line(ValueError("x" * 10**6))) < 400
