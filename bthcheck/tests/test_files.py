"""A file is there whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from bthcheck.files import write_whole

OLD = '{"laptop": {"T1": "supported"}}\n'
NEW = "x" * 100_000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_text_and_bytes_as_they_are(tmp_path):
    write_whole(tmp_path / "text", "φ = 0\n")
    assert (tmp_path / "text").read_bytes() == "φ = 0\n".encode()  # nor any other line ends, on any system
    write_whole(str(tmp_path / "bytes"), b"\x00\r\n\xff")
    assert (tmp_path / "bytes").read_bytes() == b"\x00\r\n\xff"
    write_whole(tmp_path / "text", "")
    assert (tmp_path / "text").read_bytes() == b""
    assert names(tmp_path) == ["bytes", "text"]


def test_half_a_character_becomes_its_escape(tmp_path):
    write_whole(tmp_path / "text", '"\ud800 φ"')
    assert (tmp_path / "text").read_text(encoding="utf-8") == '"\\ud800 φ"'


@pytest.mark.skipif(os.name == "nt", reason="no permissions of this kind")
@pytest.mark.parametrize("mask", [0o022, 0o007])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    write_whole(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "text"


@pytest.mark.parametrize("there", [True, False])
def test_a_full_disk_leaves_what_was_there(tiny_disk, there):
    path = tiny_disk / "baseline.json"
    if there:
        path.write_text(OLD)
    with pytest.raises(OSError, match=r"No space left on device: '.*baseline\.json'") as caught:
        write_whole(path, NEW)
    assert caught.value.errno == errno.ENOSPC
    assert names(tiny_disk) == ["baseline.json"] * there
    assert not there or path.read_text() == OLD


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupt"]
)
def test_whatever_fails_leaves_what_was_there(tmp_path, monkeypatch, call, error):
    def fail(*_):
        raise error

    path = tmp_path / "file"
    path.write_text(OLD)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)):
        write_whole(path, NEW)
    assert names(tmp_path) == ["file"]
    assert path.read_text() == OLD


LIMITED = """
import resource, signal, sys
from bthcheck.files import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_whole(sys.argv[1], "x" * 100_000)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit on the size of a file")
def test_a_limit_on_the_size_of_files_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text(OLD)
    process = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert process.stdout == f"[Errno {errno.EFBIG}] File too large: '{path}'\n"
    assert names(tmp_path) == ["file"]
    assert path.read_text() == OLD


def test_a_folder_that_is_not_there_is_named_by_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.file'$"):
        write_whole(tmp_path / "none" / "file", "text")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir()])
def test_what_is_no_file_is_not_replaced(tmp_path, make):
    """A device, say: /dev/zero once became a file of zeros no more, by way of a link."""
    make(tmp_path / "other")
    (tmp_path / "link").symlink_to("other")
    for name in ("other", "link"):
        with pytest.raises(OSError, match=rf"it is there and is no file: .*{name}"):
            write_whole(tmp_path / name, "text")
    assert not (tmp_path / "other").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"link", "other"}
