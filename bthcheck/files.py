"""Files that are there whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import os
from pathlib import Path


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
    temporary = target.with_name(
        f".bthcheck-{os.getpid()}-{os.urandom(8).hex()}.tmp"
    )  # in the same folder: replace is a rename
    try:
        with temporary.open("xb", buffering=0) as file:
            while unwritten:  # a nearly full disk takes a part before it refuses
                unwritten = unwritten[file.write(unwritten) :]
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException as error:  # an interrupt too must leave nothing behind
        with contextlib.suppress(OSError):  # the folder is gone or has become read-only; the first error says more
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
