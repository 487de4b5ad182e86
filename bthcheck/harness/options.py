"""The options of the command line: each with ``--bth-`` in front, and without wherever no other plugin has that name."""

from collections.abc import Iterator
from typing import Any

import pytest

from bthcheck.choices import ENGINES, FAMILIES, PROFILES
from bthcheck.report.snapshot import RINGS

ALL_FAMILIES = "all"

OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"default": "auto", "help": "auto, cpu, cuda or cuda:N (default: auto)"},
    "engine": {"default": "auto", "choices": ENGINES, "help": "how to train (default: auto, the fastest that can)"},
    "dask": {
        "default": None,
        "metavar": "ADDRESS",
        "help": "train on the Dask cluster at ADDRESS, or local:N for N processes here (default: in pytest's processes)",
    },
    "seeds": {
        "default": None,
        "metavar": "N",
        "help": "number of seeds, or a list such as 0,3,7 (default: the profile's)",
    },
    "profile": {"default": "laptop", "choices": PROFILES, "help": "scale of the experiments (default: laptop)"},
    "family": {
        "default": ALL_FAMILIES,
        "choices": (*FAMILIES, ALL_FAMILIES),
        "help": "whose claims are tested: paper, extensions, which go beyond it, or all (default: all)",
    },
    "results-dir": {"default": None, "metavar": "DIR", "help": "where the report goes (default: reports)"},
    "cache-dir": {"default": None, "metavar": "DIR", "help": "finished runs (default: .bthcheck_cache)"},
    "no-cache": {"action": "store_true", "help": "train everything anew and keep no run"},
    "data-root": {
        "default": None,
        "metavar": "DIR",
        "help": "torchvision's files of the full data sets (default: data)",
    },
    "data-file": {
        "default": None,
        "metavar": "FILE",
        "help": "an archive of images in the place of the full CIFAR-10, airplane 0 and dog 1 (default: none)",
    },
    "download": {
        "action": "store_true",
        "help": "fetch the full CIFAR-10, which the paper profile needs, unless it is there",
    },
    "markdown": {
        "default": None,
        "metavar": "FILE",
        "help": "write the verdicts as Markdown too; added to the file that GITHUB_STEP_SUMMARY names, else replaced",
    },
    "save-data": {
        "action": "store_true",
        "help": "also write the Dataset of every experiment, and its figures, into experiments/ beside the report",
    },
    "placebo": {"action": "store_true", "help": "permute levels within seeds: no trend claim may come out supported"},
    "check": {
        "default": "numbers",
        "choices": RINGS,
        "help": "what is compared with the record: verdicts alone, the numbers behind them, or also bits (default: numbers)",
    },
    "update-baseline": {
        "action": "store_true",
        "help": "put what this session found on record in reports/baseline.json",
    },
    "falsify": {
        "default": None,
        "metavar": "MINUTES",
        "help": "attack exact claims with generated cases for so long, all workers together, instead of testing claims",
    },
}
"""Name, without hyphens in front → what pytest is told of it."""

_TAKEN = "bth_taken"


def add(parser: pytest.Parser) -> None:
    """Add all options: those with ``--bth-`` now, the short ones when every plugin has added its own."""
    group = parser.getgroup("bthcheck", "claims about what training reveals")
    for name, attributes in OPTIONS.items():
        group.addoption(f"--bth-{name}", dest=_dest(name), **attributes)
    parse = parser.parse

    # A plugin that is loaded after this one would fail to add an option that is already there. pytest parses the whole command
    # line once, when all that can add options before it runs are loaded.
    def parse_with_short_names(*arguments: Any, **named: Any) -> Any:
        if _TAKEN not in vars(parser):
            vars(parser)[_TAKEN] = _add_short(parser, group)
        namespace = parse(*arguments, **named)
        setattr(namespace, _TAKEN, vars(parser)[_TAKEN])
        return namespace

    parser.parse = parse_with_short_names  # type: ignore[method-assign]


def _add_short(parser: pytest.Parser, group: Any) -> list[str]:
    """Add the short options whose names are free, and return the others."""
    used = set(_names(parser))
    for name, attributes in OPTIONS.items():
        if f"--{name}" not in used:
            group.addoption(f"--{name}", dest=_dest(name), **attributes | {"help": f"short for --bth-{name}"})
    return [f"--{name}" for name in OPTIONS if f"--{name}" in used]


def _names(parser: Any) -> Iterator[str]:
    for group in [*parser._groups, parser._anonymous]:
        for option in group.options:
            yield from option.names()


def option(config: pytest.Config, name: str) -> Any:
    """Return the value of the option `name`, a key of `OPTIONS`."""
    return config.getoption(_dest(name))


def taken(config: pytest.Config) -> str:
    """Return a sentence on short options that are another plugin's here; empty if none is."""
    names = getattr(config.option, _TAKEN, [])
    if not names:
        return ""
    ours = ", ".join(f"--bth-{name.removeprefix('--')}" for name in names)
    return f"bthcheck: {', '.join(names)} {'is' if len(names) == 1 else 'are'} another plugin's here; for this one's say {ours}"


def _dest(name: str) -> str:
    return "bth_" + name.replace("-", "_")
