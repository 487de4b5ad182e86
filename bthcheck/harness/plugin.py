"""The pytest plugin: options, and hooks for each process of a session. What they do is done elsewhere."""

import pytest

from bthcheck.harness import options
from bthcheck.harness.controller import Controller
from bthcheck.harness.settings import settings_of
from bthcheck.harness.stash import SETTINGS, TRAINED
from bthcheck.harness.trained import Trained
from bthcheck.harness.worker import Worker

pytest_plugins = ["bthcheck.harness.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim(claim): the test of a claim; use the decorator bthcheck.claim")
    try:
        settings = settings_of(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    session = Worker(config, settings) if hasattr(config, "workerinput") else Controller(config, settings)
    config.stash[SETTINGS] = settings
    config.stash[TRAINED] = Trained()
    config.pluginmanager.register(session, "bthcheck-session")


def pytest_report_header(config: pytest.Config) -> list[str]:
    sentence = options.taken(config)
    return [sentence] if sentence else []
