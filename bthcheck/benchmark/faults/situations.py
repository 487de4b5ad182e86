"""Disks that are full or cannot be written, folders that go away, locks of others, and several sessions at once."""

import contextlib
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from bthcheck.benchmark.faults.kills import Trial
from bthcheck.benchmark.faults.sessions import RUNS, Outcome, Place, begin, end, place, session


class Impossible(Exception):
    """What this machine does not allow, such as to mount a file system."""


def trial(name: str, seed: int, reference: Place) -> Trial:
    """Run sessions in this situation and compare them with one to which nothing happened."""
    with tempfile.TemporaryDirectory(dir=reference.folder.parent) as folder:
        return SITUATIONS[name](Path(folder), seed, reference)


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something at a folder; raises `Impossible` where nothing may be."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Impossible(f"no mount here: {error}") from error
    if done.returncode:
        raise Impossible(f"nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def disk(folder: Path, size: int) -> "contextlib.AbstractContextManager[Path]":
    """Return a folder with a file system of its own, of so many bytes."""
    return mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def _compared(at: Place, outcome: Outcome, reference: Place, said: tuple[tuple[str, int], ...] = (), code: int = 1) -> Trial:
    """Compare claims and entries with the undisturbed session's; `said`: what is to be printed, and how often."""
    expected = reference.digests()
    wrong = sum(value != expected.get(key) for key, value in at.digests().items())
    wrong += sum(row["verdict"] is not None and row != reference.rows[id] for id, row in at.rows.items())
    unsaid = next((f"{text} is said {n} times, not {times}" for text, times in said
                   if (n := len(re.findall(text, outcome.text))) != times), "")  # fmt: skip
    if outcome.code != code or "Traceback" in outcome.text or "INTERNALERROR" in outcome.text:
        unsaid = unsaid or f"ended with {outcome.code}"
    return Trial(lost=0, wrong=wrong, left=len(at.left), unsaid=unsaid and f"{unsaid}: {outcome.text[-2000:]}")


def _full_cache(folder: Path, seed: int, reference: Place) -> Trial:
    """Room for some of the entries, each of 8 KiB or so: the others are kept in memory."""
    size = random.Random(seed).randrange(3, 9) * 4096
    with disk(folder / "disk", size) as small:
        at = place(folder / "at", cache=small / "cache")
        outcome = session(at, "-n", "0")
        return _with_all_claims(at, _compared(at, outcome, reference, (("may not be kept in .*: No space left on device", 1),)))


def _full_results(folder: Path, seed: int, reference: Place) -> Trial:
    """Too small for a report: the verdicts are printed, the cache has all runs, and a later session writes the report."""
    size = random.Random(seed).randrange(1, 4) * 4096
    with disk(folder / "disk", size) as small:
        at = place(folder / "at", results=small / "reports")
        first = session(at, "-n", "0")
        said = (("there is no new report: .*No space left on device", 1), ("\nLOSS .*inconclusive", 1))
        full = _compared(at, first, reference, said)
    at = Place(at.folder, at.cache, folder / "elsewhere")
    return _with_all_claims(at, _compared(at, session(at, "-n", "0"), reference, ((f"{RUNS} runs from the cache", 1),)), full)


def _read_only(folder: Path, seed: int, reference: Place) -> Trial:
    """Some of the runs are in a cache that cannot be written: they are served, the others are trained, and it is said once."""
    at = place(folder / "at")
    session(at, "-n", "0")
    gone = random.Random(seed).sample(sorted(at.cache.glob("*.safetensors")), 2)
    for path in gone:
        path.unlink()
    before = sorted(path.name for path in at.cache.iterdir())
    with mounted(at.cache, "--bind", str(at.cache)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(at.cache)], check=True)
        outcome = session(at, "-n", "0")
        said = (("are read from .* but not kept there", 1), (f"{RUNS - 2} runs from the cache, 2 trained", 1))
        found = _compared(at, outcome, reference, said)
        return found if before == sorted(path.name for path in at.cache.iterdir()) else Trial(wrong=1)


def _deleted(which: str) -> Callable[[Path, int, Place], Trial]:
    def deleted(folder: Path, seed: int, reference: Place) -> Trial:
        """A folder is removed while the session runs: it is made again, and what is computed is not lost."""
        at = place(folder / "at")
        where = {"cache": at.cache, "results": at.results, "temporary": at.temporary}[which]
        number = random.Random(seed).randint(1, RUNS)
        outcome = session(at, "-n", "0", fault={"where": "training", "number": number, "delete": str(where)})
        if not (at.folder / "struck").exists():
            return Trial(struck=False)
        at.temporary.mkdir(exist_ok=True)
        found = _with_all_claims(at, _compared(at, outcome, reference))
        again = session(at, "-n", "0")
        return _with_all_claims(at, _compared(at, again, reference), found)

    return deleted


def _foreign_lock(folder: Path, seed: int, reference: Place) -> Trial:
    """Another process holds a lock: it is said which run, which file and since when; then the run is trained."""
    at = place(folder / "at")
    at.cache.mkdir()
    key = random.Random(seed).choice(sorted(reference.digests()))
    sentence = re.compile(rf"waiting for tiny at frequency=[\d.]+, seed=\d.* since \d\d:\d\d:\d\d or longer; .*{key}\.lock")
    with FileLock(at.cache / f"{key}.lock"):
        process = begin(at, "-n", "0", "-s")
        assert process.stdout is not None
        text, until = "", time.monotonic() + 120
        while not sentence.search(text) and time.monotonic() < until:
            line = process.stdout.readline()
            if not line:
                break
            text += line
    rest = end(process)
    found = _compared(at, rest, reference)
    unsaid = found.unsaid if sentence.search(text) else f"nothing was said of the lock: {text}"
    return _with_all_claims(at, Trial(wrong=found.wrong, left=found.left, unsaid=unsaid))


def _several(folder: Path, seed: int, reference: Place) -> Trial:
    """Three sessions begin at once on one cache: every run is trained by one of them."""
    places = [place(folder / str(number), cache=folder / "cache") for number in range(3)]
    processes = []
    for at in places:
        processes.append(begin(at, "-n", "0"))
        time.sleep(random.Random(seed + len(processes)).uniform(0, 0.3))
    found = [
        _with_all_claims(at, _compared(at, end(process), reference)) for at, process in zip(places, processes, strict=True)
    ]
    trained = sum(at.records["runs"]["trained"] for at in places)
    return Trial(
        lost=trained - RUNS, wrong=sum(one.wrong for one in found), left=sum(one.left for one in found),
        unsaid=next((one.unsaid for one in found if one.unsaid), ""),
    )  # fmt: skip


def _with_all_claims(at: Place, found: Trial, *before: Trial) -> Trial:
    """Add up trials; a claim without a verdict in the report is lost."""
    missing = 3 - sum(row["verdict"] is not None for row in at.rows.values())
    return Trial(
        lost=found.lost + missing + sum(one.lost for one in before), wrong=found.wrong + sum(one.wrong for one in before),
        left=found.left, unsaid=next((one.unsaid for one in (*before, found) if one.unsaid), ""),
    )  # fmt: skip


SITUATIONS: dict[str, Callable[[Path, int, Place], Trial]] = {
    "the disk of the cache is full": _full_cache,
    "the disk of the results is full": _full_results,
    "the cache cannot be written": _read_only,
    "the cache is deleted while a session runs": _deleted("cache"),
    "the results are deleted while a session runs": _deleted("results"),
    "the temporary folder is deleted while a session runs": _deleted("temporary"),
    "another process holds a lock": _foreign_lock,
    "three sessions at once on one cache": _several,
}
