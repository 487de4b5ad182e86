"""What a claim's test presents, and the verdict that comes of it."""

import dataclasses
import json
import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bthcheck import evidence
from bthcheck.evidence import LEVEL, Verdict, level_of, overall, trend
from bthcheck.evidence.search import Search
from bthcheck.harness.claims import Claim, Evidence

ALONG = "frequency"


def test_overall_is_the_worst():
    assert overall([Verdict.SUPPORTED, Verdict.VACUOUS]) is Verdict.VACUOUS
    assert overall([Verdict.SUPPORTED, Verdict.INCONCLUSIVE, Verdict.VACUOUS]) is Verdict.INCONCLUSIVE
    assert overall([Verdict.REFUTED, Verdict.INCONCLUSIVE]) is Verdict.REFUTED


def test_a_placebo_swaps_conditions_at_random(tmp_path, blocks):
    both = blocks(np.random.default_rng(9).normal(size=(40, 2)) + np.array([0, 5]))
    low, high = (both.isel(frequency=i, drop=True) for i in (0, 1))
    real = Evidence(Claim("A", "s", "t"), tmp_path)
    placebo = Evidence(Claim("A", "s", "t"), tmp_path, np.random.default_rng(0))
    assert real.exceeds(high, low).verdict is Verdict.SUPPORTED
    assert placebo.exceeds(high, low).verdict is Verdict.INCONCLUSIVE
    assert placebo.findings[0].blocks == 40


def test_many_tests_refute_a_claim_no_more_easily_than_one(tmp_path, blocks):
    """Five seeds against the claim, one of them not quite: p_opposite lies between a third of the level and the level."""
    table = np.tile(np.array([4.0, 3, 2, 1]), (5, 1))
    table[0] = [3, 2, 1, 4]
    against = trend(blocks(table), ALONG)
    assert LEVEL / 3 < against.p_opposite <= LEVEL
    assert against.verdict is Verdict.REFUTED
    other = trend(blocks(np.tile(np.arange(4.0), (5, 1))), ALONG)
    alone = Evidence(Claim("A", "s", "t"), tmp_path, findings=[against])
    among = Evidence(Claim("A", "s", "t"), tmp_path, findings=[other, other, against])
    assert alone.verdict is Verdict.REFUTED
    assert among.verdict is Verdict.INCONCLUSIVE
    assert among.reason == against.reason
    strong = trend(blocks(np.tile(np.arange(4.0)[::-1], (5, 1))), ALONG)
    assert Evidence(Claim("A", "s", "t"), tmp_path, findings=[other, other, strong]).verdict is Verdict.REFUTED


def losses(table):
    """Label a (levels, seeds, epochs) array."""
    table = np.asarray(table, float)
    dims = ("corruption", "seed", "epoch")
    coords = {dim: np.arange(size) + (dim == "epoch") for dim, size in zip(dims, table.shape, strict=True)}
    return xr.DataArray(table, coords, dims)


def test_fitted_looks_at_the_last_epoch_and_names_the_worst_run():
    table = np.full((2, 3, 4), 0.05)
    table[1, 2, :3] = 9.0
    met = evidence.fitted(losses(table), 0.1, quantity="loss")
    assert (met.verdict, met.test, met.cases) == (Verdict.SUPPORTED, evidence.CONDITION, 6)
    table[1, 2, 3] = 0.1  # at the threshold is not below it
    unmet = evidence.fitted(losses(table), 0.1, quantity="loss")
    assert unmet.verdict is Verdict.INCONCLUSIVE
    assert "5 of 6 runs" in unmet.reason
    assert "0.1 (corruption 1, seed 2)" in unmet.reason
    table[0, 1, 3] = np.nan
    assert "(corruption 0, seed 1)" in evidence.fitted(losses(table), 0.1, quantity="loss").reason


def test_passed_looks_for_any_epoch(tmp_path):
    table = np.full((2, 3, 4), 0.5)
    table[..., 1] = 0.05
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    met = presented.passed(losses(table), 0.1, of="α = 0.1")
    assert (met.verdict, met.quantity, met.cases) == (Verdict.SUPPORTED, "smallest training loss of all epochs, α = 0.1", 6)
    table[1, 2, 1] = 0.1  # at the threshold is not below it
    unmet = presented.passed(losses(table), 0.1)
    assert unmet.verdict is Verdict.INCONCLUSIVE
    assert "5 of 6 runs have a training loss below 0.1 in some epoch; the largest is 0.1 (corruption 1, seed 2)" in unmet.reason
    table[1, 2] = np.nan  # as if diverged
    assert "5 of 6" in presented.passed(losses(table), 0.1).reason


