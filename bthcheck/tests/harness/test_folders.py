"""Temporary folders of sessions, and what is left of them."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

from bthcheck.harness import folders
from bthcheck.harness.folders import OWNER, remove_abandoned, session_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="where there are no users to tell apart, nothing is removed")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of the system's, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def own(folder, **changes):
    owner = json.loads((folder / OWNER).read_text())
    (folder / OWNER).write_text(json.dumps(owner | changes))


def test_the_folder_of_a_dead_session_is_removed_by_the_next(temporary):
    abandoned = session_folder()
    (abandoned / "runs").mkdir()
    (abandoned / "runs" / "a.safetensors").write_text("large")
    live = session_folder()
    assert abandoned.exists()  # its process is this one, which is alive
    own(abandoned, pid=dead_process())
    session_folder()
    assert not abandoned.exists()
    assert live.exists()


@pytest.mark.parametrize(
    "changes", [{"host": "another"}, {"numbers": "of another container"}, {"pid": 1}, {"pid": 2**70}, {"pid": "none"}]
)
def test_what_may_be_of_a_live_session_stays(temporary, changes):
    folder = session_folder()
    own(folder, **({"pid": dead_process()} | changes))
    remove_abandoned(temporary)
    assert folder.exists()


def test_what_has_no_owner_or_another_users_stays(temporary, monkeypatch):
    (temporary / "bthcheck-without").mkdir()
    (temporary / "bthcheck-cut").mkdir()
    (temporary / "bthcheck-cut" / OWNER).write_text("{")
    (temporary / "bthcheck-file").write_text("")
    foreign = session_folder()
    own(foreign, pid=dead_process())
    (temporary / "bthcheck-link").symlink_to(foreign)
    before = sorted(temporary.iterdir())
    with monkeypatch.context() as context:
        context.setattr(folders, "_user", lambda: os.getuid() + 1)
        remove_abandoned(temporary)
    assert sorted(temporary.iterdir()) == before
    remove_abandoned(temporary)
    assert sorted(set(before) - set(temporary.iterdir())) == [foreign]


def test_a_temporary_folder_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="no temporary folder can be made, TMPDIR names another place: No such file"):
        session_folder()
