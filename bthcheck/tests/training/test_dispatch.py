"""Runs that an executor's workers train, where workers fail, lie, are slow or gone, and others are at the same runs."""

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import filelock
import numpy as np
import pytest

import bthcheck
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid
from bthcheck.tests.training import fakes
from bthcheck.tests.training.fakes import Fake
from bthcheck.tests.training.test_cache import TINY as LONG
from bthcheck.tests.training.test_cache import Counter
from bthcheck.tests.training.test_cache import train as train_here
from bthcheck.training import dispatch, remote
from bthcheck.training.cache import Locked, RunCache, run_key
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


def assert_refused(message, executor, **options):
    observer = Observer()
    with pytest.raises(ValueError, match=message) as raised:
        bthcheck.run(TINY, progress=observer, executor=executor, **options)
    assert "\n" not in str(raised.value)
    assert observer.trained == []
    assert getattr(executor, "tasks", 0) == 0


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
    assert kept in (1, 2)  # a worker may have begun the third
    assert not [said for said in observer.waited if "sent again" in said]


# ----------------------------------------------------------------------------------------------- others, and Ctrl-C


def test_the_lock_of_a_run_is_held_as_long_as_a_worker_is_at_it(tmp_path):
    held = []

    def look(found):
        try:
            with RunCache(tmp_path).lock(run_key(FIRST, "fused", "cpu")):
                held.append(False)
        except Locked:
            held.append(True)
        return found

    train(Fake(look, workers=1), tmp_path)
    assert held == [True]


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
