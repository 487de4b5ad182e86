"""Draw the figures of docs/how-to/scale.md, and write its tables, from scale.json: ``python docs/figures/scale_figures.py``.

With ``--measure`` the numbers are measured first, which takes minutes on two idle cores; with ``--full`` too, much longer.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from bthcheck.benchmark import durations, growth, lookups, report_size, scheduling
from bthcheck.benchmark.changes import replaced
from bthcheck.benchmark.scheduling import RUNS, WORKERS, Costs
from bthcheck.figures.style import legend, save, style
from bthcheck.files import write_whole
from bthcheck.report.environment import describe

FOLDER = Path(__file__).parent
NUMBERS, PAGE = FOLDER / "scale.json", FOLDER.parent / "how-to" / "scale.md"
GROWTH, SCHEDULES = FOLDER / "scale-growth.svg", FOLDER / "scale-schedules.svg"
ENTRIES = (1000, 5000, 20_000)
STEPS = 1_000_000
"""Of a run of the paper's CIFAR experiment."""
STEP_SECONDS = {
    "core of an AMD EPYC with AVX2": (0.73e-3, 1),
    "one NVIDIA H100 80GB HBM3": (0.596e-3, 32),
}
"""Machine → measured seconds of a step of the paper's CNN with all statistics, and how many runs make it side by side."""
COLORS = {32: "#2a7f62", 320: "#c97b12", 3200: "#8e3b8f"}
_COMMAND = "python docs/figures/scale_figures.py"


def measure(full: bool) -> dict[str, Any]:
    """Measure everything, and say it as it comes."""
    found: dict[str, Any] = {"processor": describe(FOLDER.parents[1])["processor"], "growth": growth.report(full)}
    found["lookups"] = {}
    for entries in ENTRIES:
        found["lookups"][str(entries)] = lookups.measured(entries)
        print(f"{entries} entries: {found['lookups'][str(entries)]}", flush=True)
    found["reports"] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, session in enumerate((*report_size.DEFAULT, *(report_size.FULL if full else ()))):
            report = report_size.measured(session, Path(folder) / f"report-{number}")
            found["reports"].append({"session": asdict(session), "report": asdict(report)})
            print(f"{session}: {report}", flush=True)
    found["costs"] = durations.costs()._asdict()
    found["runs"] = durations.of_runs(64, 100)._asdict()
    return found


def draw_growth(found: dict[str, Any], path: Path = GROWTH) -> None:
    """Draw time and memory against every size, with the fitted and the expected power."""
    with style():
        figure = Figure(figsize=(9, 8.4))
        figure.subplots_adjust(left=0.07, right=0.99, bottom=0.06, top=0.95, hspace=0.5, wspace=0.3)
        grid = figure.subplots(3, 3).ravel()
        for axes, axis in zip(grid, growth.AXES, strict=False):
            points = [growth.Point(**point) for point in found["growth"][axis.name]]
            sizes = [point.size for point in points]
            _power(axes, sizes, [point.seconds for point in points], "#2a7f62", "s", growth.of_time(points), axis.time)
            megabytes = [point.bytes / 1e6 * (point.bytes > growth.NOISE_BYTES) for point in points]
            if sum(value > 0 for value in megabytes) > 1:
                _power(axes, sizes, megabytes, "#8e3b8f", "MB", growth.of_memory(points), axis.memory)
            axes.set_title(axis.name, fontsize=9)
        _lookups(grid[-2], found)
        _reports(grid[-1], found)
        save(figure, path)


def _power(
    axes: Axes, sizes: Sequence[float], costs: Sequence[float], color: str, unit: str, fitted: float, expected: float | None
) -> None:
    """Draw costs on logarithmic axes, and from the first of them a dotted line of the expected power."""
    known = [(size, cost) for size, cost in zip(sizes, costs, strict=True) if cost > 0]
    x, y = np.transpose(known)
    axes.plot(x, y, "o-", color=color, markersize=3, linewidth=1.2, label=f"{unit}, power {fitted:.2f}")
    if expected is not None:
        axes.plot(x, y[0] * (x / x[0]) ** expected, ":", color=color, linewidth=1)
    _logarithmic(axes, sizes)


def _logarithmic(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks], fontsize=7)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="both", labelsize=7)
    legend(axes)


def _lookups(axes: Axes, found: dict[str, Any]) -> None:
    entries = [int(count) for count in found["lookups"]]
    for name, color in zip(
        (*lookups.LINEAR[1:], *lookups.CONSTANT), ("#8e3b8f", "#c97b12", "0.6", "#2a7f62", "#31688e"), strict=True
    ):
        times = [found["lookups"][str(count)][name] for count in entries]
        axes.plot(entries, times, "o-", color=color, markersize=3, linewidth=1.2, label=name)
    axes.set_title("entries of the cache: s", fontsize=9)
    _logarithmic(axes, entries)


