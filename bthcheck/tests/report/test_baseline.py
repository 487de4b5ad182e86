"""The findings on record: what is kept, what is changed, and what is refused."""

import copy
import json
import multiprocessing

import pytest

from bthcheck.report.baseline import SCHEMA, Update, read_baseline, verdicts, write_baseline
from bthcheck.report.json_text import rounded, written
from bthcheck.report.snapshot import claim_entry, recorded, snapshot, without_unused
from bthcheck.tests.test_project import ROOT

EMPTY = {"claims": {}, "experiments": {}, "environments": {}}


def of(**verdicts):
    return {**EMPTY, "claims": {id: {"verdict": verdict} for id, verdict in verdicts.items()}}


def numbered(values, id="T1", experiment="sinusoids", environment="e1"):
    """A snapshot of one claim with numbers, about one experiment on one machine."""
    table = {"columns": ["0.5", "1"], "rows": list(range(len(values))), "values": values}
    finding = {"quantity": "mean φ", "test": "Wilcoxon signed-rank test, exact", "verdict": "supported", "p": 0.001,
               "statistic": ["W", 3.0], "table": table}  # fmt: skip
    claim = {"verdict": "supported", "experiments": [experiment], "environment": environment, "findings": [finding]}
    trained = {
        "name": experiment,
        "configuration": {"seeds": [0, 1]},
        "environment": environment,
        "runs": {"0.5": ["ab", "cd"]},
    }
    return {"claims": {id: claim}, "experiments": {experiment: trained}, "environments": {environment: {"processor": "old"}}}


def test_baseline_keeps_other_profiles_and_claims_that_were_not_run(tmp_path):
    path = tmp_path / "baseline.json"
    assert read_baseline(path, "laptop") == EMPTY
    write_baseline(path, "quick", of(T1="inconclusive"))
    write_baseline(path, "laptop", of(T1="supported"))
    write_baseline(path, "laptop", of(X1="refuted"))
    assert verdicts(path, "laptop") == {"T1": "supported", "X1": "refuted"}
    assert verdicts(path, "quick") == {"T1": "inconclusive"}


def test_what_an_update_changed_is_told(tmp_path):
    path = tmp_path / "baseline.json"
    values = [[1.0, 2.0], [1.5, 2.5]]
    first = {**of(A="supported", B="refuted", C="vacuous"), **numbered(values)}
    first["claims"] |= of(A="supported", B="refuted", C="vacuous")["claims"]
    assert write_baseline(path, "laptop", first) == Update(added=("A", "B", "C", "T1"))
    again = numbered([[1.0, 2.0], [1.5, 2.6]])
    again["claims"] |= of(A="supported", B="supported", D="refuted")["claims"]
    update = write_baseline(path, "laptop", again, gone=["C"])
    assert update == Update(("D",), ("C",), (("B", "refuted", "supported"),), ("T1",), 1)
    assert update.sentences() == [
        "put on record: D", "no longer on record: C", "now on record: B is supported, was refuted",
        "new numbers on record: T1", "1 as on record before",
    ]  # fmt: skip
    assert sorted(verdicts(path, "laptop")) == ["A", "B", "D", "T1"]
    assert write_baseline(path, "laptop", EMPTY).sentences() == ["nothing was put on record"]


def test_experiments_and_machines_that_no_claim_names_are_dropped(tmp_path):
    path = tmp_path / "baseline.json"
    write_baseline(path, "laptop", numbered([[1.0, 2.0]]))
    write_baseline(path, "laptop", numbered([[1.0, 2.0]], id="T2"))
    write_baseline(path, "laptop", numbered([[1.0, 2.0]], experiment="other", environment="e2"))
    kept = read_baseline(path, "laptop")
    assert sorted(kept["experiments"]) == ["other", "sinusoids"]  # T2 is about the one
    assert sorted(kept["environments"]) == ["e1", "e2"]
    write_baseline(path, "laptop", EMPTY, gone=["T2"])
    kept = read_baseline(path, "laptop")
    assert (list(kept["experiments"]), list(kept["environments"])) == (["other"], ["e2"])
    assert without_unused(kept) == kept


