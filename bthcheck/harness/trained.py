"""What a process has trained, and for which claim: what a fixture trained is of every claim that asks for it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bthcheck.report.experiments import identity


@dataclass
class Trained:
    """The experiments of one process.

    experiments : digest of the configuration → what goes on record of it
    """

    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)
    _of_fixtures: dict[str, list[str]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any]) -> None:
        """Take in an experiment that was trained or read just now."""
        name = identity(entry["configuration"])
        self.experiments[name] = entry
        self._order.append(name)

    @contextlib.contextmanager
    def during(self) -> Iterator[list[str]]:
        """Yield a list that afterwards names what was trained meanwhile."""
        before, found = len(self._order), list[str]()
        try:
            yield found
        finally:
            found += self._order[before:]

    @contextlib.contextmanager
    def by_fixture(self, name: str) -> Iterator[None]:
        """Note what is trained meanwhile as a fixture's."""
        with self.during() as found:
            yield
        self._of_fixtures[name] = found

    def of(self, fixtures: list[str], called: list[str]) -> list[str]:
        """Return the digests, sorted, of what a test is about that has these fixtures and itself trained `called`."""
        return sorted({*called, *(name for fixture in fixtures for name in self._of_fixtures.get(fixture, []))})