def _reports(axes: Axes, found: dict[str, Any]) -> None:
    paper = [one for one in found["reports"] if one["session"]["levels"] is None]
    for files, color in ((report_size.TRENDS, "#2a7f62"), (report_size.ALL, "#8e3b8f")):
        some = [one for one in paper if tuple(one["session"]["files"]) == files]
        if some:
            seeds = [one["session"]["seeds"] for one in some]
            pages = [one["report"]["page"] / 1e6 for one in some]
            axes.plot(seeds, pages, "o-", color=color, markersize=3, label=f"{some[0]['report']['claims']} claims")
    axes.axhline(report_size.LARGEST / 1e6, color="0.3", linestyle=":", linewidth=1)
    axes.set_title("seeds: MB of the report", fontsize=9)
    axes.set(xscale="log", ylim=(0, 1.1 * report_size.LARGEST / 1e6))
    axes.tick_params(labelsize=7)
    legend(axes)


def times_of(found: dict[str, Any], runs: int, kind: str) -> np.ndarray:
    """Return (runs,) seconds that the paper's runs take on cores of the kind measured, "alone" or "shared".

    The latter are longer by as much as the measured ones were; what was measured is how much runs differ.
    """
    seconds, _ = next(iter(STEP_SECONDS.values()))
    slower = np.mean(found["runs"][kind]) / np.mean(found["runs"]["alone"])
    return scheduling.drawn(found["runs"][kind], STEPS * seconds * slower, runs)


def draw_schedules(found: dict[str, Any], path: Path = SCHEDULES) -> None:
    """Draw how long 32 to 3200 runs take on 1 to 1000 workers, with what none can be faster than."""
    costs = Costs(**found["costs"])
    with style():
        figure = Figure(figsize=(7, 4.2))
        figure.subplots_adjust(left=0.1, right=0.98, bottom=0.12, top=0.97)
        axes = figure.subplots()
        for runs in RUNS:
            for kind, line in (("alone", "-"), ("shared", "--")):
                times = times_of(found, runs, kind)
                ends = [seconds / 3600 for seconds in scheduling.curve(times, WORKERS, costs).values()]
                label = f"{runs} runs" if kind == "alone" else None
                axes.plot(WORKERS, ends, line, marker="o", color=COLORS[runs], markersize=3, linewidth=1.2, label=label)
            times = times_of(found, runs, "alone")
            bounds = [scheduling.bounds(times, workers, costs).larger / 3600 for workers in WORKERS]
            axes.plot(WORKERS, bounds, ":", color="0.2", linewidth=1, label="straggler or work" if runs == RUNS[-1] else None)
        axes.plot([], [], "--", color="0.4", label="on cores that others use, too")
        axes.set(xscale="log", yscale="log", xlabel="workers, one core each", ylabel="hours until all runs are finished")
        axes.set_xticks(list(WORKERS), [str(count) for count in WORKERS])
        axes.xaxis.set_minor_formatter(NullFormatter())
        legend(axes)
        save(figure, path)


def schedule_table(found: dict[str, Any]) -> str:
    """Return the rows of docs/how-to/scale.md on runs and workers."""
    costs = Costs(**found["costs"])
    counts = (1, 2, 8, 32, 100, 320, 1000)
    named = ["1 worker", *(f"{count}" for count in counts[1:])]
    lines = [f"| runs | {' | '.join(named)} | more than this many change nothing |"]
    lines.append("|---" * (len(counts) + 2) + "|")
    for runs in RUNS:
        for kind, said in (("alone", ""), ("shared", ", cores shared")):
            times = times_of(found, runs, kind)
            ends = [_hours(scheduling.finished(times, count, costs)) for count in counts]
            lines.append(f"| {runs}{said} | " + " | ".join(ends) + f" | {scheduling.useful(times, costs)} |")
    return "\n".join(lines) + "\n"


