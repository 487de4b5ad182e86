"""Machine code of the kernels: never that of other code, and never a reason to fail."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from filelock import FileLock
from numba.core.errors import TypingError

from bthcheck.training import code, interrupt
from bthcheck.training.fused import machine_code
from bthcheck.training.fused.compiling import leaf

FORWARD = """
import numpy as np
from bthcheck.networks import MLP
from bthcheck.training.fused import steps
from bthcheck.training.fused.packing import Packed, rows_of

mlp = MLP((2, 3, 1), "trained")
packed = Packed(mlp.build(1), mlp)
x = rows_of(np.array([[0.3, -0.7]], np.float32))
print(steps.forward(packed.program, None, x, np.uintp(0)), steps.forward.stats.cache_hits)
"""


@pytest.fixture
def package(tmp_path):
    """A folder with a copy of the package that may be changed."""
    shutil.copytree(code.PACKAGE, tmp_path / "bthcheck", ignore=shutil.ignore_patterns("tests", "*.npz", "__pycache__"))
    return tmp_path


def forward(folder, **environment):
    """What one forward pass gives in a process of its own, whether its program was stored, and what was said."""
    changed = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    process = subprocess.run(
        [sys.executable, "-c", FORWARD], cwd=folder, env=inherited | changed, capture_output=True, text=True, check=True
    )
    value, hits = process.stdout.split(maxsplit=1)
    return float(value), "array" in hits, process.stderr


def shift_output(folder, value):
    path = folder / "bthcheck" / "training" / "fused" / "affine.py"
    text = path.read_text(encoding="utf-8")
    assert text.count("+ total(s)") == 1
    path.write_text(text.replace("+ total(s)", f"+ total(s) + {value}"), encoding="utf-8")


def test_a_program_belongs_to_all_the_code_it_was_made_of(package):
    """steps.forward is made of affine.upper_layers: an edit of affine.py alone once left the old one in use."""
    old, stored, _ = forward(package)
    assert not stored
    assert forward(package)[:2] == (old, True)
    shift_output(package, 0.5)
    new, stored, _ = forward(package)
    assert not stored
    assert new != old
    assert forward(package, NUMBA_CACHE_DIR=str(package / "empty"))[0] == new
    assert forward(package)[:2] == (new, True)


def test_two_checkouts_share_a_folder_and_no_program(package, tmp_path_factory):
    """Branches in two worktrees that NUMBA_CACHE_DIR brings together: each finds its own again."""
    other = tmp_path_factory.mktemp("worktree")
    shutil.copytree(package / "bthcheck", other / "bthcheck")
    shift_output(other, 0.5)
    shared = str(tmp_path_factory.mktemp("shared"))
    one, two = forward(package, NUMBA_CACHE_DIR=shared)[0], forward(other, NUMBA_CACHE_DIR=shared)[0]
    assert one != two
    assert forward(package, NUMBA_CACHE_DIR=shared)[:2] == (one, True)
    assert forward(other, NUMBA_CACHE_DIR=shared)[:2] == (two, True)


def test_a_program_belongs_to_its_processor(package):
    assert not forward(package)[1]
    assert not forward(package, NUMBA_CPU_NAME="generic")[1]
    assert forward(package, NUMBA_CPU_NAME="generic")[1]
    assert forward(package)[1]


def test_where_nothing_can_be_written_a_folder_of_the_process_will_do(package):
    """Package read-only and no HOME: "cannot cache function … no locator available" at import, once."""
    (package / "bthcheck" / "training" / "fused" / "__pycache__").write_text("a file where a folder should be")
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache"}
    value, stored, said = forward(package, **nowhere)
    assert not stored
    assert said.count("compiled kernels are kept for this process alone") == 1
    assert "NUMBA_CACHE_DIR" in said
    assert forward(package, NUMBA_CACHE_DIR=str(package / "here"))[::2] == (value, "")
    unused = "import bthcheck.training.engines"
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", **nowhere}
    assert not subprocess.run(
        [sys.executable, "-c", unused], cwd=package, env=environment, capture_output=True, check=True
    ).stderr


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder for this test's machine code."""
    monkeypatch.setattr(machine_code, "folder", lambda: tmp_path)
    machine_code._unwritten.cache_clear()
    machine_code._tidy.cache_clear()
    return tmp_path


def double(x):
    return 2 * x


def stored_again():
    """Whether a function made anew finds its program."""
    again = leaf(double)
    assert again(np.float64(1.5)) == 3
    return bool(again.stats.cache_hits)


def test_what_is_stored_is_found_again(store):
    assert not stored_again()
    assert [path.name.partition("-")[0] for path in store.iterdir()] == [f"{__name__}.double"]
    assert stored_again()


