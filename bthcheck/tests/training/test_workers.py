"""What workers say of themselves before they train, and what they refuse."""

import dataclasses
import json
import os
import pickle

import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
from bthcheck.networks import CNN
from bthcheck.tasks import CorruptedImages
from bthcheck.tests.training.fakes import Fake
from bthcheck.tests.training.samples_own import Residual, Wave
from bthcheck.tests.training.test_cache import train as train_here
from bthcheck.tests.training.test_dispatch import FIRST, TINY, assert_refused, train
from bthcheck.training import remote
from bthcheck.training.runs import Run


@pytest.fixture(scope="module")
def expected():
    return bthcheck.run(TINY, progress=False)


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
    result, observer = train(Fake(answer=elsewhere), tmp_path)
    assert len(observer.waited) == 1
    assert "workers on amiga have the processor m68k: their runs may differ" in observer.waited[0]
    assert result.identical(expected)
    assert {worker["host"] for worker in observer.credited} == {"amiga"}
    _, again = train(Fake(answer=elsewhere), tmp_path, TINY.replace(seeds=range(4)))
    assert (len(again.trained), len(again.read)) == (2, 6)
    _, here = train_here(tmp_path, TINY)
    assert (len(here.trained), len(here.read)) == (6, 0)  # which are other runs
    about = {path.name for path in tmp_path.glob("*.safetensors")}
    assert len(about) == 8 + 6


def test_other_libraries_are_named():
    old = Fake(answer=lambda facts: facts | {"libraries": facts["libraries"] | {"torch": "1.0"}})
    with pytest.warns(UserWarning, match=r"have torch 1\.0 instead of [\d.]+\S*: their runs may differ") as warned:
        bthcheck.run(TINY, progress=False, executor=old)  # with nobody to tell
    assert len(warned) == 1


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