def growth_table(found: dict[str, Any]) -> str:
    """Return the rows of docs/how-to/scale.md on what grows how."""
    lines = ["| size | from, to | seconds | power | expected | MB | power | expected |", "|---" * 8 + "|"]
    for axis in growth.AXES:
        points = [growth.Point(**point) for point in found["growth"][axis.name]]
        first, last, memory = points[0], points[-1], growth.of_memory(points)
        cells = [axis.name, f"{first.size}, {last.size}"]
        cells += [f"{first.seconds:.2g}, {last.seconds:.3g}", f"{growth.of_time(points):.2f}", f"≤ {axis.time:g}"]
        cells += [f"{first.bytes / 1e6:.2g}, {last.bytes / 1e6:.3g}", "–" if np.isnan(memory) else f"{memory:.2f}"]
        cells += ["–" if axis.memory is None else f"≤ {axis.memory:g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def lookup_table(found: dict[str, Any]) -> str:
    """Return the rows of docs/how-to/scale.md on the cache."""
    names = (*lookups.CONSTANT, *lookups.LINEAR)
    lines = ["| entries | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for count, times in found["lookups"].items():
        cells = [_short(times[name]) for name in names]
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def report_table(found: dict[str, Any]) -> str:
    """Return the rows of docs/how-to/scale.md on the report."""
    lines = ["| claims | seeds | levels | index.html | of it figures | records.json | to make the page |", "|---" * 7 + "|"]
    for one in found["reports"]:
        session, report = one["session"], one["report"]
        lines.append(
            f"| {report['claims']} | {session['seeds']} | {session['levels'] or 4} | {report['page'] / 1e6:.2f} MB"
            f" | {report['figures'] / 1e6:.2f} MB | {report['records'] / 1e6:.2f} MB | {report['render']:.2f} s |"
        )
    return "\n".join(lines) + "\n"


def times_table(found: dict[str, Any]) -> str:
    """Return the rows of docs/how-to/scale.md on how long the paper's experiment takes where."""
    (core, (step, _)), (card, (together, side_by_side)) = STEP_SECONDS.items()
    times, costs = times_of(found, RUNS[0], "alone"), Costs(**found["costs"])
    lines = ["| where | 32 runs take |", "|---|---|"]
    for workers, who in ((1, ""), (2, ", a laptop"), (16, ", one machine or several"), (32, ", a core for every run")):
        core_s = core.replace("core", "cores", workers > 1)
        lines.append(f"| {workers} {core_s}{who} | {_hours(scheduling.finished(times, workers, costs))} |")
    rounds = -(-RUNS[0] // side_by_side)
    lines.append(f"| {card} | {_hours(rounds * together * STEPS)} |")
    said = f"A step takes {1e3 * step:.2f} ms on the former, and {1e3 * together:.3f} ms of 32 runs on the latter."
    return "\n".join([*lines, "", said]) + "\n"


def machine_line(found: dict[str, Any]) -> str:
    """Return the sentences on where all was measured."""
    spreads = []
    for kind in ("alone", "shared"):
        ratios = np.array(found["runs"][kind]) / np.mean(found["runs"][kind])
        spreads.append(f"{100 * ratios.std():.2g} % (the longest took {ratios.max():.2f} times the mean)")
    costs, runs = Costs(**found["costs"]), len(found["runs"]["alone"])
    slower = np.mean(found["runs"]["shared"]) / np.mean(found["runs"]["alone"])
    return (
        f"Measured on {found['processor']}, in seconds of the processor. {runs} runs of the paper's CNN had a standard"
        f" deviation of {spreads[0]}. By the clock, while others used the two cores too, they took {slower:.1f} times as long,"
        f" with one of {spreads[1]}. A worker needs {costs.start:.1f} s until its first run, and"
        f" {1e3 * costs.overhead:.0f} ms for every run beside its training.\n"
    )


TABLES = {
    "growth": growth_table, "cache": lookup_table, "report": report_table, "schedules": schedule_table, "machine": machine_line,
    "times": times_table,
}  # fmt: skip


def _hours(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.3g} h" if seconds < 100 * 3600 else f"{seconds / 86400:.3g} d"


def _short(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 0.1 else f"{1e3 * seconds:.2g} ms" if seconds >= 1e-4 else f"{1e6 * seconds:.2g} µs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure if that is asked for, then draw and write."""
    parser = argparse.ArgumentParser(description="Draw the figures of docs/how-to/scale.md and write its tables.")
    parser.add_argument("--measure", action="store_true", help="measure anew, and keep it in docs/figures/scale.json")
    parser.add_argument("--full", action="store_true", help="the large sizes too")
    options = parser.parse_args(arguments)
    if options.measure:
        write_whole(NUMBERS, json.dumps(measure(options.full), indent=1) + "\n")
    found = json.loads(NUMBERS.read_text(encoding="utf-8"))
    draw_growth(found)
    draw_schedules(found)
    page = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        page = replaced(page, name, table(found), by=_COMMAND)
    write_whole(PAGE, page)


if __name__ == "__main__":
    main()
