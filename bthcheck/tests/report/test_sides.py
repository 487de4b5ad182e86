"""What may be compared, told apart by what it holds; and what is refused, in a sentence."""

import json
import re

import pytest

from bthcheck.report.sides import notes_of, profile_of, read_side, refuse_placebos
from bthcheck.report.snapshot import snapshot
from bthcheck.tests.report.snapshots import claim, exact, kept, one, records


def put(path, whole):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(whole if isinstance(whole, str) else json.dumps(whole), encoding="utf-8")
    return path


def baseline(**profiles):
    return {"schema": 2, "profiles": profiles}


def test_records_are_told_from_a_baseline_by_what_they_hold(tmp_path):
    session = read_side(put(tmp_path / "a.json", records(one())))
    assert not session.is_baseline
    assert list(session.profiles) == ["laptop"]
    assert session.profiles["laptop"]["claims"] == snapshot(records(one()))["claims"]
    assert session.described("laptop") == f"{tmp_path / 'a.json'}, profile laptop, finished 2026-01-01T00:00:00+00:00"
    record = read_side(put(tmp_path / "b.json", baseline(quick=one(), laptop=one())))
    assert record.is_baseline
    assert set(record.profiles) == {"quick", "laptop"}
    assert read_side(put(tmp_path / "c.json", {"laptop": {"T1": "supported"}})).profiles["laptop"]["claims"] == {
        "T1": {"verdict": "supported"}
    }


def test_a_folder_is_the_report_in_it(tmp_path):
    put(tmp_path / "records.json", records(one()))
    assert read_side(tmp_path).path == tmp_path / "records.json"


def test_a_file_may_have_been_through_an_editor_of_windows(tmp_path):
    path = tmp_path / "records.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(records(one()), indent=1).replace("\n", "\r\n").encode())
    assert read_side(path).profiles["laptop"]["claims"]["T1"]["verdict"] == "supported"


def test_the_facts_of_a_report_are_among_those_of_its_machine(tmp_path):
    side = read_side(put(tmp_path / "a.json", records(one())))
    assert side.profiles["laptop"]["environments"]["described"] == {"torch": "2.6", "processor and cores": "EPYC"}


def changed(**other):
    return {**records(one()), **other}


def broken(edit):
    whole = records(one())
    edit(whole["claims"][0])
    return whole


REFUSED = {
    "no JSON": ("{", "it is no JSON"),
    "a list": ([1], "must be a records.json or a baseline, and is neither"),
    "foreign": ({"a": 1}, "must be a JSON object of profiles"),
    "another version": ({"schema": 9, "profiles": {}}, "is of schema 9"),
    "no profile": (changed(profile=None), "its profile must be one of 'quick', 'laptop', 'paper'"),
    "a profile of nobody": (changed(profile="huge"), "got 'huge'"),
    "claims of nothing": (changed(claims=[1]), "is no record of a session of claims, or damaged"),
    "a claim without findings": (broken(lambda row: row.pop("findings")), "KeyError 'findings'"),
    "a claim without a verdict that there is": (broken(lambda row: row.update(verdict="so so", status="so so")), "'so so'"),
    "a finding that is a word": (broken(lambda row: row.update(findings=["x"])), "damaged"),
    "numbers that are words": (broken(lambda row: row["findings"][0]["table"].update(values=[["x"]])), "damaged"),
    "a table of other rows": (broken(lambda row: row["findings"][0]["table"]["rows"].pop()), "a row a seed"),
    "experiments of nothing": (changed(experiments=[{}]), "KeyError 'configuration'"),
    "machines of nothing": (changed(environments=[1]), "damaged"),
    "facts of nothing": (changed(environment=[1]), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_neither_is_refused_in_a_sentence(name, tmp_path):
    whole, sentence = REFUSED[name]
    path = put(tmp_path / "x.json", whole)
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        read_side(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json cannot be read: No such file"):
        read_side(tmp_path / "none.json")
    with pytest.raises(ValueError, match=f"the folder {re.escape(str(tmp_path))} holds no records.json"):
        read_side(tmp_path)
    path = tmp_path / "b.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="it is no JSON"):
        read_side(path)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ValueError, match="it is no JSON"):
        read_side(path)


def sides(tmp_path, first, second):
    return read_side(put(tmp_path / "1.json", first)), read_side(put(tmp_path / "2.json", second))


def test_the_profile_is_that_of_the_report(tmp_path):
    both = sides(tmp_path, baseline(quick=one(), paper=one()), records(one(), profile="paper"))
    assert profile_of(*both, None) == ("paper", "paper")
    both = sides(tmp_path, records(one(), profile="quick"), records(one(), profile="paper"))
    assert profile_of(*both, None) == ("quick", "paper")
    assert "The profiles are not the same, quick and paper" in notes_of(*both)[0]
    both = sides(tmp_path, baseline(quick=one(), paper=one()), baseline(quick=one(), laptop=one()))
    assert profile_of(*both, None) == ("quick", "quick")


@pytest.mark.parametrize(
    ("first", "second", "chosen", "sentence"),
    [
        (baseline(quick=one()), records(one()), None, "has nothing on record for profile laptop, only for quick"),
        (baseline(), records(one()), None, "only for none"),
        (baseline(quick=one()), records(one()), "quick", "2.json is of profile laptop, and --profile is quick"),
        (baseline(quick=one(), paper=one()), baseline(quick=one(), paper=one()), None, "both have quick, paper"),
        (baseline(quick=one()), baseline(paper=one()), None, "they have none in common"),
        (baseline(quick=one()), baseline(quick=one()), "paper", "1.json has nothing on record for profile paper"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_told_is_asked_for(first, second, chosen, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        profile_of(*sides(tmp_path, first, second), chosen)


def test_a_placebo_is_compared_with_a_placebo_alone(tmp_path):
    placebo, session = records(one(), placebo=True), records(one())
    for both in (sides(tmp_path, placebo, session), sides(tmp_path, session, placebo), sides(tmp_path, baseline(), placebo)):
        with pytest.raises(ValueError, match="is a placebo, which can be compared with another placebo alone"):
            refuse_placebos(*both)
    refuse_placebos(*sides(tmp_path, placebo, placebo))
    refuse_placebos(*sides(tmp_path, session, session))


def test_claims_without_a_verdict_are_said(tmp_path):
    whole = records(kept({"A": claim(), "B": claim(exact()), "C": claim()}))
    whole["claims"][0] |= {"status": "crashed"}
    whole["claims"][2] |= {"status": "no verdict", "verdict": None}
    whole["state"] = "interrupted"
    both = sides(tmp_path, whole, records(one()))
    assert list(both[0].profiles["laptop"]["claims"]) == ["B"]
    assert notes_of(*both) == [
        f"The session of {both[0].path} did not run to its end",
        f"2 claims have no verdict in {both[0].path}, and cannot be compared: A (crashed), C (no verdict)",
    ]
