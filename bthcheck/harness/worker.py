"""Hooks of a process that runs tests: it records what each claim presents, and judges it."""

import gc
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from bthcheck.harness.results import PROPERTY
from bthcheck.harness.settings import Settings
from bthcheck.harness.stash import EVIDENCE, claim_of

if TYPE_CHECKING:
    from bthcheck.harness.claims import Claim


class Worker:
    """Hooks of a process that runs tests: an xdist worker, or the only process there is."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.refusal: str | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.refusal = _refusal([claim for claim in map(claim_of, items) if claim is not None])
        if self.refusal and not hasattr(self.config, "workerinput"):
            raise pytest.UsageError(self.refusal)
        if self.settings.placebo:
            for item in items:
                claim = claim_of(item)
                if claim is not None and claim.kind != "trend":
                    item.add_marker(pytest.mark.skip(reason="a placebo has no levels to permute here"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.refusal and claim_of(item) is not None:  # a worker that stopped would be an internal error of xdist's
            pytest.fail(self.refusal, pytrace=False)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        claims = {item.nodeid: asdict(claim) for item in session.items if (claim := claim_of(item)) is not None}
        self.settings.channel.log("collected", claims=claims)
        if claims:
            gc.freeze()  # what was imported is here to stay: no collection need go through its million objects again

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        claim = claim_of(item)
        if claim is None:
            return (yield)
        try:
            result = yield
        except Exception as error:
            self._record(item, error=f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        self._record(item)
        self._judge(item, claim)
        return result

    def _record(self, item: pytest.Item, **extra: str) -> None:
        evidence = item.stash.get(EVIDENCE, None)
        if evidence is not None:
            record = {**evidence.to_dict(), **extra}
            item.user_properties.append((PROPERTY, json.dumps(record, allow_nan=False)))

    def _judge(self, item: pytest.Item, claim: "Claim") -> None:
        """Fail unless the claim came out supported, or as the baseline says."""
        evidence = item.stash.get(EVIDENCE, None)
        if evidence is None or evidence.verdict is None:
            pytest.fail(f"claim {claim.id} presented no evidence", pytrace=False)
        verdict = str(evidence.verdict)
        message = f"claim {claim.id} is {verdict}: {evidence.reason}"
        if self.settings.placebo:
            if verdict == "supported":
                pytest.fail(f"a placebo came out supported: {message}", pytrace=False)
            return
        if verdict == "supported":
            return
        if self.settings.baseline.get(claim.id) == verdict:
            pytest.xfail(f"{message} (as on record)")
        pytest.fail(message, pytrace=False)


def _refusal(claims: "list[Claim]") -> str | None:
    """Return what is wrong with the claims as a set, or None."""
    repeated = sorted({claim.id for claim in claims if sum(claim.id == other.id for other in claims) > 1})
    if repeated:
        return f"claim ids must be unique, got {', '.join(repeated)} more than once"
    if not claims:
        return None
    from bthcheck.evidence import FAMILY_SIZE

    family = sum(claim.statistical for claim in claims)
    if family > FAMILY_SIZE:
        return (
            f"{family} statistical claims are more than the {FAMILY_SIZE} that share the family-wise error;"
            " raise bthcheck.evidence.FAMILY_SIZE, which lowers every level"
        )
    return None
