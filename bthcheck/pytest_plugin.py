"""The pytest plugin, by the name that a ``conftest.py`` loads it by; it lives in `bthcheck.harness`."""

pytest_plugins = ["bthcheck.harness.plugin"]