def test_the_text_is_the_same_whatever_the_order_and_has_nine_digits(tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    a, b = numbered([[1 / 3, 2e-20 / 3], [None, 1e15 / 7]]), numbered([[1.0, 2.0]], id="A", experiment="x")
    for path, order in ((one, (a, b)), (other, (b, a))):
        for kept in order:
            write_baseline(path, "laptop", {**kept, "claims": rounded(kept["claims"])})
    assert one.read_bytes() == other.read_bytes()
    text = one.read_text()
    assert "[0.333333333, 6.66666667e-21]" in text
    assert "[null, 142857143000000.0]" in text
    assert max(map(len, text.splitlines())) <= 140
    assert json.loads(text) == json.loads(written(json.loads(text)))


@pytest.mark.parametrize(
    "value", [{}, [], {"a": []}, [[]], 1.5, None, "x" * 300, [list(range(100))], {"k": {"l": ["m" * 90] * 3}}]
)
def test_text_is_json_of_what_was_written(value):
    assert json.loads(written(value)) == value


def test_what_profiles_have_in_common_stands_once_in_the_file(tmp_path):
    path = tmp_path / "baseline.json"
    both, own = numbered([[1.0, 2.0]]), numbered([[3.0, 4.0]], id="T2", experiment="other")
    for profile in ("paper", "laptop"):
        write_baseline(path, profile, both)
    write_baseline(path, "paper", own)
    profiles = json.loads(path.read_text())["profiles"]
    assert profiles["paper"]["claims"]["T1"] == profiles["paper"]["experiments"]["sinusoids"] == {"same_as": "laptop"}
    assert "findings" in profiles["laptop"]["claims"]["T1"]
    assert "findings" in profiles["paper"]["claims"]["T2"]
    for profile, ids in (("paper", ["T1", "T2"]), ("laptop", ["T1"])):
        kept = read_baseline(path, profile)
        assert sorted(kept["claims"]) == ids
        assert kept["claims"]["T1"] == recorded(both["claims"]["T1"])
        assert kept["experiments"]["sinusoids"] == both["experiments"]["sinusoids"]
    write_baseline(path, "laptop", numbered([[5.0, 6.0]]))  # paper keeps what it had
    assert read_baseline(path, "paper")["claims"]["T1"] == recorded(both["claims"]["T1"])
    assert read_baseline(path, "laptop")["claims"]["T1"] != recorded(both["claims"]["T1"])


def same_as(profile):
    """The text of a record whose paper profile has a claim that it says another has."""
    claims = {"A": {"same_as": profile}}
    return json.dumps({"schema": 3, "profiles": {"paper": {**EMPTY, "claims": claims}}}).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "a JSON object of profiles"),
        (b"", "a JSON object of profiles, but it is damaged"),
        (b'{"laptop": {"T1"', "a JSON object of profiles, but it is damaged"),
        (b"\xff\xfe", "a JSON object of profiles, but it is damaged"),
        (b"[" * 100_000, "a JSON object of profiles, but it is damaged"),
        (b'{"laptop": ["ab", "cd"]}', "'laptop' is none"),
        (b'{"quick": 1}', "'quick' is none"),
        (b'{"laptop": {"T1": null}}', "'laptop' is none"),
        (b"7", "a JSON object of profiles"),
        (b'{"schema": 4, "profiles": {}}', r"is of schema 4, and this version of bthcheck reads schema 3, 2 and 1"),
        (b'{"schema": "x"}', r"is of schema 'x', and this version"),
        (b'{"schema": 2}', "the whole: 'profiles' is a required property"),
        (b'{"schema": 2, "profiles": {"fast": {}}}', "profiles: 'fast' is not one of"),
        (b'{"schema": 2, "profiles": {"quick": {"claims": {"A": {"verdict": "true"}}, "experiments": {}, "environments": {}}}}',
         "profiles/quick/claims/A/verdict: 'true' is not one of"),
        (same_as("laptop"), "paper/claims/A: the profile 'laptop' must have this whole"),
        (same_as("paper"), "paper/claims/A: the profile 'paper' must have this whole"),
        (same_as("fast"), "profiles/paper/claims/A/same_as: 'fast' is not one of"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused_and_not_overwritten(tmp_path, content, said):
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    for action in (lambda: read_baseline(path, "laptop"), lambda: write_baseline(path, "laptop", of(T1="supported"))):
        with pytest.raises(ValueError, match=rf"the baseline .*baseline\.json .*{said}") as caught:
            action()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_table_with_a_number_too_few_is_refused(tmp_path):
    path = tmp_path / "baseline.json"
    write_baseline(path, "laptop", numbered([[1.0, 2.0], [3.0, 4.0]]))
    path.write_text(path.read_text().replace("[3.0, 4.0]", "[3.0]"))
    with pytest.raises(ValueError, match="laptop, T1, “mean φ”: the table must have a row a seed and a number a column"):
        read_baseline(path, "laptop")


def test_a_file_from_windows_is_read(tmp_path):
    """Git with autocrlf, and editors that put a mark of the byte order in front."""
    path = tmp_path / "baseline.json"
    write_baseline(path, "laptop", numbered([[1.0, 2.0]]))
    kept = read_baseline(path, "laptop")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_baseline(path, "laptop") == kept
    write_baseline(path, "quick", of(T1="vacuous"))
    assert b"\r" not in path.read_bytes()
    assert read_baseline(path, "laptop") == kept


def test_a_record_of_words_alone_is_read_and_upgraded(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text('{"laptop": {"T1": "supported", "X1": "refuted"}, "quick": {"T1": "inconclusive"}}')
    assert verdicts(path, "laptop") == {"T1": "supported", "X1": "refuted"}
    write_baseline(path, "laptop", numbered([[1.0, 2.0]]))
    whole = json.loads(path.read_text())
    assert whole["schema"] == SCHEMA
    assert whole["profiles"]["quick"]["claims"] == {"T1": {"verdict": "inconclusive"}}
    assert whole["profiles"]["laptop"]["claims"]["X1"] == {"verdict": "refuted"}
    assert "findings" in whole["profiles"]["laptop"]["claims"]["T1"]


def test_a_baseline_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the baseline .* cannot be read: Is a directory"):
        read_baseline(tmp_path, "laptop")


def test_a_full_disk_keeps_what_is_on_record(tiny_disk):
    """A hundred verdicts were cut at 4096 bytes, and the next session refused to start."""
    path = tiny_disk / "reports" / "baseline.json"
    write_baseline(path, "laptop", of(T1="supported"))  # into a folder that is not there yet
    many = of(**{f"A{i}" * 100: "supported" for i in range(300)})
    with pytest.raises(OSError, match="No space left on device"):
        write_baseline(path, "laptop", many)
    assert verdicts(path, "laptop") == {"T1": "supported"}
    assert [file.name for file in path.parent.iterdir()] == ["baseline.json"]
    write_baseline(path, "quick", of(T1="supported"))
    assert verdicts(path, "quick") == verdicts(path, "laptop") == {"T1": "supported"}


def put(path, ids):
    for id in ids:
        write_baseline(path, "laptop", of(**{id: "supported"}))


def test_sessions_that_update_at_once_lose_nothing(tmp_path):
    path = tmp_path / "baseline.json"
    context = multiprocessing.get_context("fork")
    shares = [[f"P{number}-{i}" for i in range(8)] for number in range(4)]
    processes = [context.Process(target=put, args=(path, ids)) for ids in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(verdicts(path, "laptop")) == sorted(id for ids in shares for id in ids)
    assert [file.name for file in tmp_path.iterdir()] == ["baseline.json"]


def test_what_goes_on_record_of_a_session():
    claim = {"id": "A", "statement": "It grows", "source": "nowhere", "kind": "trend", "scope": ""}
    finding = {"quantity": "height", "test": "t", "verdict": "supported", "reason": "long", "p": 1 / 3, "effect": None,
               "interval": (0.1, 2 / 3), "p_opposite": 0.5, "table": None}  # fmt: skip
    row = {"claim": claim, "verdict": "supported", "status": "supported", "findings": [finding], "notes": ["…"], "seconds": 3.0}
    row |= {"nodeid": "claims/t.py::test", "code": "c0de", "constants": {"N": "3"}, "experiments": ["e"], "environment": "m"}
    configuration = {"vary": "frequency", "seeds": [0]}
    trained = {"name": "tiny", "configuration": configuration, "engine": "fused", "device": "cpu", "diverged": 0, "runs": {},
               "environment": "m", "label": "tiny"}  # fmt: skip
    failed = {**copy.deepcopy(row), "claim": {**claim, "id": "B"}, "status": "error"}
    kept = snapshot({"claims": [row, failed], "experiments": [trained], "environments": {"m": {"processor": "x"}}})
    assert kept["claims"] == {
        "A": {
            "verdict": "supported", "file": "claims/t.py", "statement": "It grows", "kind": "trend", "code": "c0de",
            "constants": {"N": "3"}, "experiments": ["e"], "environment": "m",
            "findings": [
                {"quantity": "height", "test": "t", "verdict": "supported", "p": 0.333333333, "interval": [0.1, 0.666666667]}
            ],
        }
    }  # fmt: skip
    assert [*kept["experiments"].values()] == [
        {"name": "tiny", "configuration": configuration, "engine": "fused", "device": "cpu", "environment": "m", "runs": {}}
    ]
    assert snapshot({"claims": [], "profile": "laptop"}) == EMPTY  # records of an earlier version
    assert claim_entry({"claim": claim, "verdict": "vacuous", "findings": []})["verdict"] == "vacuous"


def test_the_record_of_this_project_is_small_enough_to_review():
    path = ROOT / "reports" / "baseline.json"
    claims = json.loads(path.read_text(encoding="utf-8"))["profiles"]["laptop"]["claims"]
    assert path.stat().st_size <= 5_700 * len(claims)
    for profile in ("quick", "laptop", "paper"):
        read_baseline(path, profile)
