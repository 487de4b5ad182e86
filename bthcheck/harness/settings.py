"""The command line, checked before anything is trained."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from bthcheck.checks import distinct, writable_folder
from bthcheck.choices import ROOT_VARIABLE, available_threads, check_device
from bthcheck.harness.folders import session_folder
from bthcheck.harness.session import Channel
from bthcheck.report.baseline import read_baseline


@dataclass(frozen=True)
class Settings:
    """The command line, checked.

    results : folder of the report
    cache : folder of finished runs; with --no-cache, one that is deleted after the session
    channel : what the processes of this session share
    seeds : None for the profile's
    threads : cores for this process
    """

    profile: str
    results: Path
    cache: Path
    channel: Channel
    seeds: tuple[int, ...] | None
    threads: int
    placebo: bool
    baseline: dict[str, str]


def settings_of(config: pytest.Config) -> Settings:
    """Check the command line; raise ``ValueError`` with one sentence on what is wrong."""
    option = config.getoption
    seeds = _seeds(option("seeds"))
    baseline = read_baseline(baseline_path(config), option("profile"))
    shared = getattr(config, "workerinput", {}).get("bthcheck")
    if shared is None:
        check_device(option("device"))
        _data(config)
        results = writable_folder("results", _folder(config, "results_dir", "reports"))
        if not option("no_cache"):
            cache = writable_folder("cache", _folder(config, "cache_dir", ".bthcheck_cache"))
        channel = session_folder()
        folders = {"channel": channel, "results": results, "cache": channel / "runs" if option("no_cache") else cache}
    else:
        folders = {name: Path(path) for name, path in shared.items()}
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    return Settings(
        profile=option("profile"),
        results=folders["results"],
        cache=folders["cache"],
        channel=Channel(folders["channel"]),
        seeds=seeds,
        threads=max(1, available_threads() // workers),
        placebo=option("placebo"),
        baseline=baseline,
    )


def _data(config: pytest.Config) -> None:
    """Name the folder of the full data sets, for the workers too, and fetch what --download asks for."""
    root = config.getoption("data_root")
    if root is not None:
        environment = pytest.MonkeyPatch()
        environment.setenv(ROOT_VARIABLE, str(config.invocation_params.dir / root))
        config.add_cleanup(environment.undo)
    if config.getoption("download"):
        from bthcheck.datasets.full import download

        download("cifar10")


def _folder(config: pytest.Config, option: str, default: str) -> Path:
    given = config.getoption(option)
    return config.rootpath / default if given is None else config.invocation_params.dir / given


def baseline_path(config: pytest.Config) -> Path:
    return config.rootpath / "reports" / "baseline.json"


def _seeds(text: str | None) -> tuple[int, ...] | None:
    """Parse "10" as ten seeds from 0 and "0,3,7" as those three."""
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if "," not in text and numbers[0] > 0:
        return tuple(range(numbers[0]))
    if "," not in text or min(numbers) < 0:
        raise ValueError(f"--seeds must be a number of seeds or a list such as 0,3,7, got {text!r}")
    return distinct("--seeds", numbers)


def worker_number(config: pytest.Config) -> int:
    name = getattr(config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))
