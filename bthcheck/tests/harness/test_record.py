"""Sessions beside their record: what is changed, what is missing, what is put on record."""

import json

import pytest

from bthcheck.report.baseline import read_baseline
from bthcheck.tests.harness.samples import CLAIMS, CONFTEST, ONE, TRAINED

BASELINE = "reports/baseline.json"
SHIFTED = """
import xarray as xr
from bthcheck.harness import fixtures
from bthcheck.training import engines

run = engines.run


def shifted(*arguments, **options):
    dataset = run(*arguments, **options)
    return dataset.assign(train_loss=dataset.train_loss * 1.2)


engines.run = shifted
"""


def recorded(outcome, profile="laptop"):
    return read_baseline(outcome.folder / BASELINE, profile)


def row(outcome, id):
    return next(row for row in outcome.records["claims"] if row["claim"]["id"] == id)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_honest_rerun_is_as_on_record_and_a_change_is_not(claims, workers):
    first = claims(TRAINED, "-n", workers, "--update-baseline", "--seeds", "8")
    kept = recorded(first)
    assert first.code == 0, first.text
    assert "put on record: SLOWER, WORSE" in first.text
    (experiment,) = kept["experiments"].values()
    assert experiment["name"] == "tiny"
    assert {level: len(digests) for level, digests in experiment["runs"].items()} == {"0.25": 8, "0.5": 8, "1.0": 8}
    assert (experiment["beginning"]["levels"], experiment["beginning"]["seeds"]) == (["0.25", "0.5", "1.0"], [0, 1, 2, 3, 4])
    (name,) = kept["experiments"]
    for id in ("SLOWER", "WORSE"):  # one fixture trained it for both, whichever came first
        assert kept["claims"][id]["experiments"] == [name]
        assert len(kept["claims"][id]["findings"][0]["table"]["values"]) == 8
    (environment,) = kept["environments"]
    assert {claim["environment"] for claim in kept["claims"].values()} == {environment} == {experiment["environment"]}

    again = claims(TRAINED, "-n", workers, "--seeds", "8", "--check", "bits")
    assert again.code == 0, again.text
    assert [row(again, id)["changes"] for id in ("SLOWER", "WORSE")] == [[], []]

    faster = TRAINED.replace("epochs=300", "epochs=300, learning_rate=0.00115")
    for ring, code in (("verdicts", 0), ("numbers", 1)):
        changed = claims(faster, "-n", workers, "--seeds", "8", "--check", ring)
        assert changed.code == code, changed.text
        assert changed.statuses == {"SLOWER": "supported", "WORSE": "supported"}
        sentences = row(changed, "SLOWER")["changes"]
        assert sentences[0] == "tiny: learning_rate 0.00115, on record 0.001"
        assert sentences[1] == "the test itself has changed since: its code"  # which the fixture is part of
        assert sentences[2].startswith("training loss at frequency ")
        assert "on average, now" in sentences[2]
    assert "claim SLOWER is supported, as on record, but not all else is: tiny: learning_rate 0.00115" in changed.text


def test_what_no_configuration_shows_is_seen_in_the_numbers(claims):
    assert claims(TRAINED, "--update-baseline", "--seeds", "8").code == 0
    shifted = claims(TRAINED, "--seeds", "8", conftest=CONFTEST + SHIFTED)
    assert shifted.code == 1, shifted.text
    beginning = "tiny: 15 of 15 runs differ by more than rounding by epoch or window 3, by 17 % in the median (p = "
    sentences = sorted(row(shifted, "SLOWER")["changes"], reverse=True)
    assert sentences[0].startswith("training loss at frequency ")
    assert "(20 % more" in sentences[0]
    assert sentences[1].startswith(beginning)
    assert [sentence.startswith(beginning) for sentence in row(shifted, "WORSE")["changes"]] == [True]
    bits = claims(TRAINED, "--seeds", "8", "--check", "bits", conftest=CONFTEST + SHIFTED)
    assert "tiny: 24 of 24 runs have other bits, the first at frequency 0.25, seed 0" in row(bits, "WORSE")["changes"]
    fewer = claims(TRAINED, "--seeds", "3,5", "--check", "bits")  # other seeds are no other setup
    assert row(fewer, "WORSE")["kinds"] == ["verdict"]  # for which two seeds are too few


