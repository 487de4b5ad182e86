"""What profiles have in common stands once in the file of the findings on record: in the others, ``{"same_as": "laptop"}``.

The paper profile has most of its claims from the experiments that laptop has them from.
"""

from typing import Any

from bthcheck.report.snapshot import Snapshot

SAME = "same_as"
_KINDS = ("claims", "experiments", "environments")
_SHORT = 60  # characters of an entry that may as well stand twice


def folded(profiles: dict[str, Snapshot]) -> dict[str, Snapshot]:
    """Return profiles with every long entry that one before it, by name, has as well replaced by the name of that one."""
    found: dict[str, Snapshot] = {}
    for profile in sorted(profiles):
        found[profile] = {
            kind: {name: _folded(entry, kind, name, found) for name, entry in profiles[profile][kind].items()}
            for kind in _KINDS
        }
    return found


def _folded(entry: Any, kind: str, name: str, before: dict[str, Snapshot]) -> Any:
    if len(str(entry)) <= _SHORT:
        return entry
    return next(({SAME: profile} for profile, kept in before.items() if kept[kind].get(name) == entry), entry)


def unfolded(profiles: dict[str, Snapshot]) -> dict[str, Snapshot]:
    """Return profiles with all entries whole.

    Raises
    ------
    ValueError
        If an entry names a profile that has it not, or not whole.
    """
    return {
        profile: {
            kind: {name: _unfolded(entry, profile, kind, name, profiles) for name, entry in kept[kind].items()}
            for kind in _KINDS
        }
        for profile, kept in profiles.items()
    }


def _unfolded(entry: Any, profile: str, kind: str, name: str, profiles: dict[str, Snapshot]) -> Any:
    if SAME not in entry:
        return entry
    other = profiles.get(entry[SAME], {}).get(kind, {}).get(name)
    if other is None or SAME in other:
        raise ValueError(f"{profile}/{kind}/{name}: the profile {entry[SAME]!r} must have this whole")
    return other
