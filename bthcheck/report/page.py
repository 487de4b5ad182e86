"""The HTML report: one file that opens offline, with a JSON file of the same records beside it."""

import datetime
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bthcheck.evidence.findings import plain
from bthcheck.files import write_whole
from bthcheck.report import falsification as attacks
from bthcheck.report import forest, leftover, sources, wording
from bthcheck.report.comparison import FALSE_ALARM
from bthcheck.report.differences import Differences
from bthcheck.report.ending import FINISHED, RUNNING, sentence
from bthcheck.report.environment import describe
from bthcheck.report.json_text import written
from bthcheck.report.numbers import count, duration, effect, number, numbers, p_value
from bthcheck.report.pictures import Pictures
from bthcheck.report.records import needs_attention
from bthcheck.text import visible

MOST_ROWS = 100
"""Of a table of numbers a seed that the page shows: who wants to compute with more reads ``records.json``, which has all."""


def write(
    folder: Path,
    claims: list[dict[str, Any]],
    *,
    experiments: list[dict[str, Any]],
    environments: dict[str, Any] | None = None,
    runs: dict[str, Any],
    profile: str,
    placebo: bool,
    baseline: dict[str, str],
    seconds: float,
    root: Path,
    command: list[str],
    trained_on: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    differences: Differences | None = None,
    record: str = "",
    state: str = FINISHED,
    falsification: dict[str, Any] | None = None,
) -> Path:
    """Write ``index.html`` and ``records.json`` into `folder` and return the path of the former.

    Once a session has ended, files beside the report that only earlier ones there had are removed.

    Parameters
    ----------
    claims : rows, one a claim, as from `bthcheck.report.records.row`, in the order in which they are shown
    experiments : what was trained, one entry an experiment
    environments : digest → what the bits of runs depend on beside the code
    runs : how many came from the cache, how many were trained, and how long that took
    baseline : claim id → verdict on record
    seconds : time the session took
    root : the project, for its commit
    command : the command line that was typed
    trained_on : where else than in this session's own processes it trained, in sentences
    settings : what the session was asked for, by which it can be done again
    differences : what differs from what is on record; None where nothing is compared
    record : where that is
    state : how the session ended, one of `bthcheck.report.ending.STATES`
    falsification : what a session of attacks found; None for one that tests claims

    Raises
    ------
    OSError
        If a file cannot be written; the one that was there before still is.
    """
    records = {
        "profile": profile,
        "placebo": placebo,
        "state": state,
        "command": shlex.join(command),
        "settings": settings or {},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "runs": runs,
        "environment": describe(root) | ({"trained on": "; ".join(trained_on)} if trained_on else {}),
        "environments": environments or {},
        "experiments": experiments,
        "claims": [{**row, "on_record": baseline.get(row["claim"]["id"])} for row in claims],
        **({} if falsification is None else {"falsification": falsification}),
    }
    records = plain(records)
    before = leftover.earlier(folder) - leftover.files_of(records)
    if state == RUNNING and before:
        records[leftover.EARLIER] = sorted(before)
    page, text = (
        render(records, folder, differences=differences, record=record),
        json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "records.json", text)
    write_whole(folder / "index.html", page)
    if state != RUNNING:
        leftover.remove(folder, before)
    return folder / "index.html"


def render(records: dict[str, Any], folder: Path, *, differences: Differences | None = None, record: str = "") -> str:
    """Return the report as HTML; figures are read from `folder` and become part of it."""
    ending = sentence(records.get("state", FINISHED), records["claims"])
    beside = {"ending": ending, "found": differences, "record": record, "false_alarm": FALSE_ALARM}
    return fill("template.html", {"state": FINISHED, "falsification": None, **records, **beside}, folder)


def fill(template: str, values: dict[str, Any], folder: Path) -> str:
    """Return a template of this package with `values` as HTML; figures are read from `folder` and become part of it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bthcheck.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    pictures = Pictures(folder)
    environment.filters.update(count=count, effect=effect, number=number, p_value=p_value, slug=_slug)
    environment.filters.update(numbers=numbers, json=lambda value: written(plain(value)), duration=duration)
    environment.globals.update(attacks=attacks, forest=forest, sources=sources, wording=wording, most_rows=MOST_ROWS)
    environment.globals.update(needs_attention=needs_attention)
    environment.globals.update(
        picture=lambda path, label, name="": Markup(pictures.inline(path, _shown(label), name)),
        drawn=lambda content, label: Markup(pictures.of(content, _shown(label))),
        again=lambda path, label, name: Markup(pictures.again(path, _shown(label), name)),
        glyphs=lambda: Markup(pictures.shared()),
    )
    return environment.get_template(template).render(values)


def _shown(value: Any) -> Any:
    """Return what stands in the page for a value: text without characters that control what is shown after them."""
    return visible(value, keep="\n\t") if type(value) is str else value


def _slug(status: str) -> str:
    return status.replace(" ", "-")
