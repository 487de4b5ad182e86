"""A session reads what a session before has computed: the same verdicts, numbers and figures, and it says so."""

KEPT = """
from functools import partial
import numpy as np
import xarray as xr
from bthcheck import claim, figures


def measured(size):
    with open("computed", "a") as file:
        print(size, file=file)
    return xr.DataArray(np.random.default_rng(size).normal(size=(8, size)) + 3 * np.arange(size),
                        {"seed": range(8), "level": range(size)}, ("seed", "level"))


@claim("UP", statement="It grows", source="nowhere")
def test_up(evidence, kept):
    values = kept(measured, 4)
    evidence.increases(values, "level", quantity="height")
    evidence.figure(partial(figures.violins, values, "level", ylabel="height"), "Heights.")
    evidence.figure(figures.violins(values, "level", ylabel="height"), "The same, drawn every time.")


@claim("ALSO", statement="It grows, too", source="nowhere")
def test_also(evidence, kept):
    evidence.increases(kept(measured, 4), "level", quantity="height")


@claim("FAILS", statement="A figure that cannot be drawn", source="nowhere")
def test_fails(evidence, kept):
    values = kept(measured, 3)
    evidence.increases(values, "level", quantity="height")
    evidence.figure(partial(figures.violins, values, "level", ylabel="$\\\\foo$"), "Cannot be drawn.")
"""


def drawn(folder):
    return {path.name: path.read_bytes() for path in (folder / "reports" / "figures").iterdir()}


def test_a_second_session_computes_and_draws_nothing_and_says_the_same(claims):
    computed = claims.folder / "computed"
    cold = claims(KEPT)
    assert cold.code == 0, cold.text
    assert sorted(computed.read_text().split()) == ["3", "4"]
    figures = drawn(cold.folder)
    assert figures["UP-1.svg"] == figures["UP-2.svg"]
    assert figures["UP-1.csv"] == figures["UP-2.csv"]
    assert sorted(figures) == ["UP-1.csv", "UP-1.svg", "UP-2.csv", "UP-2.svg"]
    rows = {row["claim"]["id"]: row for row in cold.rows()}
    assert "A figure is missing because it cannot be drawn" in rows["FAILS"]["notes"][0]
    assert [cold.records["runs"][name] for name in ("results_computed", "results_from_cache")] == [3, 0]
    assert "of other results 0 from the cache, 3 computed" in cold.text
    warm = claims(KEPT, "-n", "2")
    assert sorted(computed.read_text().split()) == ["3", "4"]
    assert warm.rows() == cold.rows()
    assert drawn(warm.folder) == figures
    assert [warm.records["runs"][name] for name in ("results_computed", "results_from_cache")] == [0, 3]
    assert "of other results 3 from the cache, 0 computed" in warm.text
    assert "3 read from the cache" in (warm.folder / "reports" / "index.html").read_text()


def test_without_a_cache_a_result_is_computed_once_a_session_and_left_nowhere(claims):
    ran = claims(KEPT, "--no-cache")
    assert sorted((claims.folder / "computed").read_text().split()) == ["3", "4"]
    assert not (claims.folder / ".bthcheck_cache").exists()
    assert [ran.records["runs"][name] for name in ("results_computed", "results_from_cache")] == [3, 0]


def test_a_changed_claim_computes_anew(claims):
    claims(KEPT)
    ran = claims(KEPT.replace("+ 3 *", "- 3 *"), "-k", "ALSO")
    assert ran.statuses["ALSO"] == "refuted"
    assert (claims.folder / "computed").read_text().split().count("4") == 2
