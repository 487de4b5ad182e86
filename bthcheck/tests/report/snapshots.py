"""Snapshots, made up: a claim on an experiment, its numbers a row a seed, and what may differ between two."""

import copy

import numpy as np

from bthcheck.report.experiments import identity

MACHINE = {"libraries": {"numpy": "2.0", "torch": "2.6"}, "processor": "znver4", "features": "avx2", "digest": "m1"}


def table(shift=0.0, seeds=10):
    """Return numbers of 10 seeds at 3 levels, with a spread of about 1 between seeds."""
    values = np.random.default_rng(0).normal(size=(10, 3))[:seeds] + np.array([0, 3, 6]) + shift
    return {"columns": ["0.25", "0.5", "1"], "rows": list(range(seeds)), "values": values.tolist()}


def trend(quantity="loss", *, shift=0.0, verdict="supported", effect=0.9, **other):
    return {
        "quantity": quantity, "test": "Page's trend test, exact", "verdict": verdict, "statistic": ["Page's L", 140.0],
        "p": 1e-6, "effect_name": "mean within-seed Kendall τ", "effect": effect, "interval": [effect - 0.05, effect + 0.05],
        "level": 0.00125, "minimum_effect": 0.3, "blocks": 10, "table": table(shift),
        "expectation": "increases with frequency", **other,
    }  # fmt: skip


def exact(quantity="1 ≤ 2", *, median=1.5, verdict="supported"):
    return {
        "quantity": quantity, "test": "exact inequality", "verdict": verdict, "statistic": ["worst margin", -1.0], "cases": 9,
        "effect_name": "median bound / value", "effect": median, "spread": [1.2, 2.0],
    }  # fmt: skip


def experiment(*, rate=0.001, name="tiny", levels=(0.25, 0.5, 1.0), seeds=2, bits="a", machine="m1", engine="fused"):
    configuration = {
        "name": name, "vary": "frequency", "levels": list(levels), "seeds": list(range(seeds)),
        "training": {"learning_rate": rate, "epochs": 7},
    }  # fmt: skip
    runs = {str(level): [f"{bits}{seed}" for seed in range(seeds)] for level in levels}
    return {
        "name": name, "configuration": configuration, "engine": engine, "device": "cpu", "environment": machine, "runs": runs,
    }  # fmt: skip


def claim(*findings, verdict="supported", trained=(), code="c1", constants=None, statement="It grows", **other):
    return {
        "verdict": verdict, "file": "claims/test_t.py", "statement": statement, "kind": "trend", "code": code,
        "constants": constants or {}, "environment": "m1", "experiments": sorted(identity(e["configuration"]) for e in trained),
        "findings": list(findings or [trend()]), **other,
    }  # fmt: skip


def kept(claims, *experiments, machine=MACHINE):
    """Return a snapshot of claims, id → entry."""
    return copy.deepcopy({
        "claims": claims,
        "experiments": {identity(entry["configuration"]): entry for entry in experiments},
        "environments": {machine["digest"]: machine},
    })  # fmt: skip


def one(*, shift=0.0, verdict="supported", effect=0.9, rate=0.001, bits="a", machine=MACHINE, engine="fused", **other):
    """Return a snapshot of one claim, T1, about one experiment."""
    trained = experiment(rate=rate, bits=bits, machine=machine["digest"], engine=engine)
    entry = claim(trend(shift=shift, verdict=verdict, effect=effect), verdict=verdict, trained=[trained], **other)
    return kept({"T1": entry}, trained, machine=machine)


def words(verdict="supported"):
    """Return what a record of words alone is read as."""
    return {"claims": {"T1": {"verdict": verdict}}, "experiments": {}, "environments": {}}


def records(snapshot, *, profile="laptop", root="claims", **other):
    """Return records of a session that found this, as of records.json."""
    rows = [
        {
            "claim": {"id": id, "source": "Theorem 1", "scope": "", "statement": "It grows", "kind": "trend",
                      **{name: entry[name] for name in ("statement", "kind", "scope") if name in entry}},
            "verdict": entry["verdict"], "status": entry["verdict"], "reason": "so it is", "seconds": 1.0,
            "figures": [], "notes": [], "tables": [], "nodeid": f"{root}/test_t.py::test_{id}", "changes": [], "fails": False,
            **{name: entry.get(name) for name in ("code", "constants", "experiments", "environment")},
            "findings": [
                {"p": None, "p_opposite": None, "interval": None, "reason": "it is so", "statistic": None, "effect": None,
                 "minimum_effect": None, "table": None, "blocks": None, "cases": None, **finding}
                for finding in entry.get("findings", [])
            ],
        }
        for id, entry in snapshot["claims"].items()
    ]  # fmt: skip
    return copy.deepcopy({
        "profile": profile, "placebo": False, "command": "pytest claims", "finished": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "runs": {"from_cache": 0, "trained": 1, "training_seconds": 1.0}, "environment": {"torch": "2.6", "processor": "EPYC"},
        "environments": snapshot["environments"], "claims": rows,
        "experiments": [{**entry, "diverged": 0} for entry in snapshot["experiments"].values()],
        "settings": {"profile": profile, "seeds": None, "engine": "auto", "device": "auto", "check": "numbers",
                     "data_file": None, "flags": []},
        **other,
    })  # fmt: skip
