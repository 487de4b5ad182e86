"""What differs between two snapshots, one of which is often the record: first what was asked for, then what came out.

Three rings, each with all that is within it: ``verdicts`` are the words; ``numbers`` asks of every finding whether both could
come from one setup, with all tests of a session together at `FALSE_ALARM`, and whether the configuration is the same; ``bits``
asks whether runs of one environment are equal to the last bit.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bthcheck.evidence.agreement import Agreement, same_dispersion, same_looseness, same_numbers, same_rate
from bthcheck.evidence.beginning import same_beginning
from bthcheck.evidence.findings import CONDITION
from bthcheck.report.experiments import differences
from bthcheck.report.snapshot import RINGS, Snapshot

FALSE_ALARM = 0.01
"""How often a session in which nothing has changed may say that numbers have, all its tests together."""
_BY_ROUNDING = ("stacked",)  # engines whose runs depend on their neighbours by rounding
_OF_RUNS = ("name", "levels", "seeds")  # what tells the runs of an experiment apart, and is no setting of theirs
_RATE, _DISPERSION = "exact binomial test", "χ² test of a standard deviation"


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    kind : "configuration", "test" (the claim's own code), "verdict", "numbers" or "bits"
    sentence : what it is and what is on record
    alarm : the ring from which on it is a failure; None where it is only said
    """

    kind: str
    sentence: str
    alarm: str | None = None

    def fails(self, ring: str) -> bool:
        """Whether a session that checks this ring fails for it."""
        return self.alarm is not None and RINGS.index(self.alarm) <= RINGS.index(ring)


