"""How large a report becomes with claims, seeds and levels, and how long it takes to write.

The sessions are real but for their trainings, which are short (`bthcheck.benchmark.shortened`): the claims, their figures, what
workers tell the process that reports, and the page.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bthcheck.benchmark.shortened import LEVELS
from bthcheck.benchmark.shortened import __name__ as PLUGIN

ROOT = Path(__file__).parents[2]
LARGEST = 5e6
"""Bytes that a report of a thousand seeds is to stay under."""
SINUSOIDS = ("claims/test_trajectory.py",)
TRENDS = (*SINUSOIDS, "claims/test_corrupted_labels.py", "claims/test_architectures.py")
ALL = ("claims",)


@dataclass(frozen=True)
class Session:
    """What is asked of a session: files of claims, seeds, levels of frequency and corruption (None: the paper's)."""

    files: tuple[str, ...]
    seeds: int
    levels: int | None = None


DEFAULT = (
    *(Session(TRENDS, seeds) for seeds in (10, 100, 1000)),
    *(Session(SINUSOIDS, 100, levels) for levels in (4, 8, 16)),
)
FULL = (*(Session(ALL, seeds) for seeds in (10, 100, 1000)),)
"""All claims: a hundred seeds take minutes, a thousand an hour."""


@dataclass(frozen=True)
class Report:
    """What a session left.

    claims : how many it has
    page, records, figures : bytes of ``index.html``, of ``records.json``, and of the page's figures
    largest : the largest of these
    render : seconds of the processor to make the page of the records
    """

    claims: int
    page: int
    records: int
    figures: int
    largest: int
    render: float


def measured(session: Session, folder: Path, workers: int = 2) -> Report:
    """Run a session in an empty folder; finished runs are kept in ``runs`` beside it.

    Raises
    ------
    RuntimeError
        If it left no report; it says what pytest printed.
    """
    command = [sys.executable, "-m", "pytest", *session.files, "-p", PLUGIN, "--seeds", str(session.seeds), "-q"]
    command += ["-n", str(workers), "--results-dir", str(folder), "--cache-dir", str(folder.parent / "runs")]
    environment = os.environ | ({} if session.levels is None else {LEVELS: str(session.levels)})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if not (folder / "index.html").exists():
        raise RuntimeError(f"the session left no report:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return weighed(folder)


def weighed(folder: Path) -> Report:
    """Return what a report in a folder has, and make its page once more to see how long that takes."""
    from bthcheck.report.page import render

    text = (folder / "records.json").read_text(encoding="utf-8")
    records = json.loads(text)
    start = time.process_time()
    render(records, folder)
    seconds = time.process_time() - start
    page = (folder / "index.html").read_text(encoding="utf-8")
    figures = [len(drawn.encode()) for drawn in re.findall(r'<svg id="figure-.*?</svg>', page, re.DOTALL)]
    return Report(
        claims=len(records["claims"]),
        page=len(page.encode()),
        records=len(text.encode()),
        figures=sum(figures),
        largest=max(figures, default=0),
        render=seconds,
    )
