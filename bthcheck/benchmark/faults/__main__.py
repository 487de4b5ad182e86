"""``python -m bthcheck.benchmark.faults``: the table of docs/explanation/reliability.md, by seeded trials."""

import argparse
import platform
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bthcheck.benchmark.faults import kills, situations
from bthcheck.benchmark.faults.damage import Entries, kinds
from bthcheck.benchmark.faults.kills import Trial
from bthcheck.benchmark.faults.sessions import Place
from bthcheck.report.environment import describe

HEADER = ("fault", "trials", "lost", "wrong", "left behind", "unsaid")
CHANGES = 60
"""How often an entry is changed in each way, for every trial of the others."""


def row(name: str, found: list[Trial]) -> str:
    """Return a row of the table, as Markdown: trials in which the fault struck, and sums over them."""
    struck = [trial for trial in found if trial.struck]
    sums = [sum(getattr(trial, what) for trial in struck) for what in ("lost", "wrong", "left")]
    cells = [name, len(struck), *sums, sum(trial.unsaid != "" for trial in struck)]
    return f"| {' | '.join(map(str, cells))} |"


def changed(kind: str, seeds: range, entries: Entries) -> list[Trial]:
    """Return the trials of changing an entry in one way."""
    outcomes = [entries.outcome(kind, seed) for seed in seeds]
    return [Trial(wrong=outcome == "wrong", unsaid=outcome * (outcome == "unsaid")) for outcome in outcomes]


def _ended(kind: kills.Kind, reference: Place, seed: int) -> Trial:
    return kills.trial(kind, seed, reference)


def _situated(name: str, reference: Place, seed: int) -> Trial:
    return situations.trial(name, seed, reference)


def rows(trials: int, seed: int, only: str) -> Iterator[tuple[str, list[Trial]]]:
    """Yield the name and the trials of each fault whose name has `only` in it, and print how much time is left."""
    seeds = range(seed, seed + trials)
    reference = kills.undisturbed()
    work = [(kind.name, partial(_ended, kind, reference)) for kind in kills.KINDS]
    work += [(name, partial(_situated, name, reference)) for name in situations.SITUATIONS]
    work = [(name, attempt) for name, attempt in work if only in name]
    started, done = time.monotonic(), 0
    try:
        for name, attempt in work:
            found = []
            for number in seeds:
                try:
                    found.append(attempt(number))
                except situations.Impossible as error:
                    print(f"{name} is not tried: {error}", flush=True)
                    break
                done += 1
                left = (time.monotonic() - started) / done * (len(work) * trials - done)
                print(f"{done} of {len(work) * trials}, {left / 60:.0f} min left: {name} {found[-1].unsaid}", flush=True)
            if found:
                yield name, found
    finally:
        shutil.rmtree(reference.folder.parent, ignore_errors=True)
    with TemporaryDirectory() as folder:
        entries = Entries(Path(folder))
        for kind in kinds():
            if only in (name := f"entry {kind}"):
                yield name, changed(kind, range(seed * CHANGES, (seed + trials) * CHANGES), entries)


def main() -> int:
    """Print the table; end with 1 if anything was lost, wrong, left behind or unsaid."""
    parser = argparse.ArgumentParser(prog="python -m bthcheck.benchmark.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=5, help="how often each fault strikes (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="what the moments are drawn from (default: 0)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only faults whose name has this in it")
    chosen = parser.parse_args()
    if chosen.trials < 1 or chosen.seed < 0:
        parser.error("--trials must be at least 1 and --seed at least 0")
    table, failed = [f"| {' | '.join(HEADER)} |", "|---" * len(HEADER) + "|"], False
    for name, found in rows(chosen.trials, chosen.seed, chosen.only):
        table.append(row(name, found))
        failed |= any(trial.lost or trial.wrong or trial.left or trial.unsaid for trial in found)
    facts = describe(Path(__file__).parents[3])
    print(f"\n{facts['processor']}; Python {platform.python_version()}, torch {facts['torch']}")
    print(f"{chosen.trials} trials from seed {chosen.seed}\n")
    print("\n".join(table))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