def ranking(seeds=12):
    """A gap over two axes that a measure knows but for noise, and a rival that is noise alone."""
    generator = np.random.default_rng(5)
    truth = np.add.outer(np.arange(3.0), np.arange(3.0))
    coords = {"width": [1, 2, 3], "depth": [1, 2, 3], "seed": range(seeds)}
    gap = xr.DataArray(truth[..., None] + generator.normal(0, 0.2, (3, 3, seeds)), coords, name="gap")
    measure = gap + generator.normal(0, 0.2, gap.shape)
    return measure.rename("measure"), xr.DataArray(generator.normal(size=gap.shape), coords, name="rival"), gap


def test_a_measure_that_ranks_is_no_worse_and_a_placebo_is_not(tmp_path):
    measure, rival, gap = ranking()
    presented = Evidence(Claim("A", "s", "t", family="extensions"), tmp_path)
    assert presented.distinguishable(gap).verdict is Verdict.SUPPORTED
    assert presented.no_worse(measure, {"rival": rival, "itself": measure}, gap).verdict is Verdict.SUPPORTED
    assert [finding.test for finding in presented.findings][1:] == ["Wilcoxon signed-rank test, exact, Holm over 2 rivals"] * 2
    assert presented.findings[1].level == level_of("extensions")
    worse = Evidence(Claim("A", "s", "t"), tmp_path, placebo=np.random.default_rng(0))
    assert worse.no_worse(measure, {"itself": measure}, gap).verdict is Verdict.REFUTED


def test_fitted_looks_at_every_epoch_of_a_window(tmp_path):
    table = np.full((2, 3, 6), 0.05)
    table[1, 0, 2] = 0.2
    assert evidence.fitted(losses(table), 0.1, quantity="loss", epochs=3).verdict is Verdict.SUPPORTED
    unmet = Evidence(Claim("A", "s", "t"), tmp_path).fitted(losses(table), 0.1, epochs=4, of="batches of 16")
    assert unmet.verdict is Verdict.INCONCLUSIVE
    assert unmet.quantity == "training loss in the last 4 epochs, batches of 16"
    assert "5 of 6 runs have a training loss below 0.1 in each of the last 4 epochs; the largest is 0.2" in unmet.reason
    table[0, 1, 5] = np.nan
    assert "4 of 6" in evidence.fitted(losses(table), 0.1, quantity="loss", epochs=4).reason


def test_a_condition_that_is_not_met_makes_a_claim_inconclusive_whatever_its_tests_say(tmp_path, blocks):
    rising = np.arange(4.0) + np.zeros((8, 1))
    for direction in (1, -1):
        presented = Evidence(Claim("A", "s", "t"), tmp_path)
        presented.fitted(losses(np.full((2, 3, 4), 0.5)), 0.1)
        assert presented.verdict is None  # a condition is no evidence
        presented.increases(blocks(direction * rising), "frequency")
        assert presented.verdict is Verdict.INCONCLUSIVE
        assert presented.reason.startswith("0 of 6 runs have a training loss below 0.1")
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.fitted(losses(np.full((2, 3, 4), 0.05)), 0.1)
    presented.increases(blocks(rising), "frequency")
    assert presented.verdict is Verdict.SUPPORTED


def test_a_condition_is_not_counted_among_the_tests_of_a_claim(tmp_path, blocks):
    against = evidence.trend(blocks(-np.arange(4.0) + np.zeros((8, 1))), "frequency")
    against = dataclasses.replace(against, p_opposite=evidence.LEVEL * 0.9)
    presented = Evidence(Claim("A", "s", "t"), tmp_path, findings=[against])
    presented.fitted(losses(np.full((2, 3, 4), 0.05)), 0.1)
    assert presented.verdict is Verdict.REFUTED


