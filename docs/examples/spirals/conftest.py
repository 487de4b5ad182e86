pytest_plugins = ["bthcheck.pytest_plugin"]
