"""What a comparison with the record notices: ``python -m bthcheck.benchmark.changes``, a part of it ``tox run -e changes``.

Sessions of pytest on copies of the package — one unchanged, one with each change of `alterations.py`, and some reruns that are
honest — are compared with the unchanged one. `numbers` has to notice every change and no honest rerun.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from bthcheck.benchmark.alterations import CHANGES, COSTS, HONEST, PACKAGE, Trial, copy
from bthcheck.evidence.agreement import Agreement
from bthcheck.files import write_whole
from bthcheck.report.comparison import FALSE_ALARM, compare_claim
from bthcheck.report.environment import describe
from bthcheck.report.snapshot import snapshot

TESTS_ON_RECORD = 120
"""At least as many as a session of all claims has; a session of some claims is judged at the level of one of all."""
LEVEL = FALSE_ALARM / TESTS_ON_RECORD
_DEADLINE_SECONDS = 3600
_KINDS = ("configuration", "verdict", "numbers", "bits")
_REPLACED = "<!-- {name}: written by {by} -->\n{text}<!-- end of {name} -->"


@dataclass(frozen=True)
class Noticed:
    """What each ring noticed of a trial.

    configuration, verdicts, numbers, bits : ids of the claims that differ in it; bits are any digit
    alarms : those for which a session that checks numbers fails, with verdicts but without the configuration, which is said
    beginnings, findings : those of `numbers` for the beginning of an experiment, and for a finding
    claims : ids of all that were compared
    sentence : what `numbers` says of the clearest difference; empty if there is none
    tests, smallest : how many tests there were, and the smallest p
    """

    configuration: list[str]
    verdicts: list[str]
    numbers: list[str]
    alarms: list[str]
    beginnings: list[str]
    findings: list[str]
    bits: list[str]
    claims: list[str]
    sentence: str
    tests: int
    smallest: float


def noticed(recorded: dict[str, Any], new: dict[str, Any]) -> Noticed:
    """Compare the records of a session with those of an unchanged one, claim by claim."""
    before, after = snapshot(recorded), snapshot(new)
    compared = [compare_claim(id, before, after, LEVEL) for id in after["claims"] if id in before["claims"]]
    found = {one.id: [pair.agreement for pair in one.pairs if pair.agreement is not None] for one in compared}
    agreements = [agreement for several in found.values() for agreement in several]
    ps = [agreement.p for agreement in agreements if agreement.p is not None]
    said = [agreement.sentence for agreement in sorted(agreements, key=_p) if agreement.differs]
    begun = {
        one.id: [change.sentence for change in one.changes if change.kind == "numbers" and change.sentence not in said]
        for one in compared
    }
    said += [sentence for sentences in begun.values() for sentence in sentences]
    of = {kind: [one.id for one in compared if any(change.kind == kind for change in one.changes)] for kind in _KINDS}
    return Noticed(
        configuration=of["configuration"],
        verdicts=of["verdict"],
        numbers=of["numbers"],
        alarms=[one.id for one in compared if any(c.kind != "configuration" and c.fails("numbers") for c in one.changes)],
        beginnings=[id for id, sentences in begun.items() if sentences],
        findings=[id for id, several in found.items() if any(agreement.differs for agreement in several)],
        bits=[one.id for one in compared if one.id in of["bits"] or _digits(one.before) != _digits(one.after)],
        claims=[one.id for one in compared],
        sentence=said[0] if said else "",
        tests=len(ps),
        smallest=min(ps, default=1.0),
    )


def _p(agreement: Agreement) -> float:
    return 1.0 if agreement.p is None else agreement.p


def _digits(claim: dict[str, Any] | None) -> Any:
    """What of a claim is the same where every digit is, also of what was trained step by step."""
    names = ("quantity", "table", "statistic", "effect", "cases", "spread")
    return [[finding.get(name) for name in names] for finding in (claim or {}).get("findings", [])]


def _matched(old: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the findings of a claim that are of the same quantity."""
    known = {finding["quantity"]: finding for finding in old["findings"]}
    yield from ((known[f["quantity"]], f) for f in now["findings"] if f["quantity"] in known)


