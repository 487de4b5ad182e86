"""Hooks of a process that runs tests: it records what each claim presents, and judges it."""

import gc
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from bthcheck.characters import visible
from bthcheck.evidence.findings import plain
from bthcheck.harness.results import PROPERTY
from bthcheck.harness.settings import Settings
from bthcheck.harness.stash import EVIDENCE, claim_of
from bthcheck.report.baseline import read_baseline

if TYPE_CHECKING:
    from bthcheck.harness.claims import Claim


class Worker:
    """Hooks of a process that runs tests: an xdist worker, or the only process there is."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.refusal: str | None = None
        self.runs = False  # unless pytest was called to run tests, and came to that
        self.baseline: dict[str, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        claims = {item: claim for item in items if (claim := claim_of(item)) is not None}
        self._refuse(refusal({item.nodeid: claim for item, claim in claims.items()}))
        for item, claim in claims.items():
            item.extra_keyword_matches.add(claim.id)  # so that -k T2 chooses by the ids that reports name claims by
        if self.settings.placebo:
            for item in items:
                claim = claim_of(item)
                if claim is not None and claim.kind != "trend":
                    item.add_marker(pytest.mark.skip(reason="a placebo has no levels to permute here"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.refusal and claim_of(item) is not None:
            pytest.fail(self.refusal, pytrace=False)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        claims = {item.nodeid: asdict(claim) for item in session.items if (claim := claim_of(item)) is not None}
        self.settings.channel.log("collected", claims=claims)
        if claims:
            gc.freeze()  # what was imported is here to stay: no collection need go through its million objects again

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        self.runs = not self.config.option.collectonly and not self.config.getoption("setuponly", False)
        if self.runs and any(claim_of(item) is not None for item in session.items):
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
        if claim is None:
            return (yield)
        try:
            result = yield
        except pytest.xfail.Exception:
            raise
        except pytest.fail.Exception as error:  # what it presented until then is no less worth keeping
            self._record(item, error=(str(error) or "the test failed").splitlines()[0])
            raise
        except Exception as error:
            self._record(item, error=f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        self._record(item)
        self._judge(item, claim)
        return result

    def _record(self, item: pytest.Item, **extra: str) -> None:
        evidence = item.stash.get(EVIDENCE, None)
        if evidence is not None:
            record = plain({**evidence.to_dict(), **extra})
            item.user_properties.append((PROPERTY, json.dumps(record, allow_nan=False, default=str)))

    def _judge(self, item: pytest.Item, claim: "Claim") -> None:
        """Fail unless the claim came out supported, or as the baseline says."""
        evidence = item.stash.get(EVIDENCE, None)
        if evidence is None or evidence.verdict is None:
            pytest.fail(f"claim {claim.id} presented no evidence", pytrace=False)
        verdict = str(evidence.verdict)
        message = visible(f"claim {claim.id} is {verdict}: {evidence.reason}")
        if self.settings.placebo:
            if verdict == "supported":
                pytest.fail(f"a placebo came out supported: {message}", pytrace=False)
            return
        if verdict == "supported":
            return
        if self.baseline.get(claim.id) == verdict:
            pytest.xfail(f"{message} (as on record)")
        pytest.fail(message, pytrace=False)


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
    from bthcheck.evidence import FAMILY_SIZE

    family = sum(claim.statistical for claim in claims.values())
    if family > FAMILY_SIZE:
        return (
            f"{family} statistical claims are more than the {FAMILY_SIZE} that share the family-wise error;"
            " raise bthcheck.evidence.FAMILY_SIZE, which lowers every level"
        )
    return None