@dataclass(frozen=True)
class Pair:
    """A finding of two snapshots; one of them is None where only one has it. `agreement` is None where nothing was compared."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class ClaimComparison:
    """A claim in two snapshots, `before` and `after`; one of them is None where only one has it."""

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    changes: tuple[Change, ...]
    pairs: tuple[Pair, ...]


def compare_claim(id: str, before: Snapshot, after: Snapshot, level: float) -> ClaimComparison:
    """Compare a claim that both snapshots have.

    Parameters
    ----------
    before : what is on record
    level : of every test of numbers
    """
    old, new = before["claims"][id], after["claims"][id]
    trained = [experiments_of(kept, id) for kept in (before, after)]
    pairs = tuple(_compared(old, new, level))
    changes = (
        *_configuration(*trained),
        *_test(old, new),
        *_verdict(old, new),
        *_beginning(trained[0], trained[1], level),
        *(Change("numbers", pair.agreement.sentence, "numbers") for pair in pairs if pair.agreement and pair.agreement.differs),
        *_bits(*trained),
    )
    return ClaimComparison(id, old, new, changes, pairs)


def experiments_of(kept: Snapshot, id: str) -> list[dict[str, Any]]:
    """Return the experiments that a claim of a snapshot is about, as far as it has them."""
    names = kept["claims"][id].get("experiments", [])
    return [kept["experiments"][name] for name in names if name in kept["experiments"]]


def level_of(snapshot: Snapshot) -> float:
    """Return the level of each test of numbers against this record: `FALSE_ALARM` divided by how many there may be."""
    tests = sum(testable(finding) for claim in snapshot["claims"].values() for finding in claim.get("findings", []))
    return FALSE_ALARM / max(1, tests + sum("beginning" in entry for entry in snapshot["experiments"].values()))


def testable(finding: dict[str, Any]) -> bool:
    """Whether a finding has what a test of its numbers needs."""
    return "table" in finding or finding["test"] in (_RATE, _DISPERSION)


def matched(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    """Pair experiments: the same ones, then those of one name that differ the least; None stands for no partner."""
    rest, left = list(before), list[dict[str, Any]]()
    pairs = list[tuple[Any, Any]]()
    for entry in after:
        same = next((other for other in rest if other["configuration"] == entry["configuration"]), None)
        if same is None:
            left.append(entry)
        else:
            rest.remove(same)
            pairs.append((same, entry))
    for entry in left:
        named = [other for other in rest if other["name"] == entry["name"]]
        nearest = min(named, key=lambda o: len(differences(o["configuration"], entry["configuration"])), default=None)
        if nearest is not None:
            rest.remove(nearest)
        pairs.append((nearest, entry))
    return [*pairs, *((other, None) for other in rest)]


def _configuration(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[Change]:
    if not before:  # a record without experiments says nothing of them
        return
    for old, new in matched(before, after):
        if old is None:
            yield Change("configuration", f"{new['name']} is trained as well, which is not on record", "numbers")
        elif new is None:
            yield Change("configuration", f"{old['name']} is on record, and not trained any more", "numbers")
        else:
            parts = differences(old["configuration"], new["configuration"])
            if parts:
                yield Change("configuration", f"{new['name']}: {'; '.join(parts)}", "numbers")


def _beginning(before: list[dict[str, Any]], after: list[dict[str, Any]], level: float) -> Iterator[Change]:
    """What cannot be explained by another configuration, which is said already."""
    for old, new in matched(before, after):
        if old is None or new is None or differences(old["configuration"], new["configuration"]):
            continue
        if "beginning" in old and "beginning" in new:
            found = same_beginning(old["beginning"], new["beginning"], level=level, experiment=new["name"])
            if found.differs:
                yield Change("numbers", found.sentence, "numbers")


def _test(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """What has changed in the test itself: not a failure, but the reason why other things may differ."""
    if not old.get("code") or not new.get("code"):
        return
    parts = [f"{name} {new[name]!r}, on record {old[name]!r}" for name in ("kind", "scope") if old.get(name) != new.get(name)
             and old.get(name) and new.get(name)]  # fmt: skip
    was, now = old.get("constants", {}), new.get("constants", {})
    parts += [f"{name} {now[name]}, on record {was[name]}" for name in sorted(set(was) & set(now)) if was[name] != now[name]]
    parts += [f"{name} {now[name]} is new" for name in sorted(set(now) - set(was))]
    parts += [f"{name} {was[name]} is gone" for name in sorted(set(was) - set(now))]
    for first, second in _findings(old, new):
        if first is None or second is None:
            word = "is not tested any more" if second is None else "is tested as well"
            parts.append(f"“{(first or second or {})['quantity']}” {word}")
            continue
        for name, said in (("test", "the test"), ("expectation", "expected"), ("minimum_effect", "minimum effect"),
                           ("level", "level")):  # fmt: skip
            values = [_kind(entry[name]) if name == "test" else entry[name] for entry in (second, first) if entry.get(name)]
            if len(values) == 2 and values[0] != values[1]:
                parts.append(f"“{first['quantity']}”: {said} {values[0]}, on record {values[1]}")
    if not parts and old["code"] != new["code"]:
        parts = ["its code"]
    if parts:
        yield Change("test", f"the test itself has changed since: {'; '.join(parts)}")


def _verdict(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    if old["verdict"] != new["verdict"]:
        better = new["verdict"] == "supported"
        yield Change("verdict", f"{new['verdict']}, on record {old['verdict']}", None if better else "verdicts")


def _bits(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[Change]:
    for old, new in matched(before, after):
        if old is None or new is None or not bits_comparable(old, new):
            continue
        was, now = _by_run(old), _by_run(new)
        common = [run for run in now if run in was]
        other = [run for run in common if was[run] != now[run]]
        if other:
            (level, seed), vary = other[0], new["configuration"]["vary"]
            where = f"{len(other)} of {len(common)} runs have other bits, the first at {vary} {level}, seed {seed}"
            yield Change("bits", f"{new['name']}: {where}", "bits")


def bits_comparable(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether runs of two experiments ought to agree to the last bit: same settings, machine and engine, but for rounding."""
    settings = [{name: value for name, value in entry["configuration"].items() if name not in _OF_RUNS} for entry in (old, new)]
    same = settings[0] == settings[1] and all(old.get(name) == new.get(name) for name in ("environment", "engine", "device"))
    return same and bool(old.get("environment")) and new.get("engine") not in _BY_ROUNDING


def _by_run(entry: dict[str, Any]) -> dict[tuple[str, Any], str]:
    seeds = entry["configuration"].get("seeds", [])
    return {(level, seed): digest for level, runs in entry.get("runs", {}).items() for seed, digest in zip(seeds, runs,
            strict=False)}  # fmt: skip


def _compared(old: dict[str, Any], new: dict[str, Any], level: float) -> Iterator[Pair]:
    for first, second in _findings(old, new):
        if first is None or second is None or _kind(first["test"]) != _kind(second["test"]):
            yield Pair(first, second)
        else:
            yield Pair(first, second, _agreement(first, second, level))