def test_the_test_itself_is_said_to_have_changed(claims):
    assert claims(CLAIMS, "--update-baseline").code == 0
    claims(CLAIMS.replace('"level", quantity="height"', '"level", quantity="height", minimum_effect=0.5'))
    outcome = claims(
        CLAIMS.replace('increases(values(3), "level", quantity="height")', 'decreases(values(-3), "level", quantity="height")')
    )
    sentences = row(outcome, "UP")["changes"]
    assert sentences[0] == (
        "the test itself has changed since: “height”: expected decreases with level, on record increases with level"
    )
    assert outcome.code == 1  # its numbers are others
    comment = claims(CLAIMS.replace("def test_up(evidence):", "def test_up(evidence):  # it grows"))
    assert row(comment, "UP")["changes"] == []
    assert comment.code == 0


def test_a_better_verdict_is_said_and_no_failure(claims):
    claims(CLAIMS, "--update-baseline")
    path = claims.folder / BASELINE
    whole = json.loads(path.read_text())
    whole["profiles"]["laptop"]["claims"]["UP"]["verdict"] = "inconclusive"
    path.write_text(json.dumps(whole))
    outcome = claims(CLAIMS)
    assert outcome.code == 0
    assert row(outcome, "UP")["changes"] == ["supported, on record inconclusive"]
    assert row(outcome, "UP")["on_record"] == "inconclusive"


# ---------------------------------------------------------------------------------------------------------- missing

TWO = ONE + ONE.replace("ONE", "TWO").replace("test_one", "test_two")
SKIPPED = TWO.replace("def test_two(evidence):", "def test_two(evidence):\n    import pytest\n    pytest.skip('not today')")


def test_a_claim_on_record_that_did_not_run_fails_a_full_run(claims):
    assert claims(TWO, "--update-baseline").code == 0
    gone = claims(ONE)
    assert gone.code == 1
    assert "claim TWO is on record, and did not run" in gone.text
    skipped = claims(SKIPPED)
    assert skipped.code == 1
    assert "claim TWO is on record, and did not run" in skipped.text


@pytest.mark.parametrize(
    "arguments",
    [("-k", "test_one"), ("test_claims.py::test_one",), ("--deselect", "test_claims.py::test_two"), ("-k", "ONE", "-n", "2"),
     ("--profile", "quick"), ("--placebo",)],
)  # fmt: skip
def test_in_a_part_of_the_claims_none_is_missing(claims, arguments):
    claims(TWO, "--update-baseline")
    outcome = claims(TWO, *arguments)
    assert outcome.code == 0, outcome.text
    assert "did not run" not in outcome.text


def test_a_file_alone_misses_only_its_own_claims(claims):
    files = {"test_more.py": ONE.replace("ONE", "MORE")}
    assert claims(TWO, "--update-baseline", files=files).code == 0
    assert claims(TWO, "test_claims.py").code == 0
    (claims.folder / "test_more.py").unlink()
    whole = claims(TWO)
    assert whole.code == 1
    assert "claim MORE is on record, and did not run" in whole.text


def test_an_update_of_everything_removes_what_is_no_more_and_of_a_part_does_not(claims):
    claims(TWO, "--update-baseline")
    part = claims(ONE, "-k", "test_one", "--update-baseline")
    assert sorted(recorded(part)["claims"]) == ["ONE", "TWO"]
    whole = claims(ONE, "--update-baseline")
    assert whole.code == 0
    assert "no longer on record: TWO" in whole.text
    assert sorted(recorded(whole)["claims"]) == ["ONE"]


def test_an_update_keeps_what_was_only_skipped(claims):
    claims(TWO, "--update-baseline")
    skipped = claims(SKIPPED, "--update-baseline")
    assert sorted(recorded(skipped)["claims"]) == ["ONE", "TWO"]
    assert "no longer on record" not in skipped.text
    assert "claim TWO is on record, and did not run" in skipped.text


def test_a_record_of_words_alone_is_compared_in_words(claims):
    (claims.folder / "reports").mkdir()
    (claims.folder / BASELINE).write_text('{"laptop": {"ONE": "supported", "TWO": "refuted"}}')
    outcome = claims(TWO)
    assert outcome.code == 0
    assert row(outcome, "ONE")["changes"] == []
    assert row(outcome, "TWO")["changes"] == ["supported, on record refuted"]
