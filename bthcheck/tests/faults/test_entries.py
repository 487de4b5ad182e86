"""Entries of the cache, locks and the folder itself, changed in every way: what is read is what was written, or nothing."""

import os
import warnings

import pytest

import bthcheck
from bthcheck.benchmark.faults.damage import Entries, kinds
from bthcheck.benchmark.faults.sessions import EXPERIMENT

EACH = 30  # 17 kinds: 510 changes


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return Entries(tmp_path_factory.mktemp("entries"))


@pytest.mark.parametrize("kind", kinds())
def test_a_changed_entry_is_noticed_or_the_same_numbers(entries, kind):
    outcomes = [entries.outcome(kind, seed) for seed in range(EACH)]
    assert len(kinds()) * EACH >= 500
    assert set(outcomes) <= {"detected", "harmless"}, outcomes
    if kind == "more metadata":
        assert set(outcomes) == {"harmless"}  # nothing that is read was changed
    else:
        assert outcomes.count("detected") > EACH // 2


def test_an_entry_that_is_too_large_is_not_read(entries):
    """A file of a terabyte, of which the disk holds nothing."""
    (key, *_) = entries.contents
    path = entries.folder / f"{key}.safetensors"
    try:
        os.truncate(path, 2**40)
    except OSError as error:
        pytest.skip(f"no file of a terabyte here: {error}")
    try:
        with pytest.warns(UserWarning, match="is damaged \\(it is larger than the file of this run can be\\)"):
            bthcheck.run(EXPERIMENT, engine="reference", cache=entries.folder, progress=False)
        assert path.stat().st_size < 2**20
    finally:
        path.write_bytes(entries.contents[key])


IN_THE_PLACE = {
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a folder that is not empty": lambda path: (path.mkdir(), (path / "mine").touch()),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file of somebody else": lambda path: path.symlink_to(path.parent.parent / "mine"),
}


def run_in(folder):
    """Return what is trained with a cache, and what was said of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        dataset = bthcheck.run(EXPERIMENT.replace(seeds=(0,)), engine="reference", cache=folder, progress=False)
    return dataset, [str(warning.message) for warning in said]


@pytest.mark.parametrize("what", IN_THE_PLACE)
@pytest.mark.parametrize("suffix", [".lock", ".safetensors"])
def test_whatever_is_in_the_place_of_an_entry_or_a_lock_is_harmless(entries, tmp_path, what, suffix):
    """filelock 3.16, which is allowed, followed a link and emptied what it points to."""
    (tmp_path / "mine").write_text("my thesis")
    folder = tmp_path / "cache"
    folder.mkdir()
    wanted = EXPERIMENT.replace(seeds=(0,))
    for key in entries.contents:
        IN_THE_PLACE[what](folder / f"{key}{suffix}")
    dataset, said = run_in(folder)
    assert dataset.identical(bthcheck.run(wanted, engine="reference", progress=False))
    assert (tmp_path / "mine").read_text() == "my thesis"
    assert not (folder / "nowhere").exists()
    again, _ = run_in(folder)
    assert again.identical(dataset)
    assert len(said) == len(set(said))
    if suffix == ".safetensors":
        assert sum("is damaged" in sentence for sentence in said) == 2  # of two runs
    elif "folder" in what:
        assert [sentence for sentence in said if "trained without locks" in sentence]
    else:
        assert not said


@pytest.mark.parametrize("what", [name for name in IN_THE_PLACE if "folder" not in name])
def test_a_cache_that_is_no_folder_is_refused_in_a_sentence(tmp_path, what):
    (tmp_path / "mine").write_text("my thesis")
    (tmp_path / "in").mkdir()
    IN_THE_PLACE[what](tmp_path / "in" / "cache")
    with pytest.raises(ValueError, match=r"^the cache folder .*cache cannot be used: [A-Z][a-z ]+[^\n]*$"):
        run_in(tmp_path / "in" / "cache")
    assert (tmp_path / "mine").read_text() == "my thesis"
