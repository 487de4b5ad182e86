"""Which experiment is which: they are what their configuration says, whatever their names."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

_LONGEST = 40  # characters of a value that tells an experiment from another of its name
_MOST = 3  # of these values
_BESIDE = ("name", "seeds")


def identity(configuration: dict[str, Any]) -> str:
    """Return a short digest of an experiment's fields, the same for the same experiment in any process."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def distinct(experiments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last entry of every experiment, by name, each with the `label` that tells it from the others.

    Parameters
    ----------
    experiments : entries with a `name` and a `configuration`, several for an experiment that several processes trained
    """
    last = {identity(entry["configuration"]): entry for entry in experiments}
    entries = [last[key] for key in sorted(last, key=lambda key: (last[key]["name"], key))]
    return [{**entry, "label": label} for entry, label in zip(entries, told_apart(entries), strict=True)]


def told_apart(experiments: Sequence[dict[str, Any]]) -> list[str]:
    """Return the name of every experiment; where several have one name, what they differ in stands behind it."""
    fields = [_fields(entry["configuration"]) for entry in experiments]
    alike: dict[str, list[dict[str, str]]] = {}
    for entry, own in zip(experiments, fields, strict=True):
        alike.setdefault(entry["name"], []).append(own)
    held = {name: _values(others) for name, others in alike.items()}
    labels = []
    for entry, own in zip(experiments, fields, strict=True):
        differing = [name for name in own if len(held[entry["name"]][name]) > 1]
        values = ", ".join(f"{name.rpartition('.')[2]} {_shown(own[name])}" for name in differing[:_MOST])
        labels.append(f"{entry['name']} ({values})" if values else entry["name"])
    counts, so_far = Counter(labels), Counter[str]()
    numbered = []
    for label in labels:
        so_far[label] += 1
        numbered.append(f"{label}, no. {so_far[label]}" if counts[label] > 1 else label)
    return numbered


def _values(several: Sequence[dict[str, str]]) -> dict[str, set[str | None]]:
    """Return every field with the values that it has in any of them, None where one does not have it."""
    names = dict.fromkeys(name for one in several for name in one)
    return {name: {one.get(name) for one in several} for name in names}


def without_folders(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the file of images that a task names called by its name, wherever on a machine it lies."""
    task = configuration.get("task")
    if not isinstance(task, dict) or not isinstance(task.get("source"), str) or not task["source"].endswith(".npz"):
        return configuration
    return {**configuration, "task": {**task, "source": PurePath(task["source"]).name}}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what an experiment's fields are and were, as "learning_rate 0.00115, on record 0.001".

    Its name and its seeds are no difference: other seeds are other samples of the same.
    """
    was, now = (_fields({name: v for name, v in fields.items() if name not in _BESIDE}) for fields in (before, after))
    names = [name for name in [*now, *(name for name in was if name not in now)] if now.get(name) != was.get(name)]
    return [
        f"{name.removeprefix('training.')} {_shown(now.get(name, 'is not there'))},"
        f" {'on record ' + _shown(was[name]) if name in was else 'which is not on record'}"
        for name in names
    ]


def _fields(value: Any, name: str = "") -> dict[str, str]:
    """Return dotted name → JSON text of all that is not itself an object."""
    if not isinstance(value, dict):
        return {name: json.dumps(value)}
    parts = [_fields(entry, f"{name}.{key}" if name else key) for key, entry in value.items()]
    return {key: text for part in parts for key, text in part.items()}


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
