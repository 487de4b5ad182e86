"""Rows of a session, made up."""


def row(id, status, *, on_record=None, verdict="same", reason="", statement="It grows", changes=None, p=0.25, seconds=1.0):
    """Return the row of a claim with one finding; without a verdict there is none."""
    verdict = (
        (status if status in ("supported", "refuted", "inconclusive", "vacuous") else None) if verdict == "same" else verdict
    )
    finding = {
        "quantity": "height", "test": "Page's L", "verdict": verdict, "p": p, "effect": -0.5, "interval": [-0.75, 0.125],
        "blocks": 8, "reason": reason,
    }  # fmt: skip
    return {
        "claim": {"id": id, "statement": statement, "source": "nowhere", "scope": "", "kind": "trend"},
        "verdict": verdict, "status": status, "reason": reason, "on_record": on_record, "nodeid": f"claims/t.py::test_{id}",
        "findings": [finding] if verdict else [], "figures": [], "notes": [], "tables": [], "seconds": seconds,
        **({} if changes is None else {"changes": changes}),
    }  # fmt: skip


SESSION = [
    row("ERROR", "error", reason="ZeroDivisionError: by nought", statement="It raises"),
    row("CRASH", "crashed", reason="worker 'gw0' crashed", statement="It crashes"),
    row("LATER", "no verdict", reason="the test never reported", statement="It waits"),
    row("BAD", "refuted", reason="it shrinks", statement="It is refuted"),
    row("KNOWN", "inconclusive", on_record="inconclusive", reason="p is 0.25", statement="It is known"),
    row("WORSE", "inconclusive", on_record="supported", reason="p is 0.3", statement="It was better", p=0.3),
    row("SKIP", "skipped", reason="no data", statement="It is skipped"),
    row("BETTER", "supported", on_record="inconclusive", statement="It was worse"),
    row("GOOD", "supported", on_record="supported", statement="It holds"),
    row("MOVED", "supported", on_record="supported", changes=["effect 0.4, on record 0.9"], statement="It holds less"),
    row("NEW", "supported", statement="It is new"),
]
"""One of each kind, worst first."""
URGENT = ["ERROR", "CRASH", "BAD", "WORSE", "BETTER", "MOVED"]
CALM = ["LATER", "KNOWN", "SKIP", "GOOD", "NEW"]
