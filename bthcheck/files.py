"""Files that are there whole or not at all, whatever happens meanwhile, and what is left of those of killed processes."""

import contextlib
import errno
import os
import re
import time
from pathlib import Path

from bthcheck.processes import is_alive, place

LEFT_BEHIND_SECONDS = 600  # a file is written in less
_TEMPORARY = re.compile(r"\.bthcheck-(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{16}\.tmp")


def temporary(folder: Path) -> Path:
    """Return a new name in a folder for a file that is not yet whole: it says of which process it is."""
    return folder / f".bthcheck-{place()}-{os.getpid()}-{os.urandom(8).hex()}.tmp"


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files of a folder that no process is still writing: theirs were killed.

    Of one of this machine that is known; another's are old enough.
    """
    found = []
    with contextlib.suppress(OSError):
        for item in os.scandir(folder):
            with contextlib.suppress(OSError):
                if (
                    item.name.startswith(".bthcheck-")
                    and item.name.endswith(".tmp")
                    and (
                        _is_of_the_dead(item.name)
                        or time.time() - item.stat(follow_symlinks=False).st_mtime > LEFT_BEHIND_SECONDS
                    )
                ):
                    found.append(Path(item.path))
    return sorted(found)


def sweep(folder: Path) -> None:
    """Remove what processes left in a folder that died while they wrote; what cannot be removed stays."""
    for path in leftovers(folder):
        with contextlib.suppress(OSError):
            path.unlink()


def _is_of_the_dead(name: str) -> bool:
    found = _TEMPORARY.fullmatch(name)
    return found is not None and found["place"] == place() and not is_alive(int(found["pid"]))


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that nobody ever finds a part of it: what was there before stays until all of the new is on the disk.

    Text becomes UTF-8. What UTF-8 has no bytes for, such as half of a surrogate pair, is written as its escape, ``\\ud800``,
    which JSON reads back as what it was. A link keeps pointing where it does. The new file has the permissions of any new file.

    Parameters
    ----------
    path : the file, in a folder that exists
    content : all of it

    Raises
    ------
    OSError
        If the file cannot be written, or something that is no file is in its place; it names `path`, and what was there before
        is untouched.
    """
    target = Path(os.path.realpath(path))  # a link that is replaced would leave behind what it points to
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "it is there and is no file", os.fspath(path))  # such as a device, which would be replaced
    unwritten = memoryview(content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
    unfinished = temporary(target.parent)  # in the same folder: replace is a rename
    try:
        with unfinished.open("xb", buffering=0) as file:
            while unwritten:  # a nearly full disk takes a part before it refuses
                unwritten = unwritten[file.write(unwritten) :]
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException as error:  # an interrupt too must leave nothing behind
        with contextlib.suppress(OSError):  # the folder is gone or has become read-only; the first error says more
            unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
