"""A page of every experiment, linked in the report, and with ``--save-data`` its Dataset."""

import re

TRAINS = """
from bthcheck import claim
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP

@claim("UP", statement="It trains", source="here", kind="exact")
def test_up(train, evidence):
    ds = train(SINUSOIDS.replace(levels=(0.3, 0.9), seeds=(0, 1), epochs=2, network=MLP((10, 10, 4, 1))))
    evidence.at_most(ds.train_loss.values * 0, ds.train_loss.values, 0.0, quantity="0 is at most the loss")
"""


def test_pages_and_data_are_written_where_they_are_asked_for_and_go_with_the_next_report(claims):
    plain = claims(TRAINS, "--engine", "reference")
    assert plain.code == 0, plain.text
    reports = plain.folder / "reports"
    (entry,) = plain.records["experiments"]
    assert [path.name for path in (reports / "experiments").iterdir()] == [entry["page"].removeprefix("experiments/")]
    assert "file" not in entry
    asked = claims(TRAINS, "--engine", "reference", "--save-data")
    assert asked.code == 0, asked.text
    (entry,) = asked.records["experiments"]
    names = sorted(path.name for path in (reports / "experiments").iterdir())
    assert names == sorted(path.removeprefix("experiments/") for path in (entry["page"], entry["file"]))
    assert re.search(rf'<a href="{re.escape(entry["page"])}">', (reports / "index.html").read_text(encoding="utf-8"))
    assert "save-data" in asked.records["settings"]["flags"]
    claims(TRAINS, "--engine", "reference")
    assert [path.suffix for path in (reports / "experiments").iterdir()] == [".html"]


def test_what_cannot_be_saved_costs_no_verdict_and_is_said(claims):
    reports = claims.folder / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "experiments").write_text("in the way")
    outcome = claims(TRAINS, "--engine", "reference")
    assert outcome.statuses == {"UP": "supported"}
    assert "the page of sinusoids is not written" in outcome.text
    assert outcome.code == 3


def test_a_page_that_cannot_be_made_costs_no_verdict_and_is_said(claims):
    broken = (
        TRAINS
        + """
import bthcheck.report.training
def broken(dataset):
    raise KeyError("broken on purpose")
bthcheck.report.training.panels = broken
"""
    )
    outcome = claims(broken, "--engine", "reference")
    assert outcome.statuses == {"UP": "supported"}
    assert "the page of sinusoids is not written: 'broken on purpose'" in outcome.text
    assert outcome.code == 3
