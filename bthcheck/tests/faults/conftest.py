import shutil

import pytest

from bthcheck.benchmark.faults.kills import undisturbed


@pytest.fixture(scope="session")
def reference():
    """The place of a small session to which nothing happened."""
    at = undisturbed()
    yield at
    shutil.rmtree(at.folder.parent, ignore_errors=True)
