"""What it takes to train again what a report says was trained."""

import pytest

from bthcheck.harness.replay import is_there, plan, value_of
from bthcheck.tests.report.snapshots import claim, experiment, kept, one, records

PAPER = {"T1": "/package/claims/test_t.py::test_T1", "T2": "/package/claims/test_t.py::test_T2"}


def planned(whole, *typed, paper=PAPER, folders=(), gpus=0):
    return plan(whole, paper, folders, typed, gpus=lambda: gpus)


def asked(**settings):
    whole = records(one())
    return {**whole, "settings": {**whole["settings"], **settings}}


def test_the_papers_claims_are_replayed_where_they_are():
    found = planned(asked())
    assert found.of_paper
    assert found.tests == ("/package/claims/test_t.py::test_T1",)
    assert found.options == ("--bth-profile=laptop", "--bth-device=cpu", "--bth-engine=auto", "--bth-no-cache")
    assert (found.said, found.lost) == ((), ())


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"seeds": [0, 1, 2]}, ["--bth-seeds=3"]),
        ({"seeds": [0]}, ["--bth-seeds=1"]),
        ({"seeds": [0, 3, 7]}, ["--bth-seeds=0,3,7"]),
        ({"engine": "reference"}, ["--bth-engine=reference"]),
    ],
)
def test_it_is_trained_with_the_options_of_the_report(settings, options):
    assert set(options) <= set(planned(asked(**settings)).options)


def test_what_is_typed_takes_the_place_of_the_options_of_the_report():
    found = planned(
        asked(seeds=[0, 1], engine="fused"), "--seeds=5", "--bth-engine", "reference", "--device", "cpu", "--cache-dir", "x"
    )
    assert found.options == ("--bth-profile=laptop",)


@pytest.mark.parametrize(
    ("device", "asked_for", "gpus", "taken", "sentence"),
    [
        ("cpu", "auto", 8, "cpu", None),
        ("cuda:0", "auto", 1, "cuda", None),
        ("cuda:1", "cuda:1", 2, "cuda:1", None),
        ("cuda:1", "cuda:1", 1, "cuda", "trained on GPU 1, and there are 1 here: another is taken"),
        ("cuda:0", "cuda", 0, "cpu", "trained on a GPU, and there is none here"),
    ],
)
def test_the_device_is_that_of_the_report_where_there_is_one(device, asked_for, gpus, taken, sentence):
    whole = asked(device=asked_for)
    whole["experiments"][0]["device"] = device
    found = planned(whole, gpus=gpus)
    assert f"--bth-device={taken}" in found.options
    assert len(found.said) == (sentence is not None)
    assert sentence is None or sentence in found.said[0]


def test_a_report_of_the_cpu_asks_for_no_gpu():
    def asks():
        raise AssertionError("PyTorch is loaded for nothing")

    assert plan(asked(), PAPER, (), (), gpus=asks).of_paper


def test_images_of_ones_own_have_to_be_named():
    with pytest.raises(ValueError, match=r"trained on the images of mine\.npz: say where they are with --data-file"):
        planned(asked(data_file="mine.npz"))
    assert planned(asked(data_file="mine.npz"), "--data-file=elsewhere/mine.npz").of_paper


def test_an_older_report_is_replayed_as_its_command_says():
    whole = records(one(), command="pytest claims --seeds=0,2 --bth-engine reference --profile laptop")
    del whole["settings"]
    found = planned(whole)
    assert {"--bth-seeds=0,2", "--bth-engine=reference"} <= set(found.options)
    assert "they are read off its command" in found.said[0]
    whole["command"] = "pytest 'claims"
    assert "--bth-engine=auto" in planned(whole).options


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"engine": "steam"}, "the engine of the report must be one of"),
        ({"engine": "auto --update-baseline"}, "the engine of the report must be one of"),
        ({"device": "tpu"}, "the device of the report must be"),
        ({"device": ["cpu"]}, "the device of the report must be"),
        ({"seeds": "all"}, "the seeds of the report must be whole numbers"),
        ({"seeds": [True]}, "the seeds of the report must be whole numbers"),
        ({"seeds": []}, "the seeds of the report must be whole numbers"),
        ({"data_file": 3}, "the data file of the report must be a name"),
    ],
)
def test_settings_of_no_session_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        planned(asked(**settings))