def moves(recorded: dict[str, Any], new: dict[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (claim, quantity) → how far runs moved, in units of the spread between seeds: the median, and the largest mean
    over the seeds at any level. Seeds that are not common to both are left out.
    """
    known = {row["claim"]["id"]: row for row in recorded["claims"]}
    found = {}
    for row in new["claims"]:
        for old, now in _matched(known[row["claim"]["id"]], row):
            if not old["table"] or not now["table"] or any(" at " in column for column in old["table"]["columns"]):
                continue
            tables = [dict(zip(one["table"]["rows"], one["table"]["values"], strict=True)) for one in (old, now)]
            common = [seed for seed in tables[0] if seed in tables[1]]
            if len(common) < 2:
                continue
            one, other = (np.array([table[seed] for seed in common], float) for table in tables)
            moved = (other - one) / one.std(axis=0, ddof=1)
            found[row["claim"]["id"], now["quantity"]] = (
                float(np.nanmedian(np.abs(moved))),
                float(np.nanmax(np.abs(moved.mean(axis=0)))),
            )
    return found


def session(folder: Path, trial: Trial, claims: Sequence[str], cache: Path) -> dict[str, Any]:
    """Run claims on a copy of the package with a trial's change in it and return the records of that session.

    Raises
    ------
    RuntimeError
        If there are none.
    """
    copy(folder, trial.edits)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"NUMBA_CACHE_DIR": environment.get("NUMBA_CACHE_DIR") or str(folder.parent / "numba"), **trial.environment}
    command = [sys.executable, "-m", "pytest", "-p", "bthcheck.pytest_plugin", "-p", "no:cacheprovider", "-q"]
    command += ["--results-dir", "results", "--cache-dir", str(cache), *trial.options, *claims]
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False
    )
    path = folder / "results" / "records.json"
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"claims": []}
    lost = [row["claim"]["id"] for row in records["claims"] if row["verdict"] is None]
    if process.returncode not in (0, 1) or lost or not records["claims"]:
        raise RuntimeError(f"the session “{trial.name}” gave no verdict:\n{process.stdout[-3000:]}{process.stderr[-3000:]}")
    return records


def judged(trials: Sequence[tuple[Trial, Noticed]]) -> list[str]:
    """Return a sentence on every change that `numbers` missed, that changed nothing, and on every honest rerun noticed."""
    problems = []
    for trial, result in trials:
        if trial in HONEST and result.alarms:
            problems.append(f"false alarm on “{trial.name}” by {', '.join(result.alarms)}: {result.sentence}")
        if trial in CHANGES and not result.bits:
            problems.append(f"“{trial.name}” changes no number: nothing was tried")
        elif trial in CHANGES and not result.alarms:
            problems.append(f"“{trial.name}” is missed by numbers, the smallest p is {result.smallest:.2g}")
    return problems


def table(trials: Sequence[tuple[Trial, Noticed]]) -> str:
    """Return the table trial × ring as Markdown."""
    lines = ["| session | configuration | verdicts | beginning | findings | bits | what `numbers` says, the clearest first |"]
    lines.append("|---|---|---|---|---|---|---|")
    for trial, result in trials:
        cells = ["yes" if result.configuration else "–", _count(result.verdicts, result)]
        cells += ["yes" if result.beginnings else "–", _count(result.findings, result)]
        cells.append(f"{len(result.bits)} of {len(result.claims)}")
        says = result.sentence or f"{result.tests} tests, the smallest p is {result.smallest:.2g}"
        lines.append(f"| {trial.name} | {' | '.join(cells)} | {says} |")
    return "\n".join(lines) + "\n"


def _count(names: list[str], of: Noticed) -> str:
    return ("all" if len(names) == len(of.claims) > 1 else ", ".join(names)) or "–"


def chaos(measured: dict[str, dict[tuple[str, str], tuple[float, float]]]) -> str:
    """Return the table quantity × honest rerun as Markdown: how far runs moved, as `moves` has it."""
    names = list(measured)
    lines = [f"| claim, quantity | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for key in dict.fromkeys(key for one in measured.values() for key in one):
        cells = [f"{one[key][0]:.1g}, {one[key][1]:.1g}" if key in one else "" for one in measured.values()]
        lines.append(f"| {key[0]}, {key[1]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def replaced(page: str, name: str, text: str, by: str = "python -m bthcheck.benchmark.changes") -> str:
    """Return a page with the part called `name` written anew, between comments that say what it is written `by`.

    Raises
    ------
    ValueError
        If the page does not have that part once.
    """
    start, end = (re.escape(part) for part in _REPLACED.format(name=name, by=by, text="\0").split("\0"))
    pattern = re.compile(f"{start}.*?{end}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page must have the part “{name}” once, between the comments that begin and end it")
    return pattern.sub(lambda _: _REPLACED.format(name=name, by=by, text=text), page)


def chosen(small: bool) -> list[tuple[Trial, tuple[str, ...]]]:
    """Return the trials of a run and the claims of each, the unchanged session first, with all claims that any of them has."""
    trials = [(trial, trial.cheapest if small else trial.claims) for trial in (*CHANGES, *HONEST)]
    trials = [(trial, claims) for trial, claims in trials if claims]
    return [(Trial("unchanged"), tuple(dict.fromkeys(claim for _, claims in trials for claim in claims))), *trials]


def report(small: bool, page: Path | None = None, kept: Path | None = None) -> list[str]:
    """Try everything, printing as it goes, and return what is wrong; write the tables into a page, if one is named.

    Parameters
    ----------
    kept : a folder for the records of every session; those that are there already are read and not made again
    """
    facts = describe(PACKAGE.parent)
    click.echo(f"{facts['processor']}; Python {facts['Python']}, torch {facts['torch']}, numba {facts['numba']}")
    trials = chosen(small)
    costs = [sum(COSTS[claim] for claim in claims) for _, claims in trials]
    results: list[tuple[Trial, Noticed]] = []
    measured = {}
    spent, done = 0.0, 0.0  # of sessions that were made
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root = Path(name)
        unchanged: dict[str, Any] = {}
        for number, (trial, claims) in enumerate(trials):
            began = time.perf_counter()
            folder = root / str(number)
            path = (kept or root) / f"{_file_name(trial.name)}.json"
            if path.exists():
                done -= costs[number]
                records = json.loads(path.read_text(encoding="utf-8"))
            else:
                records = session(folder, trial, claims, root / "runs" if not trial.edits else folder / "runs")
                write_whole(path, json.dumps(records, indent=1))
            unchanged = unchanged or records
            result = noticed(unchanged, records)
            if number:
                results.append((trial, result))
            if trial in HONEST and (found := moves(unchanged, records)):
                measured[trial.name] = found
            spent, done = spent + time.perf_counter() - began, done + costs[number]
            left = spent / done * sum(costs[number + 1 :]) if done else 0.0
            rings = f"verdicts {len(result.verdicts)}, numbers {len(result.numbers)}, bits {len(result.bits)}"
            click.echo(
                f"{number + 1} of {len(trials)}, {trial.name}: {time.perf_counter() - began:.0f} s; {rings}"
                f" of {len(result.claims)} claims; about {left / 60:.0f} min left"
            )
    for trial, result in results:
        click.echo(f"{trial.name}\n    {result.sentence or f'{result.tests} tests, the smallest p is {result.smallest:.2g}'}")
    if page is not None:
        text = page.read_text(encoding="utf-8")
        parts = {
            "changes": table([one for one in results if one[0] in CHANGES]),
            "honest reruns": table([one for one in results if one[0] in HONEST]),
            "chaos": chaos(measured),
            "machine": f"{facts['processor']}; Python {facts['Python']}, torch {facts['torch']}, numba {facts['numba']}.\n",
        }
        for part, written in parts.items():
            text = replaced(text, part, written)
        page.write_text(text, encoding="utf-8")
    return judged(results)


def _file_name(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")


@click.command()
@click.option("--ci", "small", is_flag=True, help="Each change on the cheapest experiment that it touches, some honest reruns.")
@click.option(
    "--write",
    "page",
    type=click.Path(exists=True, dir_okay=False, writable=True, path_type=Path),
    help="A page, such as docs/explanation/noticing.md, in which to write the tables anew.",
)
@click.option(
    "--records",
    "kept",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="A folder to keep the records of every session in. Those that are there are not made again.",
)
def main(small: bool, page: Path | None, kept: Path | None) -> None:
    """Measure which changes a comparison with the record notices, and its false alarms; end with 1 where it is wrong.

    Example: python -m bthcheck.benchmark.changes --ci
    """
    if not (PACKAGE.parent / "claims").is_dir():
        raise click.ClickException("the claims are not beside the package: this needs a checkout")
    problems = report(small, page, kept)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo("every change is noticed, and no honest rerun is")


if __name__ == "__main__":
    main()
