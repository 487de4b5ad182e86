"""What of a comparison is shown, and in which order, as text: the terminal, the pages and the Markdown say the same.

First what differs, the most important first: verdicts, effects, the tests' own code, configurations, bits. Then all else.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bthcheck.report.comparison import FALSE_ALARM, Change, ClaimComparison, Comparison, ExperimentComparison, Pair
from bthcheck.report.experiments import identity, told_apart
from bthcheck.report.machines import Fact, side_by_side
from bthcheck.report.numbers import effect, p_value

DIFFERS, ALONE, AGREES, UNCOMPARED = "differs", "only one", "agrees", "not compared"
STATES = (DIFFERS, ALONE, AGREES, UNCOMPARED)
"""What may be said of a finding, in the order in which they are shown."""
AS_ON_RECORD, CHANGED, NEW = "as on record", "changed", "not on record"


@dataclass(frozen=True)
class Verdicts:
    """A claim whose verdict differs."""

    id: str
    statement: str
    before: str
    after: str
    fails: bool


@dataclass(frozen=True)
class Effect:
    """A finding of both, or of one.

    before, after : the effect with its interval, and `difference` the second less the first; empty where there is none
    p : of the comparison, empty where nothing was tested
    sentence : what the comparison says
    state : one of `STATES`
    unable : whether there are too few seeds or cases for any difference to be noticed
    """

    id: str
    quantity: str
    measure: str
    before: str
    after: str
    difference: str
    p: str
    sentence: str
    state: str
    unable: bool


@dataclass(frozen=True)
class Trained:
    """An experiment of both, or of one.

    parts : in what its configuration differs, in plain words
    bits : how many runs have the same bits, or why they need not
    other : how many runs have other bits and ought not
    """

    label: str
    parts: tuple[str, ...]
    bits: str
    other: int


@dataclass(frozen=True)
class Differences:
    """A comparison as it is shown.

    ring : what was compared, one of `bthcheck.report.snapshot.RINGS`
    fails : whether something differs that fails under it
    of_claims : id → what has changed in a claim that both have
    tests : id and sentence of each claim whose own code is another
    beginnings : what is to be said of experiments whose runs differ in their first epochs
    alone : id, verdict and whether it is new, of each claim that only one has
    facts : of the machines, those that differ first
    level, count : of each test of numbers, and how many share the false alarm
    notes : what could not be compared, and why
    """

    ring: str
    fails: bool
    of_claims: dict[str, tuple[Change, ...]]
    verdicts: tuple[Verdicts, ...]
    effects: tuple[Effect, ...]
    tests: tuple[tuple[str, str], ...]
    experiments: tuple[Trained, ...]
    beginnings: tuple[str, ...]
    alone: tuple[tuple[str, str, bool], ...]
    facts: tuple[Fact, ...]
    level: float
    count: int
    equal: tuple[int, int]
    notes: tuple[str, ...] = field(default=())

    @property
    def different(self) -> tuple[Effect, ...]:
        """The findings whose numbers differ, and those that only one has."""
        return tuple(row for row in self.effects if row.state in (DIFFERS, ALONE))

    @property
    def alike(self) -> tuple[Effect, ...]:
        """The findings whose numbers agree, or could not be compared."""
        return tuple(row for row in self.effects if row.state not in (DIFFERS, ALONE))

    @property
    def changed(self) -> tuple[str, ...]:
        """The ids of claims of which anything differs."""
        return tuple(id for id, changes in self.of_claims.items() if changes)

    @property
    def shared(self) -> int:
        """How many tests of numbers there may be at this level, if all together are to have the rate that is said."""
        return round(FALSE_ALARM / self.level)

    def headline(self) -> str:
        """Return one sentence: whether something differs, and in how many claims."""
        total, changed = len(self.of_claims), len(self.changed)
        failing = sum(map(self.counts, self.of_claims))
        if not total:
            return "There is no claim that both have"
        claims = "1 claim" if total == 1 else f"{total} claims"
        if not changed:
            beside = ", but experiments differ" if self.fails else ""
            return f"Nothing differs in {claims}{beside} (checked: {self.ring})"
        weight = str(failing) if failing else "none of them"
        fail = "fails" if failing <= 1 else "fail"
        return f"{changed} of {claims} {'differs' if changed == 1 else 'differ'}, and {weight} {fail} (checked: {self.ring})"

    def standing(self, id: str) -> str:
        """Return how a claim stands to the record in a word or two: `AS_ON_RECORD`, `NEW`, or what has changed of it."""
        if id not in self.of_claims:
            return NEW
        kinds = dict.fromkeys(change.kind for change in self.of_claims[id])
        return f"{CHANGED}: {', '.join(kinds)}" if kinds else AS_ON_RECORD

    def counts(self, id: str) -> bool:
        """Whether something has changed in a claim that fails."""
        return any(change.fails(self.ring) for change in self.of_claims.get(id, ()))


def differences_of(comparison: Comparison, ring: str, *, notes: Iterable[str] = ()) -> Differences:
    """Return what is shown of a comparison.

    Parameters
    ----------
    ring : one of `bthcheck.report.snapshot.RINGS`
    notes : what else could not be compared
    """
    both = [claim for claim in comparison.claims if claim.before is not None and claim.after is not None]
    effects = [row for claim in both for row in _effects(claim)]
    experiments = _experiments(comparison)
    loose = ring != "verdicts" and _unattributed(comparison) and any(entry.differences for entry in comparison.experiments)
    counted = [entry.equal_runs for entry in comparison.experiments if entry.equal_runs is not None]
    return Differences(
        ring=ring,
        fails=comparison.fails(ring) or loose,
        of_claims={claim.id: claim.changes for claim in both},
        verdicts=tuple(row for claim in both for row in _verdicts(claim, ring)),
        effects=tuple(sorted(effects, key=lambda row: STATES.index(row.state))),
        tests=tuple((claim.id, change.sentence) for claim in both for change in claim.changes if change.kind == "test"),
        experiments=tuple(experiments),
        beginnings=tuple(dict.fromkeys(sentence for claim in both for sentence in _beginnings(claim))),
        alone=tuple(
            (claim.id, (claim.before or claim.after or {})["verdict"], claim.before is None)
            for claim in comparison.claims
            if claim.before is None or claim.after is None
        ),
        facts=side_by_side(comparison.before, comparison.after),
        level=comparison.level,
        count=comparison.tests + sum(map(_begins, comparison.experiments)),
        equal=(sum(same for same, _ in counted), sum(total for _, total in counted)),
        notes=(*notes, *_uncompared(comparison, both)),
    )


def _verdicts(claim: ClaimComparison, ring: str) -> Iterable[Verdicts]:
    for change in claim.changes:
        if change.kind == "verdict" and claim.before and claim.after:
            statement = claim.after.get("statement") or claim.before.get("statement") or ""
            yield Verdicts(claim.id, statement, claim.before["verdict"], claim.after["verdict"], change.fails(ring))


def _beginnings(claim: ClaimComparison) -> Iterable[str]:
    """Return what is said of a claim's numbers that no finding has: those of its experiments' first epochs."""
    of_findings = {pair.agreement.sentence for pair in claim.pairs if pair.agreement is not None}
    return (change.sentence for change in claim.changes if change.kind == "numbers" and change.sentence not in of_findings)


def _begins(entry: ExperimentComparison) -> bool:
    """Whether the first epochs of an experiment were compared."""
    both = all(side is not None and "beginning" in side for side in (entry.before, entry.after))
    return both and not entry.differences


def _effects(claim: ClaimComparison) -> Iterable[Effect]:
    for pair in claim.pairs:
        old, new = pair.before or {}, pair.after or {}
        state, sentence = _state(pair)
        agreement = pair.agreement
        quantity = str(new.get("quantity", old.get("quantity", "")))
        yield Effect(
            id=claim.id,
            quantity=quantity,
            measure=str(new.get("effect_name") or old.get("effect_name") or ""),
            before=_effect(old),
            after=_effect(new),
            difference=_difference(old.get("effect"), new.get("effect")),
            p=p_value(None if agreement is None else agreement.p),
            sentence=sentence.removeprefix(f"{quantity}: "),  # beside which it stands
            state=state,
            unable=agreement is not None and not agreement.noticeable,
        )


def _state(pair: Pair) -> tuple[str, str]:
    if pair.before is None:
        return ALONE, "it is not on record"
    if pair.after is None:
        return ALONE, "it is on record, and not found any more"
    if pair.agreement is not None:
        return DIFFERS if pair.agreement.differs else AGREES, pair.agreement.sentence
    was, now = pair.before["test"], pair.after["test"]
    if was.partition(",")[0] != now.partition(",")[0]:
        return UNCOMPARED, f"the test is {now}, on record {was}"
    return UNCOMPARED, "it has no numbers that a test could compare"


def _effect(finding: dict[str, Any]) -> str:
    """Return an effect with its interval or, of an exact test, with its spread over cases."""
    if "interval" in finding and None in finding["interval"]:
        finding = {**finding, "interval": None}
    text = effect(finding)
    spread = finding.get("spread")
    if text and finding.get("interval") is None and spread and None not in spread:
        text += f" ({spread[0]:.3g} to {spread[1]:.3g})"
    return text


def _difference(before: float | None, after: float | None) -> str:
    if before is None or after is None or not math.isfinite(before) or not math.isfinite(after):
        return ""
    moved = after - before
    if abs(moved) <= 1e-9 * max(abs(before), abs(after)):  # the digits that are kept of a number
        return "0"
    return f"{moved:+.2g}"


def _experiments(comparison: Comparison) -> list[Trained]:
    entries = comparison.experiments
    named = [entry.after or entry.before or {} for entry in entries]
    found = [
        Trained(label, _parts(entry), *_bits(entry))
        for label, entry in zip(told_apart(named), entries, strict=True)
        if comparison.before["experiments"] and comparison.after["experiments"] and _concerns_both(entry, comparison)
    ]
    return sorted(found, key=lambda row: (not row.parts, not row.other))


def _concerns_both(entry: ExperimentComparison, comparison: Comparison) -> bool:
    """Whether an experiment is in both, or of a claim that is: those of a claim that only one has are no difference."""
    if entry.before is not None and entry.after is not None:
        return True
    side = comparison.after if entry.before is None else comparison.before
    name = identity((entry.before or entry.after or {})["configuration"])
    common = set(comparison.before["claims"]) & set(comparison.after["claims"])
    users = [id for id, claim in side["claims"].items() if name in claim.get("experiments", [])]
    return not users or any(id in common for id in users)


def _parts(entry: ExperimentComparison) -> tuple[str, ...]:
    if entry.before is None:
        return ("it is trained as well, which is not on record",)
    if entry.after is None:
        return ("it is on record, and not trained any more",)
    return entry.differences


def _bits(entry: ExperimentComparison) -> tuple[str, int]:
    """Return what to say of the bits of runs, and how many have others than they ought to."""
    old, new = entry.before, entry.after
    if old is None or new is None:
        return "", 0
    if entry.equal_runs is not None and entry.equal_runs[1]:
        same, total = entry.equal_runs
        return f"{same} of {total} runs have the same bits", total - same
    if not (old.get("runs") and new.get("runs")):
        return "no digests of runs", 0
    if entry.differences:
        return "need not be equal: another configuration", 0
    for name, word in (("environment", "another machine or other libraries"), ("engine", "another engine"),
                       ("device", "another device")):  # fmt: skip
        if old.get(name) != new.get(name):
            return f"need not be equal: {word}", 0
    return ("no runs in common" if entry.equal_runs is not None else f"need not be equal: engine {new['engine']}"), 0


def _unattributed(comparison: Comparison) -> bool:
    """Whether a side does not say which experiments its claims are about, so that no claim has changed if one of them has."""
    sides = (comparison.before, comparison.after)
    return any(side["experiments"] and not any(c.get("experiments") for c in side["claims"].values()) for side in sides)


def _uncompared(comparison: Comparison, both: list[ClaimComparison]) -> Iterable[str]:
    words = [claim.id for claim in both if claim.pairs == ()]
    if words:
        which = "all claims" if len(words) == len(both) > 1 else ", ".join(words)
        yield f"Only the words of {which} were compared: one side has no numbers of them"
    for name, side in (("what is on record", comparison.before), ("what is compared with it", comparison.after)):
        if not side["claims"] or not any(claim.get("findings") for claim in side["claims"].values()):
            continue
        if not any(claim.get("code") for claim in side["claims"].values()):
            yield f"Whether the tests themselves have changed is not known: {name} does not say what code they had"
        if side["experiments"] and not any(entry.get("runs") for entry in side["experiments"].values()):
            yield f"Bits were not compared: {name} has no digests of runs"
        if _unattributed(comparison) and side["experiments"] and not any(c.get("experiments") for c in side["claims"].values()):
            yield f"Which claims its experiments are about is not said by {name}: a difference of any of them counts"
