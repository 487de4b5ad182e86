"""Whether two trainings gave the same bits: a digest of every run, and one of what bits depend on beside the code."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy
import xarray as xr

import bthcheck
from bthcheck.training import machine
from bthcheck.training.entries import library_versions
from bthcheck.training.statistics import STATISTICS

LENGTH = 10
"""Hexadecimal digits of a digest: two that differ are equal once in 2⁴⁰."""
_UNITS = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vnni", "amx-tile", "neon", "sve")


def of_runs(dataset: xr.Dataset) -> dict[str, list[str]]:
    """Return level, as text → a digest of each seed's statistics, parameters and divergence.

    Parameters
    ----------
    dataset : from `bthcheck.run`, dimensions (level, "seed", "epoch")
    """
    level = str(dataset.attrs["level"])
    names = [*STATISTICS, "parameters"]
    arrays = [np.ascontiguousarray(dataset[name].transpose(level, "seed", ...).values) for name in names]
    diverged = dataset.coords["diverged"].transpose(level, "seed").values
    found = {}
    for i, value in enumerate(dataset[level].values.tolist()):
        found[str(value)] = [
            _digest([f"{diverged[i, j]}".encode(), *(_bytes(array[i, j]) for array in arrays)])
            for j in range(dataset.sizes["seed"])
        ]
    return found


def _bytes(array: np.ndarray) -> bytes:
    """Return the numbers as bytes, every NaN the same: which one it is says nothing. What fills up shorter runs is left out."""
    known = array[: len(array) - int(np.argmin(np.isnan(array[::-1])))] if np.isnan(array).any() else array
    return np.where(np.isnan(known), np.asarray(np.nan, array.dtype), known).tobytes()


def environment(device: str, worker: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the bits of a run on a device depend on beside the code: libraries, processor, GPU; with its `digest`.

    The digest knows every feature of the processor, `features` those that a reader looks for. The versions of Python, SciPy and
    this package change no bit of a run: they stand beside it.

    Parameters
    ----------
    worker : the facts of a worker of an executor, see `bthcheck.training.remote.facts`; this process if None
    """
    if worker is None:
        facts, libraries = machine.describe(device), library_versions()
        beside = {"bthcheck": bthcheck.__version__, "scipy": scipy.__version__, "Python": platform.python_version()}
    else:
        facts, libraries = worker["machine"], worker["libraries"]
        beside = {"bthcheck": worker["bthcheck"], **worker["beside"]}
    known: dict[str, Any] = {"libraries": libraries, **facts}
    digest = _digest([json.dumps(known, sort_keys=True).encode()])
    features = facts["features"].split(",")
    known["features"] = " ".join(unit for unit in _UNITS if f"+{unit}" in features)
    return {**known, **beside, "digest": digest}


def together(environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the environment of runs that several kinds of workers trained: the first's facts, with a digest of all."""
    digests = sorted({one["digest"] for one in environments})
    if len(digests) == 1:
        return environments[0]
    return {**environments[0], "with others": ", ".join(digests), "digest": _digest([one.encode() for one in digests])}


def _digest(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()[:LENGTH]