@pytest.mark.parametrize("harm", [lambda b: b[:100], lambda b: b"", lambda b: b[:200] + b"x" + b[201:], lambda b: b + b"more"])
def test_a_damaged_program_is_made_anew(store, harm):
    stored_again()
    (path,) = store.iterdir()
    path.write_bytes(harm(path.read_bytes()))
    assert not stored_again()
    assert stored_again()


def test_a_full_disk_costs_a_compilation_and_no_result(store, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(machine_code, "write_whole", full)
    with pytest.warns(UserWarning, match=r"compiled kernels could not be stored .*No space left on device"):
        assert not stored_again()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not stored_again()  # said once
    assert not list(store.iterdir())


@pytest.fixture
def missing(store):
    """A program that is not there, its content, and the lock of who compiles it."""
    stored_again()
    (program,) = store.glob("*.nbc")
    content = program.read_bytes()
    program.unlink()
    return program, content, program.with_suffix(".lock")


def test_one_process_compiles_and_the_others_load_what_it_made(missing):
    program, content, lock = missing
    found = []
    with FileLock(lock):
        waiting = threading.Thread(target=lambda: found.append(stored_again()))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        program.write_bytes(content)
    waiting.join(30)
    assert found == [True]
    assert not lock.exists()


def test_processes_that_start_together_compile_a_program_once(package):
    found = []
    threads = [threading.Thread(target=lambda: found.append(forward(package))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored for _, stored, _ in found) == [False, True]
    assert found[0][0] == found[1][0]
    assert not list((package / "bthcheck" / "training" / "fused" / "__pycache__" / "machine-code").glob("*.lock"))


def test_who_takes_too_long_is_not_waited_for(missing, monkeypatch):
    program, _, lock = missing
    monkeypatch.setattr(machine_code, "PATIENCE_SECONDS", 0.2)
    with FileLock(lock):
        assert not stored_again()
        assert program.exists()
        assert lock.exists()


def test_who_was_killed_is_not_waited_for(missing):
    program, _, lock = missing
    holding = f"import time, filelock; lock = filelock.FileLock({str(lock)!r}).acquire(); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        held = threading.Timer(0.2, holder.kill)
        held.start()
        assert not stored_again()
        held.join()
    assert program.exists()
    assert not lock.exists()


def test_where_no_locks_can_be_had_each_compiles_for_itself(missing, monkeypatch):
    def none(self):
        raise NotImplementedError

    monkeypatch.setattr(machine_code.FileLock, "acquire", none)
    assert not stored_again()
    assert stored_again()


def test_waiting_for_a_program_ends_when_training_is_asked_to_stop(missing):
    _, _, lock = missing
    stop = interrupt.Stop()
    with FileLock(lock):
        interrupt._thread.stop = stop
        try:
            asked = threading.Timer(0.2, stop.request)
            asked.start()
            with pytest.raises(interrupt.Interrupted):
                stored_again()
        finally:
            del interrupt._thread.stop
    assert not stored_again()  # the turn was not taken


def test_a_program_that_cannot_be_compiled_fails_again_and_does_not_wait(store):
    def wrong(x):
        return x.nothing

    failing = leaf(wrong)
    for _ in range(2):
        found = []

        def attempt(found=found):
            with pytest.raises(TypingError):
                failing(np.float64(1.5))
            found.append(True)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join(30)
        assert found


def test_code_that_changed_since_it_was_imported_is_neither_stored_nor_found(store, monkeypatch):
    monkeypatch.setattr(machine_code.code, "digest", lambda module: None)
    assert not stored_again()
    assert not list(store.iterdir())


def test_programs_of_a_month_ago_are_removed(store):
    for name, days in (("old.nbc", 31), ("new.nbc", 29), ("old.lock", 31), ("new.lock", 29), ("old.txt", 31)):
        (store / name).touch()
        os.utime(store / name, (0, (store / name).stat().st_mtime - 86400 * days))
    stored_again()
    assert {"new.nbc", "new.lock", "old.txt"} == {path.name for path in store.iterdir() if "double" not in path.name}


def test_what_is_to_be_followed_is_text_that_was_imported(monkeypatch):
    """A digest of files that changed since this process read them would be one of other code."""
    module = "bthcheck.training.streams"
    assert code.digest.__wrapped__(module) is not None
    path = code.PACKAGE / "training" / "streams.py"
    monkeypatch.setitem(code._IMPORTED, path, (0, 0))
    assert code.digest.__wrapped__(module) is None
    monkeypatch.delitem(code._IMPORTED, path)
    assert code.digest.__wrapped__(module) is None
