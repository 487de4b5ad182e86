"""What a user may get wrong is one sentence, before anything is trained and in any process."""

import re

import numpy as np
import pytest

from bthcheck.harness.claims import Claim
from bthcheck.harness.worker import refusal
from bthcheck.tests.datasets.test_archives import arrays
from bthcheck.tests.harness.samples import CLAIMS, CONFTEST, ONE, TRAINED


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
        (("--cache-dir", "pytest.ini"), "the cache folder .*pytest.ini cannot be used: File exists"),
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


SMALL_CIFAR = """
    from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
    from bthcheck.networks import CNN
    from bthcheck.tasks import CorruptedImages

    task, network = CorruptedImages(train=6, test=4, source="full"), CNN(channels=(2, 2), hidden=2)
    train(CORRUPTED_CIFAR_SMALL.replace(task=task, network=network, levels=(0.0, 0.5), seeds=(0,), epochs=1))
"""
TRACEBACK = r"\.py:\d+: (in |\w+Error)"
CIFAR = """
from bthcheck import claim
from bthcheck.experiments import CORRUPTED_CIFAR


@claim("CIFAR", statement="s", source="t")
def test_cifar(train, evidence):
    train(CORRUPTED_CIFAR)
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npz", r"the images \S+none\.npz cannot be read: No such file"),
        ("images.zip", r"--data-file must be a file that ends in \.npz, got 'images\.zip'"),
        ("empty.npz", r"the images \S+empty\.npz are no archive of plain arrays"),
        ("few.npz", r"train must be at most 12 images, half of each class, got 10000 from \S+few\.npz"),
    ],
)
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_data_file_is_looked_at_before_any_claim_runs(claims, name, message, workers):
    (claims.folder / "empty.npz").write_bytes(b"")
    np.savez(claims.folder / "few.npz", **arrays(shape=(32, 32, 3)))
    profile = "paper" if name == "few.npz" else "laptop"
    outcome = claims(ONE, "--profile", profile, "--data-file", name, *workers)
    assert outcome.code == 4, outcome.text
    assert re.search(message, outcome.text)
    assert "Traceback" not in outcome.text
    assert "passed" not in outcome.text


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_data_file_is_what_claims_train_on(claims, workers):
    np.savez(claims.folder / "images.npz", **arrays(shape=(32, 32, 3)))
    small = CIFAR.replace("    train(CORRUPTED_CIFAR)", SMALL_CIFAR)
    outcome = claims(small, "--data-file", "images.npz", *workers)
    assert outcome.statuses == {"CIFAR": "error"}  # it presents no evidence
    (experiment,) = outcome.records["experiments"]
    assert experiment["configuration"]["task"]["source"].endswith("images.npz")
    assert "2 trained" in outcome.text


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
from bthcheck.harness import settings
from bthcheck.training import engines

for module in (choices, settings, engines):
    module.check_device = lambda device, here=True: None
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
    assert "claim ids must be unique, got UP more than once: test_claims.py::test_up, test_claims.py::test_down" in outcome.text
    spread = claims(CLAIMS.replace('"DOWN"', '"UP"'), "-n", "2")
    assert spread.code == 1
    assert "claim ids must be unique, got UP more than once" in spread.text
    assert "INTERNALERROR" not in spread.text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_parametrized_claim_is_told_what_to_do(claims, workers):
    source = ONE.replace("@claim", "import pytest\n@pytest.mark.parametrize('n', [1, 2])\n@claim").replace(
        "(evidence)", "(n, evidence)"
    )
    outcome = claims(source, "-n", workers)
    assert outcome.code == (4 if workers == "0" else 1)
    assert "claim ONE is parametrized, which makes 2 tests of one claim, and a claim has one verdict" in outcome.text
    assert "loop over the cases inside its test, or write a claim with an id of its own for each" in outcome.text
    assert "INTERNALERROR" not in outcome.text


def test_claims_as_a_set_are_refused_in_a_sentence():
    a, b, lower = (Claim(id, "s", "t") for id in ("T1", "T2", "t1"))
    assert refusal({"x.py::a": a, "x.py::b": b}) is None
    assert refusal({}) is None
    assert refusal({"x.py::a": a, "x.py::b": lower}) == (
        "claim ids must differ in more than case, or their figures may be one file, got T1 and t1"
    )
    assert "T1 is parametrized, which makes 2 tests" in refusal({"x.py::a[1]": a, "x.py::a[2]": a, "x.py::b": b})
    assert refusal({"x.py::a[1]": a}) is None
    assert refusal({"x.py::a": a, "y.py::a": a}) == "claim ids must be unique, got T1 more than once: x.py::a, y.py::a"


def test_the_family_has_a_size(claims):
    many = CLAIMS + "".join(
        f'\n@claim("M{i}", statement="s", source="t")\ndef test_m{i}(evidence):\n    pass\n' for i in range(30)
    )
    outcome = claims(many)
    assert outcome.code == 4
    assert "33 statistical claims of family 'paper' are more than the 20 that share its family-wise error" in outcome.text


def test_evidence_needs_a_claim(claims):
    outcome = claims("def test_plain(evidence):\n    pass\n")
    assert outcome.code == 1
    assert "uses evidence but is not marked with bthcheck.claim" in outcome.text
