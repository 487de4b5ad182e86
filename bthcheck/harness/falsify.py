"""A session that attacks exact claims instead of testing them: ``pytest claims --falsify MINUTES``."""

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bthcheck.harness.options import option
from bthcheck.harness.stash import RECORD, SETTINGS, claim_of

if TYPE_CHECKING:
    from bthcheck.evidence.attacks.loop import Outcome
    from bthcheck.harness.claims import Claim

OTHERS = ("placebo", "update-baseline", "dask")
"""Options that mean nothing where nothing is trained and nothing compared with the record."""
WORKERS = 1000
"""Seeds of a round: more than there are workers, so that none takes those of another."""


def minutes_of(config: pytest.Config) -> float | None:
    """Return what --falsify says, or None without it.

    Raises
    ------
    ValueError
        If it is no number of minutes, or another option is there that it does not go with.
    """
    given = option(config, "falsify")
    if given is None:
        return None
    try:
        minutes = float(given)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise ValueError(f"--falsify must be a number of minutes above 0, such as 10 or 0.5, got {given!r}")
    for name in OTHERS:
        if option(config, name):
            raise ValueError(f"--falsify attacks exact claims, and does not go with --{name}; say one of them")
    return minutes


def attacked(items: Iterable[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the items of a session of attacks, each in the place of its claim's test, and the tests that are left out."""
    from bthcheck.evidence.attacks.table import ATTACKS, EXPLORED

    ours: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        claim = claim_of(item)
        if claim is not None and claim.kind == "exact" and claim.id in ATTACKS:
            ours.append(_in_place_of(AttackItem, item, claim))
        elif claim is not None and claim.id == EXPLORED and claim.kind == "trend":
            ours.append(_in_place_of(ExploringItem, item, claim))
        else:
            others.append(item)
    return ours, others


def is_attack(item: pytest.Item) -> bool:
    """Whether a session's item is an attack, or explores a trend."""
    return isinstance(item, (AttackItem, ExploringItem))


def _in_place_of(kind: "type[AttackItem] | type[ExploringItem]", item: pytest.Item, claim: "Claim") -> pytest.Item:
    parent = item.parent
    assert parent is not None  # a test is in a file
    made = kind.from_parent(parent, name=item.name)
    made.about = claim
    made.extra_keyword_matches.update(item.extra_keyword_matches, {claim.id})
    for marker in item.own_markers:
        if kind is AttackItem or marker.name != "claim":  # what is explored has no verdict
            made.own_markers.append(marker)
            made.keywords[marker.name] = marker
    return made


class _Timed(pytest.Item):
    """An item that has its share of the session's time: what was asked for, by the number of attacks."""

    about: "Claim"

    def share(self) -> float:
        """Return the seconds that this item has."""
        minutes = self.config.stash[SETTINGS].falsify
        assert minutes is not None
        return 60 * minutes / max(1, sum(map(is_attack, self.session.items)))

    def tell(self, examples: int, seconds: float, ended: bool = False) -> None:
        """Say how far it is."""
        channel = self.config.stash[SETTINGS].channel
        channel.log("attack", id=self.about.id, examples=examples, seconds=seconds, ended=ended)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where pytest says that this item is."""
        return self.path, None, self.name


class AttackItem(_Timed):
    """Attacks a claim in the place of its test, whose fixtures train and are not called for."""

    def runtest(self) -> None:
        """Attack; fail if a claim fell that was to withstand."""
        from bthcheck.evidence.attacks import loop, store
        from bthcheck.evidence.attacks.table import ATTACKS

        settings, id = self.config.stash[SETTINGS], self.about.id
        before = store.kept(settings.cache, id)
        found = loop.Outcome(id)
        self.tell(0, 0.0)
        try:
            loop.attack(
                id, ATTACKS[id], self.share(), seeds=_seeds(self.config, before["seeds"]), outcome=found,
                known=_known(before, settings.results, id), database=settings.cache / store.FOLDER / id / store.DATABASE,
                tell=lambda outcome: self.tell(outcome.examples, outcome.seconds),
            )  # fmt: skip
            ended = True
        except KeyboardInterrupt:
            ended = False
            raise
        finally:
            entry = self._conclude(found, ended)
        self.stash[RECORD] = json.dumps(_record(self, entry), allow_nan=False)
        from bthcheck.report.falsification import is_failure, sentence

        if is_failure(entry):
            pytest.fail(sentence(entry), pytrace=False)

    def _conclude(self, found: "Outcome", ended: bool) -> dict[str, Any]:
        """Keep what was found, and tell the session; what cannot be written is said and costs no result."""
        from bthcheck.evidence.attacks import coverage, store
        from bthcheck.evidence.attacks.table import ATTACKS

        settings, unwritten = self.config.stash[SETTINGS], []
        counterexample: dict[str, Any] | None = None
        if found.counterexample is not None:
            case, said = found.counterexample
            content = store.falsified(found.id, said, case)
            counterexample = {name: content[name] for name in ("smaller", "larger", "tolerance", "case")}
            try:
                path = store.write(settings.results, content)
                counterexample["file"] = path.relative_to(settings.results).as_posix()
            except OSError as error:
                unwritten.append(f"the counterexample of {found.id} has no file: {error.filename} cannot be written")
        closest, examples = found.closest, found.examples
        try:
            fell = counterexample["case"] if counterexample else None
            kept = store.keep(settings.cache, found.id, found.rounds, found.examples, found.closest, fell)
            closest, examples = kept["closest"], kept["examples"]
        except OSError as error:
            unwritten.append(f"what was tried of {found.id} is not kept: {error.filename} cannot be written: {error.strerror}")
        entry = {
            "claim": found.id, "inequality": ATTACKS[found.id].inequality, "expected": found.expected, "ended": ended,
            "examples": found.examples, "discarded": found.discarded, "informative": found.informative, "seeds": found.rounds,
            "seconds": round(found.seconds, 1), "coverage": coverage.table(found.coverage), "counterexample": counterexample,
            "closest": closest, "all_examples": examples,
        }  # fmt: skip
        self.tell(found.examples, found.seconds, ended=True)
        settings.channel.log("attacked", entry=entry, unwritten=unwritten)
        return entry


class ExploringItem(_Timed):
    """Tries the order of a trend in generated experiments; it passes whatever comes out."""

    def runtest(self) -> None:
        """Explore."""
        from bthcheck.evidence.attacks import experiments, store

        settings, id = self.config.stash[SETTINGS], self.about.id
        before = store.kept(settings.cache, id)
        found = experiments.Explored()
        self.tell(0, 0.0)
        try:
            experiments.explore(
                self.share(), seeds=_seeds(self.config, before["examples"]), outcome=found,
                tell=lambda outcome: self.tell(outcome.experiments, outcome.seconds),
            )  # fmt: skip
        finally:
            self.tell(found.experiments, found.seconds, ended=True)
            unwritten = []
            try:
                store.keep(settings.cache, id, 0, found.experiments, None, None)
            except OSError as error:
                unwritten.append(f"what was tried of {id} is not kept: {error.filename} cannot be written: {error.strerror}")
            entry = {"claim": id, **dataclasses.asdict(found), "seconds": round(found.seconds, 1)}
            settings.channel.log("explored", entry=entry, unwritten=unwritten)


def gathered(events: list[dict[str, Any]], planned: int) -> dict[str, Any]:
    """Return what a session of attacks found, for its report, from the events of all its processes."""
    found: dict[str, Any] = {"planned": planned, "claims": [], "explored": []}
    for event in events:
        if event["event"] in ("attacked", "explored"):
            found["claims" if event["event"] == "attacked" else "explored"].append(event["entry"])
    for entries in found.values():
        if isinstance(entries, list):
            entries.sort(key=lambda entry: str(entry["claim"]))
    return found


def _seeds(config: pytest.Config, before: int) -> Iterator[int]:
    """Yield seeds that neither another worker nor an earlier session has."""
    from bthcheck.harness.settings import worker_number

    worker = worker_number(config)
    return (WORKERS * number + worker for number in itertools.count(before))


def _known(before: dict[str, Any], results: Path, id: str) -> tuple[Any, ...]:
    """Return the cases to begin with: a counterexample of an earlier session, and the closest case."""
    from bthcheck.evidence.attacks import store

    found = [before[name]["case"] for name in ("counterexample", "closest") if before[name] is not None]
    path = results / store.FALSIFIED / f"{id}.json"
    if path.exists():
        try:
            claim, _, case, _ = store.read(path)
            found += [case] if claim == id else []
        except ValueError:
            pass
    return tuple(found)


def _record(item: AttackItem, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what the claim's row says: the one finding of its attack, judged as any other."""
    from bthcheck.evidence.findings import Finding, Verdict
    from bthcheck.evidence.inequalities import counterexample
    from bthcheck.harness.claims import Evidence
    from bthcheck.report.falsification import sentence

    evidence = Evidence(item.about, item.config.stash[SETTINGS].results)
    fell = entry["counterexample"] is not None
    if entry["expected"] == "falls":
        finding = counterexample(fell, quantity=entry["inequality"], example="a generated case, " + sentence(entry))
    else:
        verdict = Verdict.REFUTED if fell else Verdict.SUPPORTED
        finding = Finding(entry["inequality"], "exact inequality", verdict, sentence(entry), cases=max(1, entry["examples"]))
    evidence.findings.append(finding)
    return {**evidence.to_dict(), "nodeid": item.nodeid, "experiments": []}
