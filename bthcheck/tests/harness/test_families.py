"""Two families of claims: each has its own level and size, and a session is of one or of both."""

import json

import pytest

from bthcheck.choices import FAMILIES
from bthcheck.evidence import LEVEL, level_of
from bthcheck.evidence.families import FAMILY_ERROR, SIZES
from bthcheck.harness.claims import Claim, Evidence, claim
from bthcheck.harness.worker import refusal

ALONG = "frequency"

TWO = """
from bthcheck import claim
import numpy as np

@claim("P1", statement="It holds", source="s", kind="exact")
def test_paper(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="q")

@claim("E1", statement="It holds too", source="s", kind="exact", family="extensions")
def test_extension(evidence):
    evidence.at_most([1.0], [2.0], 0.0, quantity="q")
"""


def test_each_family_errs_in_five_percent():
    assert tuple(SIZES) == FAMILIES
    for family, size in SIZES.items():
        assert 2 * size * level_of(family) == pytest.approx(FAMILY_ERROR)
        assert level_of(family) > 2.0**-10  # or two levels and ten seeds could support nothing
    assert level_of("paper") == LEVEL
    with pytest.raises(ValueError, match="family must be one of 'paper', 'extensions', got 'own'"):
        level_of("own")
    with pytest.raises(ValueError, match="the family of claim A must be one of"):
        claim("A", statement="s", source="t", family="own")


def test_a_claim_is_tested_at_the_level_of_its_family(tmp_path, blocks):
    values = blocks([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    for family in FAMILIES:
        one = Evidence(Claim("A", "s", "t", family=family), tmp_path)
        found = [one.increases(values, ALONG), one.decreases(values, ALONG), one.correlates(values, values, ALONG)]
        found.append(one.exceeds(values[{ALONG: 1}].drop_vars(ALONG), values[{ALONG: 0}].drop_vars(ALONG)))
        assert {finding.level for finding in found} == {level_of(family)}
        likely = Evidence(Claim("A", "s", "t", "probabilistic", family=family), tmp_path)
        rare = [likely.rarely(0, 100, 0.5, quantity="q"), likely.dispersed([-1.0, 0.0, 1.0], quantity="q")]
        assert {finding.level for finding in rare} == {level_of(family)}


def test_a_family_that_is_full_leaves_the_other_alone():
    paper = {f"x.py::p{i}": Claim(f"P{i}", "s", "t") for i in range(SIZES["paper"])}
    others = {f"x.py::e{i}": Claim(f"E{i}", "s", "t", family="extensions") for i in range(SIZES["extensions"])}
    assert refusal({**paper, **others}) is None
    assert "21 statistical claims of family 'paper' are more than the 20" in refusal({**paper, "x.py::p": Claim("P", "s", "t")})
    one_more = {**others, "x.py::e": Claim("E", "s", "t", family="extensions")}
    assert "25 statistical claims of family 'extensions' are more than the 24" in refusal({**paper, **one_more})


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_session_is_of_the_family_asked_for(claims, workers):
    everything = claims(TWO, "-n", workers, "--update-baseline")
    assert everything.statuses == {"P1": "supported", "E1": "supported"}
    record = json.loads((everything.folder / "reports" / "baseline.json").read_text())["profiles"]["laptop"]["claims"]
    assert "family" not in record["P1"]
    assert record["E1"]["family"] == "extensions"
    lines = everything.text.splitlines()
    place = lines.index("beyond the paper:")
    assert lines[place - 1].startswith("P1 ")
    assert lines[place + 1].startswith("E1 ")
    page = (everything.folder / "reports" / "index.html").read_text()
    assert page.index('<article id="P1"') < page.index('id="part-extensions"')
    assert page.index('id="part-extensions"') < page.index('<article id="E1"')
    for family, ran in (("paper", "P1"), ("extensions", "E1")):
        one = claims(TWO, "-n", workers, "--family", family)
        assert one.code == 0, one.text
        assert one.statuses == {ran: "supported"}
        assert "did not run" not in one.text
        assert one.records["settings"]["family"] == family
        assert "beyond the paper:" not in one.text


def test_a_claim_that_is_gone_is_missed_within_its_family(claims):
    claims(TWO, "--update-baseline")
    without = TWO.replace('@claim("E1"', '@claim("E2"')
    assert claims(without, "--family", "paper").code == 0
    gone = claims(without, "--family", "extensions")
    assert "claim E1 is on record, and did not run" in gone.text
    assert gone.code == 1


def test_an_unknown_family_is_refused(claims):
    outcome = claims(TWO, "--family", "mine")
    assert outcome.code == 4
    assert "invalid choice: 'mine' (choose from" in outcome.text
