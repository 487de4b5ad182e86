"""What a session of attacks says of itself: an entry a claim, its sentence for the terminal, rows of tables for the page."""

from collections.abc import Mapping
from typing import Any

from bthcheck.report.numbers import number

WITHSTOOD, FALSIFIED, NOT_FOUND, INTERRUPTED = "withstood", "falsified", "not found", "interrupted"
Entry = Mapping[str, Any]


def status(entry: Entry) -> str:
    """Return what became of an attack: "withstood", "falsified", "not found" of what was to fall, or "interrupted"."""
    if entry["counterexample"] is not None:
        return FALSIFIED
    if not entry["ended"]:
        return INTERRUPTED
    return NOT_FOUND if entry["expected"] == "falls" else WITHSTOOD


def is_failure(entry: Entry) -> bool:
    """Whether a claim fell that was to withstand."""
    return bool(entry["counterexample"] is not None and entry["expected"] != "falls")


def sentence(entry: Entry) -> str:
    """Return the line of a claim: what became of it in how many examples and seconds."""
    tried = f"{entry['examples']} example{'s' * (entry['examples'] != 1)} in {entry['seconds']:.0f} s"
    found = entry["counterexample"]
    what = status(entry)
    if found is not None:
        told = "as it is to" if entry["expected"] == "falls" else "AND WAS TO WITHSTAND"
        where = f" ({found['file']})" if found.get("file") else ""
        return (
            f"{entry['claim']} falls, {told}: {entry['inequality']} is violated, {found['smaller']:.6g} >"
            f" {found['larger']:.6g}, after {tried}{where}"
        )
    if what == INTERRUPTED:
        return f"{entry['claim']} was interrupted, not falsified so far: {entry['inequality']}, {tried}"
    if what == NOT_FOUND:
        return f"{entry['claim']}: no counterexample to {entry['inequality']} was found this time, {tried}"
    return f"{entry['claim']} withstood {tried}: {entry['inequality']}"


def explored(entry: Entry) -> str:
    """Return the line of a trend whose order was tried in generated experiments."""
    count = entry["experiments"]
    text = (
        f"{entry['claim']} explored, no verdict: in {count} generated experiment{'s' * (count != 1)} ({entry['seconds']:.0f} s)"
        f" the order is reversed in {entry['reversed_fit']} of {entry['fit']} that are fit and in {entry['reversed_unfit']} of"
        f" {count - entry['fit']} that are not"
    )
    best = entry["strongest"]
    if best is None:
        return text
    word = "strongest reversal" if best["margin"] > 0 else "closest to one"
    return (
        f"{text}; {word} among the fit: frequencies {best['low']:g} and {best['high']:g}, depth {best['depth']}, width"
        f" {best['width']}, {best['points']} points, rate {best['learning_rate']:.3g}, {best['epochs']} epochs, seed"
        f" {best['seed']}: mean φ {best['phi'][0]:.3g} and {best['phi'][1]:.3g}"
    )


def lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a line and its colour for every entry, those that fell and were not to last."""
    rows = sorted(found["claims"], key=lambda entry: (is_failure(entry), status(entry) == NOT_FOUND))
    said = [(sentence(e), "red" if is_failure(e) else "yellow" if status(e) in (NOT_FOUND, INTERRUPTED) else "") for e in rows]
    return [*((explored(entry), "") for entry in found["explored"]), *said]


def summary(found: Mapping[str, Any]) -> str:
    """Return one sentence: how many claims withstood, fell, or were left."""
    entries = found["claims"]
    counts = {
        "withstood": sum(status(e) == WITHSTOOD for e in entries),
        "fell as expected": sum(status(e) == FALSIFIED and not is_failure(e) for e in entries),
        "FELL AND WAS TO WITHSTAND": sum(map(is_failure, entries)),
        "not found this time": sum(status(e) == NOT_FOUND for e in entries),
        "interrupted": sum(status(e) == INTERRUPTED for e in entries),
        "not attacked": found["planned"] - len(entries) - len(found["explored"]),
    }
    return "; ".join(f"{count} {name}" for name, count in counts.items() if count > 0) or "nothing was attacked"


def tightness(entries: list[Any]) -> list[list[str]]:
    """Return rows (claim, inequality, smallest ratio ever, smaller, larger, examples in all sessions)."""
    rows = []
    for entry in entries:
        best = entry["closest"]
        cells = ["none", "", ""] if best is None else [f"{best['ratio']:.9g}", number(best["smaller"]), number(best["larger"])]
        rows.append([entry["claim"], entry["inequality"], *cells, str(entry["all_examples"])])
    return rows