def test_what_falsifies_a_bound_is_in_its_reason(tmp_path):
    search = Search(np.array([2.0]), np.array([1.0]), np.zeros(1), 1, "x = 1")
    finding = Evidence(Claim("A", "s", "t", kind="exact"), tmp_path).withstands(search, "a bound")
    assert finding.verdict is Verdict.REFUTED
    assert finding.reason.endswith("the smallest counterexample is x = 1")


def test_a_claim_cannot_be_tested_as_another_kind(tmp_path, blocks):
    exact = Evidence(Claim("A", "s", "t", kind="exact"), tmp_path)
    with pytest.raises(ValueError, match="claim A is registered as 'exact', but its test is 'trend'"):
        exact.increases(blocks(np.ones((3, 4))), ALONG)
    assert exact.verdict is None


def test_bad_claims_are_refused():
    with pytest.raises(ValueError, match="a claim's id must be letters, digits"):
        Claim("a b", "s", "t")
    with pytest.raises(ValueError, match="the kind of claim A must be one of"):
        Claim("A", "s", "t", kind="vague")


def test_a_table_has_an_entry_a_column(tmp_path):
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.table("caption", ["a", "b"], [["1", "2"]])
    assert presented.to_dict()["tables"] == [{"caption": "caption", "columns": ["a", "b"], "rows": [["1", "2"]]}]
    with pytest.raises(ValueError, match="every row of the table 'caption' must have 2 entries"):
        presented.table("caption", ["a", "b"], [["1"]])


def test_records_are_plain_json(tmp_path, blocks):
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.increases(blocks(np.full((3, 4), np.nan)), ALONG)
    presented.decreases(blocks(np.arange(12.0).reshape(3, 4)), ALONG)
    text = json.dumps(presented.to_dict(), allow_nan=False)
    assert json.loads(text)["verdict"] == "refuted"
    assert json.loads(text)["findings"][0]["table"]["values"][0] == [None] * 4


# -------------------------------------------------------------------------- whatever is presented, a record is plain


ODD = [
    (np.float64(1 / 3), "0.3333"),
    (np.float32(0.5), "0.5"),
    (np.int64(123456), "123456"),
    (123456, "123456"),
    (True, "True"),
    (np.bool_(False), "False"),
    (float("nan"), "nan"),
    (np.float64("-inf"), "-inf"),
    (None, "–"),
    (np.array(2.5), "2.5"),
    (xr.DataArray(2.5), "2.5"),
    (np.str_("text"), "text"),
    ("1/3 = 0.33333", "1/3 = 0.33333"),
    (1 + 2j, "(1+2j)"),
]


@pytest.mark.parametrize(("value", "text"), ODD, ids=[repr(value) for value, _ in ODD])
def test_tables_notes_and_captions_hold_plain_text(tmp_path, value, text):
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.table(value, [value, "b"], [["1", value]])
    presented.note(value)
    presented.figure(Figure(figsize=(1, 1)), value)
    record = json.loads(json.dumps(presented.to_dict(), allow_nan=False))
    assert record["tables"] == [{"caption": text, "columns": [text, "b"], "rows": [["1", text]]}]
    assert record["notes"] == [text]
    assert record["figures"] == [{"path": "figures/A-1.svg", "caption": text, "wide": False, "alt": text}]


def test_a_tensor_of_one_number_is_that_number(tmp_path):
    torch = pytest.importorskip("torch")
    presented = Evidence(Claim("A", "s", "t"), tmp_path)
    presented.table("c", ["a"], [[torch.tensor(0.25)]])
    assert presented.tables[0]["rows"] == [["0.25"]]


@pytest.mark.parametrize("id", ["T1.", "CON", "nul", "Aux.1", "com1", "LPT9.x", "COM1.", 7, ""])
def test_ids_that_are_no_files_somewhere_are_refused(id):
    with pytest.raises(ValueError, match=r"a claim's id must be .*, (which|got) " + re.escape(repr(id))):
        Claim(id, "s", "t")
    assert Claim("CONE", "s", "t").id == "CONE"
    assert Claim("T1.CON", "s", "t").id == "T1.CON"


@pytest.mark.parametrize("field", ["statement", "source", "scope"])
def test_a_claim_is_written_in_text(field):
    with pytest.raises(ValueError, match=f"the {field} of claim A must be text, got 7"):
        Claim(**{"id": "A", "statement": "s", "source": "t", field: 7})