def _agreement(old: dict[str, Any], new: dict[str, Any], level: float) -> Agreement | None:
    quantity = new["quantity"]
    if "table" in old and "table" in new:
        return same_numbers(old["table"], new["table"], level=level, quantity=quantity)
    if old.get("test") == _RATE and "statistic" in old and "statistic" in new:
        counts = [round(old["statistic"][1]), old["cases"], round(new["statistic"][1]), new["cases"]]
        return same_rate(*counts, level=level, quantity=quantity)
    if old.get("test") == _DISPERSION and "effect" in old and "effect" in new:
        deviations = (old["effect"], old["cases"], new["effect"], new["cases"])
        return same_dispersion(*deviations, level=level, quantity=quantity)
    if "spread" in old and old["test"] != CONDITION:
        return same_looseness(tuple(old["spread"]), new.get("effect", math.nan), quantity=quantity)
    return None


def _findings(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Yield findings of the same quantity together, in the order of the new ones; those without a partner beside None."""
    left = list(old.get("findings", []))
    if not left or not new.get("findings"):  # one is of words alone
        return
    for finding in new.get("findings", []):
        partner = next((other for other in left if other["quantity"] == finding["quantity"]), None)
        if partner is not None:
            left.remove(partner)
        yield partner, finding
    yield from ((other, None) for other in left)


def _kind(test: str) -> str:
    """Return the name of a test without how its p was computed, which is chosen by the number of seeds."""
    return test.partition(",")[0]


def sentences(changes: Iterable[Change]) -> list[str]:
    """Return what to say of changes."""
    return [change.sentence for change in changes]


@dataclass(frozen=True)
class ExperimentComparison:
    """An experiment in two snapshots; one of them is None where only one has it.

    differences : of its fields, in plain words
    equal_runs : how many runs have the same bits, of how many that could; None where they need not
    """

    before: dict[str, Any] | None
    after: dict[str, Any] | None
    differences: tuple[str, ...]
    equal_runs: tuple[int, int] | None


@dataclass(frozen=True)
class Comparison:
    """Two snapshots side by side.

    claims : those that both have, then those of one alone; by id
    level : of every test of numbers
    tests : how many tests of numbers share `FALSE_ALARM`
    """

    before: Snapshot
    after: Snapshot
    claims: tuple[ClaimComparison, ...]
    experiments: tuple[ExperimentComparison, ...]
    level: float
    tests: int

    def fails(self, ring: str) -> bool:
        """Whether anything differs that a session which checks this ring fails for."""
        return any(change.fails(ring) for claim in self.claims for change in claim.changes)


def compare(before: Snapshot, after: Snapshot, *, level: float | None = None) -> Comparison:
    """Compare two snapshots: what both have is compared, what one has alone is listed and is no failure.

    Parameters
    ----------
    level : of every test of numbers; if None, as many share `FALSE_ALARM` as there are findings in both that have numbers
    """
    common = sorted(set(before["claims"]) & set(after["claims"]))
    if level is None:
        shared = {id: before["claims"][id] for id in common}
        level = level_of({"claims": shared, "experiments": before["experiments"], "environments": {}})
    claims = [compare_claim(id, before, after, level) for id in common]
    for id in sorted(set(before["claims"]) ^ set(after["claims"])):
        claims.append(ClaimComparison(id, before["claims"].get(id), after["claims"].get(id), (), ()))
    pairs = matched(list(before["experiments"].values()), list(after["experiments"].values()))
    tests = sum(pair.agreement is not None and pair.agreement.p is not None for claim in claims for pair in claim.pairs)
    return Comparison(before, after, tuple(claims), tuple(_side_by_side(*pair) for pair in pairs), level, tests)


def _side_by_side(old: dict[str, Any] | None, new: dict[str, Any] | None) -> ExperimentComparison:
    if old is None or new is None:
        return ExperimentComparison(old, new, (), None)
    parts = tuple(differences(old["configuration"], new["configuration"]))
    if not bits_comparable(old, new):
        return ExperimentComparison(old, new, parts, None)
    was, now = _by_run(old), _by_run(new)
    common = [run for run in now if run in was]
    return ExperimentComparison(old, new, parts, (sum(was[run] == now[run] for run in common), len(common)))
