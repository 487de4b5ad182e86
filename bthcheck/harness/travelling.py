"""The pytest plugin by which the paper's claims run outside a checkout; see `bthcheck.harness.paper`."""

import pytest

from bthcheck.harness.paper import call_by_name

pytest_plugins = ["bthcheck.harness.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    call_by_name()
