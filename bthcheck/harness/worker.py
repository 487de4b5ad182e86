"""Hooks of a process that runs tests: it records what each claim presents, and judges it."""

import gc
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from bthcheck.evidence.findings import plain
from bthcheck.harness import falsify
from bthcheck.harness.results import ATTRIBUTE, properties
from bthcheck.harness.settings import Settings
from bthcheck.harness.source import source_of
from bthcheck.harness.stash import EVIDENCE, RECORD, TRAINED, claim_of
from bthcheck.harness.weights import weight
from bthcheck.report.baseline import read_baseline
from bthcheck.report.snapshot import Snapshot, claim_entry
from bthcheck.text import visible

if TYPE_CHECKING:
    from bthcheck.harness.claims import Claim


class Worker:
    """Hooks of a process that runs tests: an xdist worker, or the only process there is."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.refusal: str | None = None
        self.runs = False  # unless pytest was called to run tests, and came to that
        self._by_family = False
        self.baseline: Snapshot = {"claims": {}, "experiments": {}, "environments": {}}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        claims = {item: claim for item in items if (claim := claim_of(item)) is not None}
        self._refuse(refusal({item.nodeid: claim for item, claim in claims.items()}))
        if self.settings.falsify is not None:
            items[:], others = falsify.attacked(items)
            if others:
                self.config.hook.pytest_deselected(items=others)
            claims = {item: claim for item in items if (claim := claim_of(item)) is not None}
        for item, claim in claims.items():
            item.extra_keyword_matches.add(claim.id)  # so that -k T2 chooses by the ids that reports name claims by
        self._choose_family(items, claims)
        if self.settings.placebo:
            for item in items:
                claim = claim_of(item)
                if claim is not None and claim.kind != "trend":
                    item.add_marker(pytest.mark.skip(reason="a placebo has no levels to permute here"))

    def _choose_family(self, items: list[pytest.Item], claims: "dict[pytest.Item, Claim]") -> None:
        """Leave out the claims of other families than the session is of, which nobody then misses."""
        if self.settings.family is None:
            return
        others = [item for item, claim in claims.items() if claim.family != self.settings.family]
        items[:] = [item for item in items if item not in others]
        if others:
            self._by_family = True
            self.config.hook.pytest_deselected(items=others)
            self._by_family = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.refusal and claim_of(item) is not None:
            pytest.fail(self.refusal, pytrace=False)

    def pytest_deselected(self) -> None:
        if not self._by_family:
            self.settings.channel.log("deselected")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
        with self.config.stash[TRAINED].by_fixture(fixturedef.argname):
            return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        claims = {item.nodeid: asdict(claim) for item in session.items if (claim := claim_of(item)) is not None}
        weights = {
            item.nodeid: weight(getattr(item, "fixturenames", ()))
            for item in session.items
            if item.nodeid in claims or falsify.is_attack(item)
        }
        self.settings.channel.log("collected", claims=claims, weights=weights)
        if claims:
            gc.freeze()  # what was imported is here to stay: no collection need go through its million objects again

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        self.runs = not self.config.option.collectonly and not self.config.getoption("setuponly", False)
        if self.settings.falsify is not None:
            count = sum(map(falsify.is_attack, session.items))
            self.settings.channel.log("plan", attacks=count, share=60 * self.settings.falsify / max(1, count))
        if self.runs and any(claim_of(item) is not None or falsify.is_attack(item) for item in session.items):
            try:
                self.prepare()
            except ValueError as error:
                self._refuse(str(error))

    def prepare(self) -> None:
        """Make ready for claims, of which there are some; raise ``ValueError`` with one sentence on what cannot be used."""
        self.baseline = read_baseline(self.settings.record, self.settings.profile)

    def _refuse(self, sentence: str | None) -> None:
        """Stop the session with a sentence; a worker that stopped would be an internal error of xdist's, so its claims do."""
        self.refusal = self.refusal or sentence
        if self.refusal and not hasattr(self.config, "workerinput"):
            raise pytest.UsageError(self.refusal)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["bthcheck"] = {"process": str(os.getpid()), "lines": self.settings.channel.own()}
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        claim = claim_of(item)
        if claim is None or falsify.is_attack(item):
            return (yield)
        with self.config.stash[TRAINED].during() as trained:
            try:
                result = yield
            except pytest.xfail.Exception:
                raise
            except pytest.fail.Exception as error:  # what it presented until then is no less worth keeping
                self._record(item, trained, error=(str(error) or "the test failed").splitlines()[0])
                raise
            except Exception as error:
                self._record(item, trained, error=f"{type(error).__name__}: {error}".splitlines()[0])
                raise
        record = self._record(item, trained)
        if record is None or record["verdict"] is None:
            pytest.fail(f"claim {claim.id} presented no evidence", pytrace=False)
        self._judge(claim, record)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Iterator[Any]:
        """Send nothing that UTF-8 has no bytes for: xdist would end the session over half of a surrogate pair."""
        return sendable((yield))

    def _record(self, item: pytest.Item, trained: list[str], **extra: str) -> dict[str, Any] | None:
        """Attach to the test's report what its claim presented, and return it; None if it presented nothing."""
        evidence = item.stash.get(EVIDENCE, None)
        if evidence is None:
            return None
        facts = self._facts(item, trained)
        record = plain({**evidence.to_dict(), "nodeid": item.nodeid, **facts, **extra})
        record |= self._compared(record)
        item.stash[RECORD] = json.dumps(record, allow_nan=False, default=str)
        on_record = None if self.settings.placebo else self.baseline["claims"].get(record["claim"]["id"], {}).get("verdict")
        item.user_properties += properties(record, on_record)
        return record

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        report: Any = yield
        if RECORD in item.stash:
            setattr(report, ATTRIBUTE, item.stash[RECORD])
        return report

    def _facts(self, item: pytest.Item, trained: list[str]) -> dict[str, Any]:
        """Return what a claim's numbers come from: its own code, what was trained for it, and the machine."""
        from bthcheck.training import digests

        source = source_of(getattr(item, "function", None))
        experiments = self.config.stash[TRAINED].of(getattr(item, "fixturenames", []), trained)
        known = self.config.stash[TRAINED].experiments
        if experiments:  # which may have been trained elsewhere
            environment = known[experiments[0]]["environment"]
        else:
            facts = digests.environment("cpu")
            self.settings.channel.log("environment", facts=facts)
            environment = facts["digest"]
        return {
            "code": source and source.digest,
            "constants": source and source.constants,
            "experiments": experiments,
            "environment": environment,
        }

    def _compared(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return what differs from the record: `changes`, sentences, their `kinds`, and whether the claim `fails` for it."""
        id = record["claim"]["id"]
        if record["verdict"] is None or record.get("error") or self.settings.placebo or id not in self.baseline["claims"]:
            return {"changes": [], "kinds": [], "fails": False}
        from bthcheck.report.comparison import compare_claim, level_of, sentences

        trained = self.config.stash[TRAINED].experiments
        now: Snapshot = {"claims": {id: claim_entry(record)}, "experiments": trained, "environments": {}}
        found = compare_claim(id, self.baseline, now, level_of(self.baseline)).changes
        changes = [change for change in found if change.alarm != "bits" or self.settings.check == "bits"]
        failing = any(change.fails(self.settings.check) for change in changes)
        kinds = list(dict.fromkeys(change.kind for change in changes))
        return {"changes": sentences(changes), "kinds": kinds, "fails": failing and not self.settings.update}

    def _judge(self, claim: "Claim", record: dict[str, Any]) -> None:
        """Fail unless the claim came out supported, or as the baseline says, and nothing else differs from that."""
        verdict, on_record = record["verdict"], self.baseline["claims"].get(claim.id, {}).get("verdict")
        message = visible(f"claim {claim.id} is {verdict}: {record['reason']}")
        if self.settings.placebo:
            if verdict == "supported":
                pytest.fail(f"a placebo came out supported: {message}", pytrace=False)
            return
        if record["fails"]:
            word = "as on record, but not all else is" if verdict == on_record else f"on record {on_record}"
            pytest.fail(visible(f"claim {claim.id} is {verdict}, {word}: {'; '.join(record['changes'])}"), pytrace=False)
        if verdict == "supported":
            return
        if self.settings.update:
            pytest.xfail(f"{message} (put on record)")
        if verdict == on_record:
            pytest.xfail(f"{message} (as on record)")
        pytest.fail(message, pytrace=False)


def sendable(value: Any) -> Any:
    """Return plain values with the escapes of characters that UTF-8 has no bytes for."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {sendable(key): sendable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(sendable, value))
    return value


def refusal(claims: "dict[str, Claim]") -> str | None:
    """Return what is wrong with claims as a set, or None.

    Parameters
    ----------
    claims : node id of its test → claim
    """
    tests: dict[str, list[str]] = {}  # of ids that are one to a file system that does not tell cases apart
    for nodeid, claim in claims.items():
        tests.setdefault(claim.id.lower(), []).append(nodeid)
    for nodeids in tests.values():
        ids = list(dict.fromkeys(claims[nodeid].id for nodeid in nodeids))
        if len(ids) > 1:
            return f"claim ids must differ in more than case, or their figures may be one file, got {' and '.join(ids)}"
        if len(nodeids) > 1 and len({nodeid.partition("[")[0] for nodeid in nodeids}) == 1:
            return (
                f"claim {ids[0]} is parametrized, which makes {len(nodeids)} tests of one claim, and a claim has one verdict:"
                " loop over the cases inside its test, or write a claim with an id of its own for each"
            )
        if len(nodeids) > 1:
            return f"claim ids must be unique, got {ids[0]} more than once: {', '.join(nodeids)}"
    if not claims:
        return None
    from bthcheck.evidence.families import SIZES

    for family, size in SIZES.items():
        count = sum(claim.statistical for claim in claims.values() if claim.family == family)
        if count > size:
            return (
                f"{count} statistical claims of family {family!r} are more than the {size} that share its family-wise error;"
                f" raise bthcheck.evidence.families.SIZES[{family!r}], which lowers its level"
            )
    return None
