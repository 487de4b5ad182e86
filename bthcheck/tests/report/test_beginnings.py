"""The beginnings of experiments in two snapshots: another one is a change of numbers, whatever became of the findings."""

import copy

import pytest

from bthcheck.report.comparison import FALSE_ALARM, compare, compare_claim, level_of
from bthcheck.report.experiments import identity

NUMBERS = [[0.1 + i + j for j in range(4)] for i in range(5)]


@pytest.fixture
def before():
    configuration = {"name": "sinusoids", "vary": "frequency", "seeds": [0, 1, 2, 3, 4]}
    kept = {"after": 3, "levels": ["0.25", "0.5", "0.75", "1.0"], "seeds": [0, 1, 2, 3, 4]}
    kept |= dict.fromkeys(("train_loss", "test_loss", "trajectory_length"), NUMBERS)
    experiment = {"name": "sinusoids", "configuration": configuration, "beginning": kept}
    claim = {"verdict": "supported", "experiments": [identity(configuration)], "findings": []}
    return {"claims": {"T1": claim}, "experiments": {identity(configuration): experiment}, "environments": {}}


def test_another_beginning_is_a_change_of_numbers(before):
    after = copy.deepcopy(before)
    assert not compare(before, after).fails("bits")
    (experiment,) = after["experiments"].values()
    experiment["beginning"]["train_loss"] = [[1.001 * value for value in row] for row in NUMBERS]
    (change,) = compare_claim("T1", before, after, 0.001).changes
    assert change.kind == "numbers"
    assert change.sentence.startswith("sinusoids: 20 of 20 runs differ by more than rounding by epoch or window 3, by 0.1 % in")
    assert (change.fails("numbers"), change.fails("verdicts")) == (True, False)
    experiment["configuration"] = {**experiment["configuration"], "levels": [1]}
    assert [change.kind for change in compare_claim("T1", before, after, 0.001).changes] == ["configuration"]
    experiment["configuration"] = dict(next(iter(before["experiments"].values()))["configuration"])
    del experiment["beginning"]  # a record of before there were any
    assert compare_claim("T1", before, after, 0.001).changes == compare_claim("T1", after, before, 0.001).changes == ()


def test_a_beginning_is_one_test_of_a_session(before):
    assert level_of(before) == FALSE_ALARM
    more = {**before, "experiments": {**before["experiments"], "other": next(iter(before["experiments"].values()))}}
    assert level_of(more) == FALSE_ALARM / 2
