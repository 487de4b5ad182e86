"""Options beside those of other plugins, whichever is loaded first, and where nothing can be written."""

import re

import pytest

from bthcheck.tests.harness.samples import ONE

OTHER = """
import pytest


def pytest_addoption(parser):
    group = parser.getgroup("other")
    group.addoption("--profile", action="store_true", default=False)
    parser.addoption("--device", action="append", default=[])


@pytest.fixture(scope="session")
def device(pytestconfig):
    return "a telephone"


def pytest_report_header(config):
    return f"other: {config.getoption('profile')} {config.getoption('device')}"
"""
OURS, THEIRS = '"bthcheck.pytest_plugin"', '"other"'
LOADED = {
    "theirs first": f"pytest_plugins = [{THEIRS}, {OURS}]\n",
    "ours first": f"pytest_plugins = [{OURS}, {THEIRS}]\n",
}
TRAINED = """
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS


@claim("ONE", statement="It was trained", source="nowhere", kind="exact")
def test_one(train, evidence):
    dataset = train(SINUSOIDS.replace(levels=(0.5, 1.0), epochs=2, lipschitz_every=1))
    evidence.at_most([float(dataset.sizes["seed"])], [5.0], 0.0, quantity="seeds")
"""


@pytest.mark.parametrize("order", LOADED)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_options_of_other_plugins_are_theirs(claims, order, workers):
    arguments = ("--profile", "--device", "iPhone", "--bth-profile", "quick", "--bth-device=cpu", "--seeds", "2", "--no-cache")
    outcome = claims(TRAINED, *arguments, "-n", workers, conftest=LOADED[order], files={"other.py": OTHER})
    assert outcome.code == 0, outcome.text
    assert "other: True ['iPhone']" in outcome.text
    assert (
        "bthcheck: --device, --profile are another plugin's here; for this one's say --bth-device, --bth-profile"
        in outcome.text
    )
    assert outcome.records["profile"] == "quick"
    (experiment,) = outcome.records["experiments"]
    assert experiment["device"] == "cpu"  # nor is a fixture of that name taken for ours
    assert experiment["configuration"]["seeds"] == [0, 1]


def test_a_plugin_given_by_p_may_come_before(claims):
    outcome = claims(ONE, "-p", "other", "--profile", "--bth-profile", "quick", files={"other.py": OTHER})
    assert outcome.code == 0, outcome.text
    assert outcome.records["profile"] == "quick"
    outcome = claims(ONE, "-p", "bthcheck.pytest_plugin", "--profile", conftest=f"pytest_plugins = [{THEIRS}]\n")
    assert outcome.code == 0, outcome.text
    assert outcome.records["profile"] == "laptop"


def test_either_name_is_known_where_no_other_plugin_has_it(claims):
    both = claims(ONE, "--profile", "quick", "--bth-results-dir", "out")
    assert both.code == 0
    assert (both.folder / "out" / "index.html").exists()
    assert '"profile": "quick"' in (both.folder / "out" / "records.json").read_text()
    assert "another plugin" not in both.text
    assert "argument --bth-profile: invalid choice: 'huge'" in claims(ONE, "--bth-profile", "huge").text


def test_help_names_what_there_is(claims):
    plain = claims(ONE, "--help").text
    assert "--bth-profile={quick,laptop,paper}" in plain
    assert re.search(r"--profile=\S+\s+short for --bth-profile", plain)
    beside = claims(ONE, "--help", conftest=LOADED["ours first"], files={"other.py": OTHER}).text
    assert "--bth-profile={quick,laptop,paper}" in beside
    assert "short for --bth-profile" not in beside
    assert "short for --bth-seeds" in beside


# ---------------------------------------------------------------------------------- where nothing can be written

PLAIN = "def test_plain():\n    pass\n"
NOWHERE = ("--results-dir", "pytest.ini/reports", "--cache-dir", "pytest.ini/cache")  # below a file: nobody can write there


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (ONE, ("--help",)),
        (ONE, ("--collect-only",)),
        (ONE, ("--fixtures",)),
        (PLAIN, ()),
        (PLAIN, ("-n", "1")),
        (ONE + "\n\n" + PLAIN, ("-k", "plain")),
    ],
    ids=["help", "collect", "fixtures", "no claims", "no claims, a worker", "no claims chosen"],
)
def test_what_writes_nothing_needs_no_folder(claims, source, arguments):
    (claims.folder / "reports").mkdir()
    (claims.folder / "reports" / "baseline.json").write_text("nothing that one could understand")
    outcome = claims(source, *NOWHERE, *arguments)
    assert outcome.code == 0, outcome.text
    assert "cannot be written" not in outcome.text


@pytest.mark.parametrize("question", ["--fixtures", "--setup-plan", "--collect-only"])
def test_a_question_to_pytest_leaves_the_report_of_the_last_session(claims, question):
    (claims.folder / "reports").mkdir()
    (claims.folder / "reports" / "records.json").write_text("old")
    assert claims(ONE, question).code == 0
    assert (claims.folder / "reports" / "records.json").read_text() == "old"


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("what", ["results", "cache", "baseline"])
def test_claims_are_refused_in_a_sentence_before_the_first_runs(claims, what, workers):
    arguments = {"results": NOWHERE[:2], "cache": NOWHERE[2:], "baseline": ()}[what]
    if what == "baseline":
        (claims.folder / "reports").mkdir()
        (claims.folder / "reports" / "baseline.json").write_bytes(b"\xff")
    ran = ONE + "    from pathlib import Path\n    Path('ran').touch()\n"
    outcome = claims(ran, *arguments, "-n", workers)
    assert outcome.code == 4, outcome.text
    sentence = {
        "results": r"ERROR: the results folder \S+pytest\.ini/reports cannot be written: Not a directory",
        "cache": r"ERROR: the cache folder \S+pytest\.ini/cache cannot be used: Not a directory",
        "baseline": r"ERROR: the baseline \S+baseline\.json must be a JSON object of profiles",
    }[what]
    assert re.search(sentence, outcome.text), outcome.text
    assert "INTERNALERROR" not in outcome.text
    assert "Traceback" not in outcome.text
    assert not (outcome.folder / "ran").exists()
    assert what == "baseline" or not (outcome.folder / "reports").exists()


def test_a_test_that_trains_but_is_no_claim_is_told_of_the_cache(claims):
    source = "from bthcheck.experiments import SINUSOIDS\n\n\ndef test_it(train):\n    train(SINUSOIDS)\n"
    outcome = claims(source, *NOWHERE)
    assert outcome.code == 1
    assert re.search(r"the cache folder \S+pytest\.ini/cache cannot be used: Not a directory", outcome.text)
    assert "Traceback" not in outcome.text


def test_folders_that_were_there_stay(claims):
    (claims.folder / "out").mkdir()
    outcome = claims(ONE, "--results-dir", "out", "--cache-dir", "made", "-x")
    assert outcome.code == 0
    assert not (outcome.folder / "made").exists()  # made to see whether it can be written; no run is in it
    assert claims(PLAIN, "--results-dir", "empty").code == 0
    (claims.folder / "empty").mkdir()
    claims(ONE.replace("[2.0]", "'no number'"), "--results-dir", "empty", "--collect-only")
    assert (claims.folder / "empty").exists()