@pytest.mark.parametrize(
    ("whole", "typed", "sentence"),
    [
        (records(one(), placebo=True), (), "the report is of a placebo"),
        (records(kept({})), (), "no claim of the report has a verdict"),
        (records(one()), ("--profile=quick",), "--profile cannot be used here: the profile is that of the report"),
        (records(one()), ("--placebo",), "--placebo cannot be used here"),
        (records(one()), ("--bth-update-baseline",), "--update-baseline cannot be used here: a replay puts nothing on record"),
        (records(kept({"MINE": claim()})), (), "the tests of MINE are not found"),
    ],
)
def test_what_cannot_be_replayed_is_refused(whole, typed, sentence):
    with pytest.raises(ValueError, match=sentence):
        planned(whole, *typed)


def test_what_is_there_is_replayed_and_what_is_missing_said():
    whole = records(kept({"T1": claim(), "T2": claim(), "T9": claim()}))
    whole["claims"][1] |= {"status": "no verdict", "verdict": None}
    whole["state"] = "interrupted"
    found = planned(whole)
    assert found.tests == (PAPER["T1"],)
    assert found.lost == ("T9",)
    assert found.said == (
        "the session of the report did not run to its end",
        "without a verdict in the report, and not replayed: T2 (no verdict)", "not there any more, and not replayed: T9",
    )  # fmt: skip


def test_a_project_of_ones_own_is_found_by_its_tests(tmp_path):
    project, empty = tmp_path / "project", tmp_path / "empty"
    (project / "mine").mkdir(parents=True)
    empty.mkdir()
    (project / "mine" / "test_t.py").write_text("def test_A(): ...\n\n\nclass TestB:\n    def test_B(self): ...\n")
    whole = records(kept({"A": claim(), "B": claim(), "C": claim()}), root="mine")
    whole["claims"][1]["nodeid"] = "mine/test_t.py::TestB::test_B[x]"
    found = planned(whole, folders=[empty, project])
    assert not found.of_paper
    assert found.tests == (f"{project}/mine/test_t.py::test_A", f"{project}/mine/test_t.py::TestB::test_B[x]")
    assert found.lost == ("C",)


def test_a_claim_of_another_project_may_have_the_id_of_one_of_the_papers(tmp_path):
    (tmp_path / "test_own.py").write_text("def test_T1(): ...\n")
    whole = records(kept({"T1": claim()}))
    whole["claims"][0]["nodeid"] = "test_own.py::test_T1"
    found = planned(whole, folders=[tmp_path])
    assert (found.of_paper, found.tests) == (False, (f"{tmp_path}/test_own.py::test_T1",))


def test_a_report_names_no_tests_outside_the_folder(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "evil.py").write_text("def test_A(): ...\n")
    assert is_there(tmp_path, "evil.py::test_A")
    assert not is_there(tmp_path / "project", "../evil.py::test_A")
    assert not is_there(tmp_path / "project", f"{tmp_path}/evil.py::test_A")


def test_a_file_that_is_no_python_has_no_tests(tmp_path):
    (tmp_path / "a.py").write_text("def (")
    (tmp_path / "b.py").write_bytes(b"\x00")
    assert not is_there(tmp_path, "a.py::test_A")
    assert not is_there(tmp_path, "b.py::test_A")
    assert not is_there(tmp_path, "none.py::test_A")
    assert not is_there(tmp_path, "")


def test_options_have_two_names_and_two_forms():
    assert value_of(["--seeds", "3"], "seeds") == value_of(["--bth-seeds=3"], "seeds") == "3"
    assert value_of(["--seeds=3", "--bth-seeds", "4"], "seeds") == "4"
    assert value_of(["--seeds"], "seeds") == ""
    assert value_of(["--seed", "3"], "seeds") is None


def test_experiments_do_not_decide_what_can_be_replayed():
    changed = experiment(rate=5.0)
    assert planned(records(kept({"T1": claim(trained=[changed])}, changed))).lost == ()
