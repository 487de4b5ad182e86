"""The temporary folder of a session, and what is left of those of sessions that died."""

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bthcheck.processes import is_alive, numbered_in

PREFIX = "bthcheck-"
OWNER = "owner.json"
"""In a session's folder: which process of which machine it is of."""


def session_folder() -> Path:
    """Make a folder for what the processes of this session share, and remove those of sessions that died.

    Raises
    ------
    ValueError
        If no temporary folder can be made.
    """
    try:
        parent = Path(tempfile.gettempdir())
        remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise ValueError(f"no temporary folder can be made, TMPDIR names another place: {error.strerror}") from error
    with contextlib.suppress(OSError):  # on a full disk it stays without an owner, and no other session removes it
        (folder / OWNER).write_text(json.dumps(_here() | {"pid": os.getpid()}), encoding="utf-8")
    return folder


def abandoned(parent: Path) -> list[Path]:
    """Return the folders of this user's sessions on this machine whose process is dead."""
    found = []
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):
            if not folder.is_symlink() and folder.lstat().st_uid == _user() and _is_abandoned(folder):
                found.append(folder)
    return found


def remove_abandoned(parent: Path) -> None:
    """Remove the folders that are abandoned; what cannot be removed stays."""
    for folder in abandoned(parent):
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Whether the owner of a folder is known to be dead: one of another machine or container may be alive."""
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        known = {name: owner[name] for name in _here()}
        return known == _here() and not is_alive(owner["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _here() -> dict[str, Any]:
    host, numbers = numbered_in()
    return {"host": host, "numbers": numbers}


def _user() -> int | None:
    return os.getuid() if hasattr(os, "getuid") else None  # where there are no users to tell apart, nothing is removed
