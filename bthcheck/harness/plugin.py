"""The pytest plugin: options, and hooks for each process of a session. What they do is done elsewhere."""

import pytest

from bthcheck.choices import ENGINES, PROFILES
from bthcheck.harness.controller import Controller
from bthcheck.harness.settings import settings_of
from bthcheck.harness.stash import SETTINGS
from bthcheck.harness.worker import Worker

pytest_plugins = ["bthcheck.harness.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bthcheck", "claims about what training reveals")
    add = group.addoption
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--engine", default="auto", choices=ENGINES, help="how to train (default: auto, the fastest that can)")
    add("--seeds", default=None, metavar="N", help="number of seeds, or a list such as 0,3,7 (default: the profile's)")
    add("--profile", default="laptop", choices=PROFILES, help="scale of the experiments (default: laptop)")
    add("--results-dir", default=None, metavar="DIR", help="where the report goes (default: reports)")
    add("--cache-dir", default=None, metavar="DIR", help="finished runs (default: .bthcheck_cache)")
    add("--no-cache", action="store_true", help="train everything anew and keep no run")
    add("--data-root", default=None, metavar="DIR", help="torchvision's files of the full data sets (default: data)")
    add("--download", action="store_true", help="fetch the full CIFAR-10, which the paper profile needs, unless it is there")
    add("--placebo", action="store_true", help="permute levels within seeds: no trend claim may come out supported")
    add("--update-baseline", action="store_true", help="put this session's verdicts on record in reports/baseline.json")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim(claim): the test of a claim; use the decorator bthcheck.claim")
    try:
        settings = settings_of(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    session = Worker(config, settings) if hasattr(config, "workerinput") else Controller(config, settings)
    config.stash[SETTINGS] = settings
    config.pluginmanager.register(session, "bthcheck-session")
