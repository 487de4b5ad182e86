"""Where effects lie in their panels."""

import pytest

from bthcheck.report.forest import panels
from bthcheck.report.wording import TAU


def claim(id, **finding):
    given = {"quantity": "q", "test": "t", "verdict": "supported", "p": None, "interval": None, "spread": None, **finding}
    return {"claim": {"id": id}, "status": "supported", "verdict": "supported", "findings": [given]}


def test_orders_lie_between_minus_one_and_one():
    (panel,) = panels([claim("A", effect_name=TAU, effect=0.5, interval=[0.0, 1.0], minimum_effect=0.3)])
    (mark,) = panel.marks
    assert (mark.place, mark.low, mark.high) == (75.0, 50.0, 100.0)
    assert mark.minimum == pytest.approx(65.0)
    assert panel.none == {label: place for place, label in panel.ticks}["0"]
    assert mark.text == "0.50 [0.00, 1.00]"


def test_ratios_are_on_a_logarithmic_scale():
    name = "median bound / value"
    rows = [claim("A", effect_name=name, effect=10.0, spread=[1.0, 100.0]),
            claim("B", effect_name=name, effect=1e7, spread=[1e2, 1e8]),
            claim("C", effect_name=name, effect=0.0, spread=[0.0, 0.0]), claim("D", effect_name=name, effect=1.0)]  # fmt: skip
    (panel,) = panels(rows)
    assert [(mark.place, mark.low, mark.high, mark.beyond) for mark in panel.marks] == [
        (50.0, 25.0, 75.0, False), (100.0, 75.0, 100.0, True), (25.0, None, None, False),
    ]  # fmt: skip
    assert [row["claim"]["id"] for row, _ in panel.unplaced] == ["C"]
    assert {label: place for place, label in panel.ticks}["10"] == 50.0


def test_what_cannot_be_compared_is_apart():
    found = panels([claim("A", effect_name="violation rate", effect=0.1), claim("B", effect_name=TAU, effect=1.0),
                    claim("C", effect_name=None, effect=None)])  # fmt: skip
    assert [panel.title for panel in found] == ["Orders over seeds", "Each on a scale of its own"]
    assert found[1].unplaced[0][1] == "violation rate 0.1"
    assert panels([]) == []
