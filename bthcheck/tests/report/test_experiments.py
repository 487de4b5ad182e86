"""Which experiment is which, in a report."""

import numpy as np

from bthcheck.report import experiments
from bthcheck.report.experiments import distinct, identity, told_apart


def entry(name, **configuration):
    return {"name": name, "configuration": {"name": name, **configuration}}


def test_an_experiment_is_what_its_configuration_says():
    assert identity({"a": 1, "b": [2.5]}) == identity({"b": [2.5], "a": 1})
    assert identity({"a": 1}) != identity({"a": 2})


def test_names_stay_as_they_are_unless_they_are_shared():
    assert told_apart([entry("one", epochs=3), entry("two", epochs=4)]) == ["one", "two"]
    assert told_apart([]) == []


def test_shared_names_are_told_apart_by_what_differs():
    several = [
        entry("dropout", training={"epochs": 3, "dropout": 0.5}, levels=[1, 2]),
        entry("dropout", training={"epochs": 4, "dropout": 0.5}, levels=[1, 2]),
        entry("dropout", training={"epochs": 4, "dropout": 0.5}, levels=[1]),
        entry("other", training={"epochs": 9, "dropout": 0.5}, levels=[1]),
    ]
    assert told_apart(several) == [
        "dropout (epochs 3, levels [1, 2])",
        "dropout (epochs 4, levels [1, 2])",
        "dropout (epochs 4, levels [1])",
        "other",
    ]


def test_what_differs_only_far_into_a_long_value_is_numbered():
    long = list(range(100))
    labels = told_apart([entry("e", levels=long), entry("e", levels=[*long, 1])])
    assert labels[0].endswith("…), no. 1")
    assert labels[1].endswith("…), no. 2")
    many = {f"field{i}": 0 for i in range(9)}
    labels = told_apart([entry("e", **many), entry("e", **dict.fromkeys(many, 1))])
    assert labels == ["e (field0 0, field1 0, field2 0)", "e (field0 1, field1 1, field2 1)"]


def test_two_experiments_of_one_name_are_two_entries_and_one_of_two_workers_is_one():
    worked = [entry("e", seeds=[1]), entry("d", seeds=[1]), entry("e", seeds=[2]), entry("e", seeds=[1])]
    labels = [found["label"] for found in distinct(worked)]
    assert labels[0] == "d"
    assert sorted(labels) == ["d", "e (seeds [1])", "e (seeds [2])"]


def test_names_of_many_experiments_are_found_in_one_pass(monkeypatch):
    random = np.random.default_rng(0)
    several = [
        entry(str(name), **{f"f{i}": int(value) for i, value in enumerate(values) if value < 3})
        for name, *values in random.integers(0, 4, size=(200, 5))
    ]
    calls, fields = [], experiments._fields
    monkeypatch.setattr(experiments, "_fields", lambda value, name="": [name or calls.append(value), fields(value, name)][1])
    labels = told_apart(several)
    assert len(calls) == len(several)
    bases = []
    for one in several:  # as it says: fields that any of the same name has otherwise, or has not
        alike = [other["configuration"] for other in several if other["name"] == one["name"]]
        own = [(k, v) for k, v in one["configuration"].items() if any(k not in other or other[k] != v for other in alike)]
        bases.append(f"{one['name']} ({', '.join(f'{k} {v}' for k, v in own[:3])})" if own else one["name"])
    numbered = [f"{base}, no. {bases[: i + 1].count(base)}" if bases.count(base) > 1 else base for i, base in enumerate(bases)]
    assert labels == numbered
    assert any("no. 2" in label for label in labels)
