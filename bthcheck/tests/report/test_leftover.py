"""Files of earlier reports go, and nobody else's."""

import json

import pytest

from bthcheck.report import leftover
from bthcheck.report.ending import FINISHED, RUNNING
from bthcheck.tests.report.rows import row
from bthcheck.tests.report.test_report import written


def claim(folder, id, *names):
    figures = [{"path": f"figures/{name}.svg", "data": f"figures/{name}.csv", "caption": name, "wide": False} for name in names]
    (folder / "out" / "figures").mkdir(parents=True, exist_ok=True)
    for figure in figures:
        for path in (figure["path"], figure["data"]):
            (folder / "out" / path).write_text("")
    return {**row(id, "supported"), "figures": figures, "findings": []}


def left(folder):
    return sorted(path.name for path in (folder / "out" / "figures").iterdir())


def test_figures_of_an_earlier_session_are_removed(tmp_path):
    written(tmp_path, claims=[claim(tmp_path, "A", "A-1", "A-2"), claim(tmp_path, "B", "B-1")])
    (tmp_path / "out" / "figures" / "mine.svg").write_text("")
    (tmp_path / "out" / "figures" / "A-3.svg").write_text("")  # no report names it
    written(tmp_path, claims=[claim(tmp_path, "A", "A-1")])
    assert left(tmp_path) == ["A-1.csv", "A-1.svg", "A-3.svg", "mine.svg"]


def test_nothing_is_removed_while_a_session_runs_and_all_once_it_ended(tmp_path):
    """What another worker draws meanwhile may have the name of a figure of the session before."""
    written(tmp_path, claims=[claim(tmp_path, "A", "A-1"), claim(tmp_path, "B", "B-1")])
    for _ in range(2):
        written(tmp_path, claims=[claim(tmp_path, "C", "C-1")], state=RUNNING)
        assert left(tmp_path) == ["A-1.csv", "A-1.svg", "B-1.csv", "B-1.svg", "C-1.csv", "C-1.svg"]
    written(tmp_path, claims=[claim(tmp_path, "C", "C-1"), claim(tmp_path, "B", "B-1")], state=FINISHED)
    assert left(tmp_path) == ["B-1.csv", "B-1.svg", "C-1.csv", "C-1.svg"]
    assert leftover.EARLIER not in json.loads((tmp_path / "out" / "records.json").read_text())


@pytest.mark.parametrize(
    "path",
    [
        "/etc/x.svg",
        "figures/../../x.svg",
        "figures/a/b.svg",
        "x.svg",
        "figures/x.py",
        "figures/.svg",
        None,
        3,
        "figures/x.svg\n",
    ],
)
def test_a_path_that_leads_elsewhere_is_no_figure(path):
    assert leftover.files_of({"claims": [{"figures": [{"path": path}]}]}) == set()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"claims": 3}', '{"claims": [{"figures": [3]}]}', "\udcff"])
def test_damaged_records_remove_nothing(tmp_path, text):
    (tmp_path / "records.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert leftover.earlier(tmp_path) == set()


def test_a_folder_with_the_name_of_a_figure_stays(tmp_path):
    (tmp_path / "figures" / "a.svg").mkdir(parents=True)
    leftover.remove(tmp_path, ["figures/a.svg", "figures/gone.svg"])
    assert (tmp_path / "figures" / "a.svg").is_dir()
