"""What was heard of a claim's test."""

from bthcheck.harness.results import Results


def test_a_test_that_never_reported_has_no_verdict():
    results = Results({"a.py::t": {"id": "T1", "statement": "s"}})
    (row,) = results.rows()
    assert (row["status"], row["reason"]) == ("no verdict", "the test never reported")
    assert row["nodeid"] == "a.py::t"
