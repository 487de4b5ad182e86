"""The machines and libraries of two snapshots, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bthcheck.report.snapshot import Snapshot

_NAMES = {"processor": "kind of processor", "features": "vector units", "capability": "PyTorch's vector units", "gpu": "GPU"}
_BESIDE = ("digest",)


@dataclass(frozen=True)
class Fact:
    """One row: what is known of both, or of one, where the other is empty."""

    name: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Whether both sides say something, and not the same."""
        return bool(self.before and self.after and self.before != self.after)


def side_by_side(before: Snapshot, after: Snapshot) -> tuple[Fact, ...]:
    """Return all facts of two snapshots, those that differ first; several machines of one side share a row."""
    was, now = _facts(before), _facts(after)
    rows = [Fact(name, was.get(name, ""), now.get(name, "")) for name in dict.fromkeys([*now, *was])]
    return tuple(sorted(rows, key=lambda row: not row.differs))


def _facts(kept: Snapshot) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for facts in kept["environments"].values():
        for name, value in _flat(facts):
            found.setdefault(_NAMES.get(name, name), []).append(value)
    for entry in kept["experiments"].values():
        for name in ("engine", "device"):
            if entry.get(name):
                found.setdefault(name, []).append(str(entry[name]))
    return {name: " / ".join(sorted(set(values))) for name, values in found.items()}


def _flat(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif name not in _BESIDE and value is not None:
            yield name, str(value)
