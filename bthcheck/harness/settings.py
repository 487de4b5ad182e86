"""The command line, checked before anything is trained."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from bthcheck.checks import readable_folder, seeds, writable_folder
from bthcheck.choices import ROOT_VARIABLE, available_threads, check_device
from bthcheck.harness import paper
from bthcheck.harness.falsify import minutes_of
from bthcheck.harness.folders import session_folder
from bthcheck.harness.options import ALL_FAMILIES, option
from bthcheck.harness.paper import PLUGIN, RECORD, on_record
from bthcheck.harness.session import Channel
from bthcheck.training import clusters


@dataclass(frozen=True)
class Settings:
    """The command line, checked.

    results : folder of the report
    cache : folder of finished runs; with --no-cache, one that is deleted after the session
    channel : what the processes of this session share
    seeds : None for the profile's
    threads : runs that this process trains at once
    save_data : whether a page and the Dataset of every experiment are written beside the report
    baseline : file that verdicts are put on record in
    record : file that those on record are read from
    data : archive of images that is read in the place of the full CIFAR-10, or None
    check : the ring that is compared with the record
    update : whether what is found is put on record, and so not held against a claim
    markdown : file that the verdicts are written to as Markdown, or None; a matter of the process that reports
    family : the one whose claims are tested, or None for all
    dask : the Dask cluster that trains, see `bthcheck.training.clusters`; None for this process
    falsify : minutes for which exact claims are attacked in the place of a test of any, all workers together; None to test them
    """

    profile: str
    results: Path
    cache: Path
    channel: Channel
    seeds: tuple[int, ...] | None
    threads: int
    placebo: bool
    save_data: bool
    baseline: Path
    record: Path
    data: Path | None
    check: str
    update: bool
    markdown: Path | None = None
    family: str | None = None
    dask: str | None = None
    falsify: float | None = None

    def check_folders(self) -> None:
        """Create the folders that claims write to; raise ``ValueError`` with one sentence on one that cannot be used.

        Finished runs may be in a folder that can be read alone.
        """
        writable_folder("results", self.results)
        readable_folder("cache", self.cache)


def settings_of(config: pytest.Config) -> Settings:
    """Check the command line; raise ``ValueError`` with one sentence on what is wrong.

    Nothing is written but a temporary folder: whether the others can be matters only where there are claims.
    """
    chosen = None if option(config, "seeds") is None else seeds("--seeds", option(config, "seeds"))
    shared = getattr(config, "workerinput", {}).get("bthcheck")
    dask = option(config, "dask")
    falsify = minutes_of(config)
    if shared is None:
        check_device(option(config, "device"), here=dask is None)
        if dask is not None:
            clusters.check("--dask", dask)
        _data(config)
        channel = session_folder()
        cache = channel / "runs" if option(config, "no-cache") else _folder(config, "cache-dir", ".bthcheck_cache")
        folders = {"channel": channel, "results": _folder(config, "results-dir", "reports"), "cache": cache, **_records(config)}
    else:
        dask = shared.get("dask", dask)  # of local:N, what has been started is an address
        folders = {name: Path(path) for name, path in shared.items() if name != "dask"}
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    return Settings(
        profile=option(config, "profile"),
        results=folders["results"],
        cache=folders["cache"],
        channel=Channel(folders["channel"]),
        seeds=chosen,
        threads=at_once(workers, available_threads()),
        placebo=option(config, "placebo"),
        save_data=option(config, "save-data"),
        baseline=folders["baseline"],
        record=folders["record"],
        data=_data_file(config) if shared is None else folders.get("data"),
        check=option(config, "check"),
        update=option(config, "update-baseline") and not option(config, "placebo"),
        markdown=_markdown_file(config) if shared is None else None,
        family=None if option(config, "family") == ALL_FAMILIES else option(config, "family"),
        dask=dask,
        falsify=falsify,
    )


def at_once(workers: int, cores: int) -> int:
    """Return how many runs a worker trains at once.

    With no more workers than cores each has its share of the cores. With more, as many as there are cores run claims, and train
    in the place of those that stand by: so that the last claim of a session has more than one core, too.
    """
    return max(cores // workers, -(-workers // min(workers, cores)))


def _data(config: pytest.Config) -> None:
    """Name the folder of the full data sets, for the workers too, and fetch what --download asks for."""
    root = option(config, "data-root")
    if root is not None:
        environment = pytest.MonkeyPatch()
        environment.setenv(ROOT_VARIABLE, str(config.invocation_params.dir / root))
        config.add_cleanup(environment.undo)
    if option(config, "download"):
        from bthcheck.datasets.full import download

        download("cifar10")


def _records(config: pytest.Config) -> dict[str, Path]:
    """Return the files of the verdicts on record; the paper's claims bring theirs along, and a replay that of its report."""
    if paper.replayed:
        return dict.fromkeys(("baseline", "record"), paper.replayed[0])
    if not config.pluginmanager.hasplugin(PLUGIN):
        return dict.fromkeys(("baseline", "record"), config.rootpath / RECORD)
    here = config.invocation_params.dir
    return {"baseline": here / RECORD, "record": on_record(here)}


def _data_file(config: pytest.Config) -> Path | None:
    """Return the archive of --data-file, after a look at whether it is one and, in the paper profile, holds what that needs."""
    given = option(config, "data-file")
    if given is None:
        return None
    path = config.invocation_params.dir / given
    if option(config, "download"):
        raise ValueError("--data-file is read in the place of the full CIFAR-10, which --download fetches; say one of them")
    if path.suffix != ".npz":
        raise ValueError(f"--data-file must be a file that ends in .npz, got {given!r}")
    if option(config, "profile") == "paper":
        from bthcheck.experiments import CORRUPTED_CIFAR, from_file

        from_file(CORRUPTED_CIFAR, path)
    else:
        from bthcheck.datasets.archives import open_archive

        open_archive(path)
    return path


def _markdown_file(config: pytest.Config) -> Path | None:
    given = option(config, "markdown")
    if given is None:
        return None
    if not given or (config.invocation_params.dir / given).is_dir():
        raise ValueError(f"--markdown must be the name of a file, got {given!r}")
    return Path(config.invocation_params.dir, given)


def _folder(config: pytest.Config, name: str, default: str) -> Path:
    given = option(config, name)
    return config.rootpath / default if given is None else config.invocation_params.dir / given


def worker_number(config: pytest.Config) -> int:
    name = getattr(config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))
