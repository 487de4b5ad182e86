"""Entries of a cache that are changed in every way one can think of, and what is read of them."""

import json
import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import bthcheck
from bthcheck.benchmark.faults.sessions import EXPERIMENT
from bthcheck.training.cache import Form, RunCache, form_of, run_key
from bthcheck.training.runs import Run, RunResult

Change = Callable[[random.Random, bytes, bytes], bytes]


def _flip(draw: random.Random, content: bytes, _: bytes) -> bytes:
    """Flip one to four bits anywhere."""
    changed = bytearray(content)
    for _bit in range(draw.choice((1, 1, 2, 4))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _flip_in_header(draw: random.Random, content: bytes, _: bytes) -> bytes:
    place = draw.randrange(8 + int.from_bytes(content[:8], "little"))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def _truncate(draw: random.Random, content: bytes, _: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def _append(draw: random.Random, content: bytes, _: bytes) -> bytes:
    return content + draw.randbytes(draw.choice((1, 8, 4096)))


def _zero(draw: random.Random, content: bytes, _: bytes) -> bytes:
    """Fill with zeros from somewhere on, as after a power cut, or a block."""
    start = draw.randrange(len(content))
    end = draw.choice((len(content), min(len(content), start + 512)))
    return content[:start] + b"\0" * (end - start) + content[end:]


def _other(draw: random.Random, content: bytes, other: bytes) -> bytes:
    return other


def _splice(draw: random.Random, content: bytes, other: bytes) -> bytes:
    """The header of one entry and the arrays of another, or the first half of one and the rest of another."""
    cut = draw.choice((8 + int.from_bytes(content[:8], "little"), len(content) // 2))
    return content[:cut] + other[cut:]


def _move(draw: random.Random, content: bytes, _: bytes) -> bytes:
    """Insert or remove a few bytes."""
    start, count = draw.randrange(len(content)), draw.randint(1, 8)
    return content[:start] + (draw.randbytes(count) + content[start:] if draw.random() < 0.5 else content[start + count :])


def _header(change: Callable[[random.Random, dict[str, Any]], None]) -> Change:
    """Return what edits the header as JSON and leaves the arrays as they are."""

    def edit(draw: random.Random, content: bytes, _: bytes) -> bytes:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        change(draw, header)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + content[8 + size :]

    return edit


def _names(header: dict[str, Any]) -> list[str]:
    return [name for name in header if name != "__metadata__"]


def _rename(draw: random.Random, header: dict[str, Any]) -> None:
    one, two = draw.sample(_names(header), 2)
    header[one], header[two] = header[two], header[one]


def _retype(draw: random.Random, header: dict[str, Any]) -> None:
    header[draw.choice(_names(header))]["dtype"] = draw.choice(("F64", "F32", "F16", "I64", "U8", "BF16", "X", 7))


def _reshape(draw: random.Random, header: dict[str, Any]) -> None:
    name = draw.choice(_names(header))
    header[name]["shape"] = draw.choice(
        ([*header[name]["shape"], 1], [1, *header[name]["shape"]], [-1], [2**62], [], "x", [1.5])
    )


def _offset(draw: random.Random, header: dict[str, Any]) -> None:
    place = header[draw.choice(_names(header))]["data_offsets"]
    place[draw.randrange(2)] += draw.choice((-8, -1, 1, 8, 2**40, -(2**40)))


def _drop(draw: random.Random, header: dict[str, Any]) -> None:
    del header[draw.choice([*_names(header), "__metadata__"])]


def _metadata(draw: random.Random, header: dict[str, Any]) -> None:
    name = draw.choice(("facts", "sha256"))
    header["__metadata__"][name] = draw.choice(
        ("", "{}", "[]", "null", "NaN", 3, None, "[" * 2000, header["__metadata__"][name][::-1])
    )


def _facts(draw: random.Random, header: dict[str, Any]) -> None:
    facts = json.loads(header["__metadata__"]["facts"])
    name = draw.choice(("key", "schema", "diverged", "seconds"))
    facts[name] = draw.choice((0, 1, True, None, "x", -1.0, [], {}))
    header["__metadata__"]["facts"] = json.dumps(facts)


def _spaces(draw: random.Random, header: dict[str, Any]) -> None:
    """The same header written otherwise, and more in it that nobody asks for: harmless."""
    header["__metadata__"]["more"] = "x" * draw.randrange(50)


CHANGES: dict[str, Change] = {
    "bits flipped": _flip,
    "bits flipped in the header": _flip_in_header,
    "truncated": _truncate,
    "bytes appended": _append,
    "filled with zeros": _zero,
    "swapped with another entry": _other,
    "spliced with another entry": _splice,
    "bytes inserted or removed": _move,
    "arrays renamed": _header(_rename),
    "type of an array edited": _header(_retype),
    "shape of an array edited": _header(_reshape),
    "place of an array edited": _header(_offset),
    "an array or the metadata gone": _header(_drop),
    "metadata edited": _header(_metadata),
    "facts edited": _header(_facts),
    "more metadata": _header(_spaces),
}
"""What becomes of the bytes of an entry, given those of another one."""


def _forged(draw: random.Random, result: RunResult) -> RunResult:
    """Return other numbers, of a type, shape or value that this run cannot have; a forger gets the checksum right."""
    name = draw.choice(("trajectory_length", "bias_variance", "distance_to_init", "train_loss"))
    numbers = result.statistics[name].copy()
    numbers[draw.randrange(len(numbers))] = draw.choice((np.nan, np.inf, -np.inf))
    shorter = {key: values[:-1] for key, values in result.statistics.items()}
    parameters = result.parameters
    return draw.choice(
        (
            replace(result, statistics={**result.statistics, name: numbers}),
            replace(result, statistics=shorter),
            replace(result, statistics={key: values.astype(np.float32) for key, values in result.statistics.items()}),
            replace(result, parameters=parameters.astype(np.float64)),
            replace(result, parameters=parameters[:-1]),
            replace(result, parameters=np.append(parameters, parameters[:1])),
            replace(result, parameters=parameters.reshape(1, -1)),
            replace(result, seconds=float("nan")),
        )
    )


FORGED = "forged, with a checksum that is right"


def kinds() -> list[str]:
    """Return the names of all ways to change an entry."""
    return [*CHANGES, FORGED]


class Entries:
    """The entries of a small experiment in a folder, of which one at a time is changed, read, and put back."""

    def __init__(self, folder: Path) -> None:
        bthcheck.run(EXPERIMENT, engine="reference", cache=folder, progress=False)
        runs = [Run(EXPERIMENT, level, seed) for level in EXPERIMENT.levels for seed in EXPERIMENT.seeds]
        self.folder = folder
        self.forms: dict[str, Form] = {run_key(run, "reference", "cpu"): form_of(run) for run in runs}
        cache = RunCache(folder)
        self.contents = {key: cache.path(key).read_bytes() for key in self.forms}
        results = {key: cache.read(key) for key in self.forms}
        self.results = {key: result for key, result in results.items() if result is not None}

    def outcome(self, kind: str, seed: int) -> str:
        """Return what becomes of an entry that is changed so: "detected", "harmless", "unsaid" or "wrong"."""
        draw = random.Random(f"{kind} {seed}")
        key, other = draw.sample(sorted(self.contents), 2)
        path = self.folder / f"{key}.safetensors"
        if kind == FORGED:
            RunCache(self.folder).write(key, _forged(draw, self.results[key]))
        else:
            path.write_bytes(CHANGES[kind](draw, self.contents[key], self.contents[other]))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = RunCache(self.folder).read(key, self.forms[key])
        path.write_bytes(self.contents[key])
        if found is None:
            return "detected" if any("trained again" in str(warning.message) for warning in said) else "unsaid"
        return "harmless" if same(found, self.results[key]) else "wrong"


def same(one: RunResult, other: RunResult) -> bool:
    """Whether two results are the same to the bit."""
    arrays = [
        (one.parameters, other.parameters),
        *((one.statistics[name], other.statistics[name]) for name in other.statistics),
    ]
    alike = all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in arrays)
    return alike and one.statistics.keys() == other.statistics.keys() and one.diverged == other.diverged
