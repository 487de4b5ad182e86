"""What a session leaves for the machines that look at it: Markdown and JUnit XML."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from bthcheck.harness.results import properties
from bthcheck.tests.harness.samples import CLAIMS, ONE, TROUBLE

# ---------------------------------------------------------------------------------------------------- --markdown


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_verdicts_are_written_as_markdown(claims, workers):
    outcome = claims(CLAIMS, "--markdown", "out/verdicts.md", "-n", workers)
    assert outcome.code == 1
    text = (outcome.folder / "out" / "verdicts.md").read_text(encoding="utf-8")
    assert text.startswith("### bthcheck: verdicts, profile laptop\n")
    assert "**DOWN** refuted, nothing on record" in text
    assert "Report: reports/index.html" in text
    assert "Runs: 0 runs from the cache" in text


def test_sessions_of_one_step_of_a_job_add_to_its_summary(claims):
    environment = {"GITHUB_STEP_SUMMARY": str(claims.folder / "step.md")}
    for _ in range(2):
        assert claims(ONE, "--bth-markdown", "step.md", environment=environment).code == 0
    assert (claims.folder / "step.md").read_text(encoding="utf-8").count("### bthcheck") == 2


def test_a_file_that_cannot_be_written_is_said_and_hides_nothing(claims):
    (claims.folder / "in-the-way").write_text("")
    outcome = claims(ONE, "--markdown", "in-the-way/verdicts.md")
    assert outcome.code == 3
    assert "there are no verdicts in Markdown: " in outcome.text
    assert "in-the-way" in outcome.text.partition("there are no verdicts in Markdown: ")[2]
    assert "Traceback" not in outcome.text
    assert outcome.text.splitlines()[-2].startswith("report: reports/index.html")


@pytest.mark.parametrize("name", ["", "."])
def test_a_name_that_is_no_file_s_is_refused_before_anything_runs(claims, name):
    outcome = claims(ONE, f"--markdown={name}")
    assert outcome.code == 4
    assert f"--markdown must be the name of a file, got {name!r}" in outcome.text
    assert "passed" not in outcome.text


def test_there_is_no_markdown_of_tests_that_are_no_claims(claims):
    claims("def test_plain():\n    pass\n", "--markdown", "verdicts.md")
    assert not (claims.folder / "verdicts.md").exists()


# ----------------------------------------------------------------------------------------------------- JUnit XML


def cases(path):
    """Return name of a test → name of a property → value, and the whole of the XML."""
    root = ElementTree.parse(path).getroot()
    found = {}
    for case in root.iter("testcase"):
        pairs = [(one.get("name"), one.get("value")) for one in case.iter("property")]
        assert len(pairs) == len(dict(pairs))
        found[case.get("name")] = dict(pairs)
    return found, root


@pytest.mark.parametrize(("workers", "family"), [("0", "xunit1"), ("2", "xunit2")])
def test_junit_xml_says_what_came_out(claims, workers, family):
    (claims.folder / "reports").mkdir()
    record = json.dumps({"laptop": {"DOWN": "refuted", "UP": "supported"}})
    (claims.folder / "reports" / "baseline.json").write_text(record)
    outcome = claims(CLAIMS, "--junitxml=out.xml", "-o", f"junit_family={family}", "-n", workers)
    found, root = cases(outcome.folder / "out.xml")
    assert set(found) == {"test_up", "test_down", "test_noise", "test_exact"}
    rows = {row["claim"]["id"]: row for row in outcome.records["claims"]}
    for name, (id, before) in {"test_down": ("DOWN", "refuted"), "test_up": ("UP", "supported")}.items():
        (finding,) = rows[id]["findings"]
        said = found[name]
        assert said["bthcheck.claim"] == id
        assert (said["bthcheck.verdict"], said["bthcheck.on_record"]) == (rows[id]["verdict"], before)
        assert float(said["bthcheck.p"]) == pytest.approx(finding["p"], rel=1e-8)
        assert float(said["bthcheck.effect"]) == pytest.approx(finding["effect"], rel=1e-8)
        ends = [float(end) for end in said["bthcheck.interval"].split()]
        assert ends == pytest.approx(finding["interval"], rel=1e-8)
        assert said["bthcheck.seeds"] == "8"
    assert "bthcheck.on_record" not in found["test_noise"]
    assert found["test_exact"] == {"bthcheck.claim": "EXACT", "bthcheck.verdict": "supported", "bthcheck.effect": "2"}
    assert [case.find("skipped") is not None for case in root.iter("testcase") if case.get("name") == "test_down"] == [True]
    assert '"findings"' not in (outcome.folder / "out.xml").read_text()  # the record itself is in records.json


@pytest.mark.parametrize(("workers", "family"), [("0", "xunit2"), ("2", "xunit1")])
def test_junit_xml_is_valid_whatever_claims_hold(claims, workers, family):
    bad = r"]]> <b> & \x00 \x07 \x1b[31m \ud800 \ufffe \u202e é"
    source = ONE.replace("One is at most two", bad).replace("1 ≤ 2", bad).replace("[1.0]", "[3.0]")
    source += f'\n\n@claim("TWO", statement="{bad}", source="{bad}", kind="exact")\ndef test_two(evidence):\n'
    source += f'    print("{bad}".encode("utf-8", "replace"))\n    raise ValueError("{bad}")\n'
    outcome = claims(source, "--junitxml=out.xml", "--markdown=out.md", "-o", "junit_logging=all",
                     "-o", f"junit_family={family}", "-n", workers)  # fmt: skip
    assert outcome.code == 1
    assert "INTERNALERROR" not in outcome.text
    found, _ = cases(outcome.folder / "out.xml")
    assert found["test_one"]["bthcheck.verdict"] == "refuted"
    assert found["test_two"] == {"bthcheck.claim": "TWO"}  # it ended in an error
    assert outcome.statuses == {"ONE": "refuted", "TWO": "error"}
    assert "TWO" in (outcome.folder / "out.md").read_text(encoding="utf-8")


def test_junit_xml_of_tests_that_crash_and_break(claims):
    outcome = claims(TROUBLE, "--junitxml=out.xml", "-n", "2")
    found, _ = cases(outcome.folder / "out.xml")
    assert found["test_good"]["bthcheck.verdict"] == "supported"
    assert {name for name, said in found.items() if "bthcheck.verdict" in said} == {"test_good"}


def test_properties_are_short_and_of_the_weakest_finding():
    strong = {"test": "trend", "verdict": "supported", "p": 1e-9, "effect": 1.0, "interval": [0.9, 1.0], "blocks": 10}
    weak = {**strong, "p": 0.00123456789012, "effect": -1 / 3, "interval": [-0.5, 0.25], "blocks": 9}
    record = {"claim": {"id": "T1"}, "verdict": "supported", "findings": [strong, weak]}
    assert properties(record, "vacuous") == [
        ("bthcheck.claim", "T1"), ("bthcheck.verdict", "supported"), ("bthcheck.on_record", "vacuous"),
        ("bthcheck.p", "0.00123456789"), ("bthcheck.effect", "-0.333333333"), ("bthcheck.interval", "-0.5 0.25"),
        ("bthcheck.seeds", "9"),
    ]  # fmt: skip
    assert properties({**record, "findings": [], "verdict": None}, None) == [("bthcheck.claim", "T1")]
