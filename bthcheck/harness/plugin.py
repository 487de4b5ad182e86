"""The pytest plugin: options, fixtures and hooks. What they do is done elsewhere."""

import contextlib
import gc
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bthcheck.checks import distinct, writable_folder
from bthcheck.choices import ENGINES, PROFILES, ROOT_VARIABLE, available_threads, check_device, cuda_count, share_of_devices
from bthcheck.harness.session import Channel, ProgressMonitor, RunLog, usage
from bthcheck.report.records import PROPERTY, Results, read_baseline, write_baseline

if TYPE_CHECKING:
    import xarray as xr

    from bthcheck.experiments import Experiment
    from bthcheck.harness.claims import Claim, Evidence

_EXAMPLES = {"quick": 100, "laptop": 150, "paper": 4000}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_NETWORKS = {"quick": 2, "laptop": 3, "paper": 10}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bthcheck", "claims about what training reveals")
    add = group.addoption
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--engine", default="auto", choices=ENGINES, help="how to train (default: auto, the fastest that can)")
    add("--seeds", default=None, metavar="N", help="number of seeds, or a list such as 0,3,7 (default: the profile's)")
    add("--profile", default="laptop", choices=PROFILES, help="scale of the experiments (default: laptop)")
    add("--results-dir", default=None, metavar="DIR", help="where the report goes (default: reports)")
    add("--cache-dir", default=None, metavar="DIR", help="finished runs (default: .bthcheck_cache)")
    add("--no-cache", action="store_true", help="train everything anew and keep no run")
    add("--data-root", default=None, metavar="DIR", help="torchvision's files of the full data sets (default: data)")
    add("--download", action="store_true", help="fetch the full CIFAR-10, which the paper profile needs, unless it is there")
    add("--placebo", action="store_true", help="permute levels within seeds: no trend claim may come out supported")
    add("--update-baseline", action="store_true", help="put this session's verdicts on record in reports/baseline.json")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "claim(claim): the test of a claim; use the decorator bthcheck.claim")
    try:
        settings = _settings(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    session = _Worker(config, settings) if hasattr(config, "workerinput") else _Controller(config, settings)
    config.stash[_SESSION] = session
    config.pluginmanager.register(session, "bthcheck-session")


# ---------------------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """The device to train on. With ``--device cuda`` on several GPUs, each worker has its share."""
    chosen = pytestconfig.getoption("device")
    if chosen != "cuda":
        return chosen
    return share_of_devices(chosen, _worker_number(pytestconfig), cuda_count())


@pytest.fixture(scope="session")
def train(pytestconfig: pytest.Config, device: str) -> "Callable[[Experiment], xr.Dataset]":
    """A function that trains an experiment as the command line asks and returns its Dataset."""
    settings = pytestconfig.stash[_SESSION].settings

    def train_experiment(experiment: "Experiment") -> "xr.Dataset":
        from bthcheck.experiments import at_profile
        from bthcheck.training.engines import resolve, run
        from bthcheck.training.runs import Run

        engine = pytestconfig.getoption("engine")
        try:  # what cannot be trained is refused in a sentence, before anything is
            sized = at_profile(experiment, settings.profile)
            if settings.seeds:
                sized = sized.replace(seeds=settings.seeds)
            resolve([Run(sized, level, sized.seeds[0]) for level in sized.levels], engine, device)
            Run(sized, sized.levels[0], sized.seeds[0]).data()
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        try:
            dataset = run(
                sized,
                device=device,
                engine=engine,
                cache=settings.cache,
                progress=RunLog(settings.channel, sized.name),
                threads=settings.threads,
            )
        except MemoryError as error:
            pytest.fail(str(error), pytrace=False)
        settings.channel.log(
            "experiment", name=sized.name, configuration=json.loads(sized.to_json()),
            engine=dataset.attrs["engine"], device=dataset.attrs["device"],
            diverged=int(dataset.coords["diverged"].sum()),
        )  # fmt: skip
        return dataset

    return train_experiment


@pytest.fixture(scope="session")
def sinusoids(train: "Callable[[Experiment], xr.Dataset]") -> "xr.Dataset":
    """The sinusoid experiment, Figures 1a–c and 2a–b of the paper."""
    from bthcheck.experiments import SINUSOIDS

    return train(SINUSOIDS)


@pytest.fixture(scope="session")
def corrupted_cifar(train: "Callable[[Experiment], xr.Dataset]") -> "xr.Dataset":
    """Airplane against dog with corrupted labels, Figures 1d–f and 2c of the paper."""
    from bthcheck.experiments import CORRUPTED_CIFAR

    return train(CORRUPTED_CIFAR)


@pytest.fixture(scope="session")
def mnist_architectures(train: "Callable[[Experiment], xr.Dataset]") -> "xr.Dataset":
    """A CNN and an MLP on MNIST 3 against 6, from the paper's appendix."""
    from bthcheck.experiments import MNIST_ARCHITECTURES

    return train(MNIST_ARCHITECTURES)


@pytest.fixture(scope="session")
def batch_sizes(train: "Callable[[Experiment], xr.Dataset]") -> "dict[int, xr.Dataset]":
    """The sinusoids in minibatches of 16 and of 32, from the paper's appendix."""
    return _batch_sizes(train, scaled=False)


@pytest.fixture(scope="session")
def scaled_batch_sizes(train: "Callable[[Experiment], xr.Dataset]") -> "dict[int, xr.Dataset]":
    """The same with the learning rate times the batch size, which makes an epoch move the weights as far as without batches."""
    return _batch_sizes(train, scaled=True)


def _batch_sizes(train: "Callable[[Experiment], xr.Dataset]", scaled: bool) -> "dict[int, xr.Dataset]":
    from bthcheck.experiments import BATCH_SIZE

    datasets = {}
    for size in (16, 32):
        rate = BATCH_SIZE.training.learning_rate * (size if scaled else 1)
        name = f"{BATCH_SIZE.name} {size}{', scaled rate' if scaled else ''}"
        datasets[size] = train(BATCH_SIZE.replace(name=name, batch_size=size, learning_rate=rate))
    return datasets


@pytest.fixture(scope="session")
def max_examples(pytestconfig: pytest.Config) -> int:
    """How many networks a search for a counterexample generates."""
    return _EXAMPLES[pytestconfig.getoption("profile")]


@pytest.fixture(scope="session")
def max_networks(pytestconfig: pytest.Config) -> int:
    """How many trained networks a claim surveys that takes each of them apart, in the order of their seeds."""
    return _NETWORKS[pytestconfig.getoption("profile")]


@pytest.fixture
def evidence(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> "Evidence":
    """Where a claim's test presents what it found; see `bthcheck.harness.claims.Evidence`."""
    from bthcheck.harness.claims import Evidence

    claim = _claim_of(request.node)
    if claim is None:
        raise pytest.UsageError(f"{request.node.nodeid} uses evidence but is not marked with bthcheck.claim")
    settings = pytestconfig.stash[_SESSION].settings
    generator = None
    if settings.placebo:
        import numpy as np

        generator = np.random.default_rng(zlib.crc32(claim.id.encode()))
    request.node.stash[_EVIDENCE] = presented = Evidence(claim, settings.results, generator)
    return presented


# ---------------------------------------------------------------------------------------------------- session


@dataclass(frozen=True)
class _Settings:
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


class _Worker:
    """Hooks of a process that runs tests: an xdist worker, or the only process there is."""

    def __init__(self, config: pytest.Config, settings: _Settings) -> None:
        self.config = config
        self.settings = settings
        self.refusal: str | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.refusal = _refusal([claim for claim in map(_claim_of, items) if claim is not None])
        if self.refusal and not hasattr(self.config, "workerinput"):
            raise pytest.UsageError(self.refusal)
        if self.settings.placebo:
            for item in items:
                claim = _claim_of(item)
                if claim is not None and claim.kind != "trend":
                    item.add_marker(pytest.mark.skip(reason="a placebo has no levels to permute here"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.refusal and _claim_of(item) is not None:  # a worker that stopped would be an internal error of xdist's
            pytest.fail(self.refusal, pytrace=False)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        claims = {item.nodeid: asdict(claim) for item in session.items if (claim := _claim_of(item)) is not None}
        self.settings.channel.log("collected", claims=claims)
        if claims:
            gc.freeze()  # what was imported is here to stay: no collection need go through its million objects again

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        claim = _claim_of(item)
        if claim is None:
            return (yield)
        try:
            result = yield
        except Exception as error:
            self._record(item, error=f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        self._record(item)
        self._judge(item, claim)
        return result

    def _record(self, item: pytest.Item, **extra: str) -> None:
        evidence = item.stash.get(_EVIDENCE, None)
        if evidence is not None:
            record = {**evidence.to_dict(), **extra}
            item.user_properties.append((PROPERTY, json.dumps(record, allow_nan=False)))

    def _judge(self, item: pytest.Item, claim: "Claim") -> None:
        """Fail unless the claim came out supported, or as the baseline says."""
        evidence = item.stash.get(_EVIDENCE, None)
        if evidence is None or evidence.verdict is None:
            pytest.fail(f"claim {claim.id} presented no evidence", pytrace=False)
        verdict = str(evidence.verdict)
        message = f"claim {claim.id} is {verdict}: {evidence.reason}"
        if self.settings.placebo:
            if verdict == "supported":
                pytest.fail(f"a placebo came out supported: {message}", pytrace=False)
            return
        if verdict == "supported":
            return
        if self.settings.baseline.get(claim.id) == verdict:
            pytest.xfail(f"{message} (as on record)")
        pytest.fail(message, pytrace=False)


class _Controller(_Worker):
    """Hooks of the process that reports. Without xdist it also runs the tests."""

    def __init__(self, config: pytest.Config, settings: _Settings) -> None:
        super().__init__(config, settings)
        self.results = Results()
        self.started = time.time()
        self.report: Path | None = None
        self.monitor = ProgressMonitor(settings.channel, self._say)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Give every worker its share of the cores before it starts: libraries read it once, when they are imported.

        In a worker this would be too late where another plugin, such as pytest-randomly, has imported NumPy before.
        """
        environment = pytest.MonkeyPatch()
        for name in _THREADS:
            if name not in os.environ:
                environment.setenv(name, str(max(1, available_threads() // len(specs))))
        self.config.add_cleanup(environment.undo)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        shared = {"channel": self.settings.channel.folder, "results": self.settings.results, "cache": self.settings.cache}
        node.workerinput["bthcheck"] = {name: str(path) for name, path in shared.items()}

    def pytest_sessionstart(self) -> None:
        self.monitor.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.results.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self.monitor.stop()
        for event in self.settings.channel.events("collected"):
            self.results.claims.update(event["claims"])
        if not self.results.claims or self.config.option.collectonly:
            return
        from bthcheck.report import write

        rows = self.results.rows()
        if self.config.getoption("update_baseline") and not self.settings.placebo:
            write_baseline(_baseline_path(self.config), self.settings.profile, rows)
        self.report = write(
            self.settings.results,
            rows,
            channel=self.settings.channel,
            profile=self.settings.profile,
            placebo=self.settings.placebo,
            baseline=self.settings.baseline,
            seconds=time.time() - self.started,
            root=self.config.rootpath,
            arguments=[str(argument) for argument in self.config.invocation_params.args],
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.report is None:
            return
        from bthcheck.report.terminal import table

        terminalreporter.section("verdicts" + (" on a placebo" if self.settings.placebo else ""))
        for line, color in table(self.results.rows(), terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line, **{color: True} if color else {})
        terminalreporter.write_line(f"runs: {usage(self.settings.channel)}")
        terminalreporter.write_line(f"report: {os.path.relpath(self.report)}")

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.settings.channel.folder, ignore_errors=True)
        for folder in (self.settings.results, self.settings.cache):  # made to see whether they can be written
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing was

    def _say(self, line: str) -> None:
        terminal: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)


_SESSION = pytest.StashKey[_Worker]()
_EVIDENCE = pytest.StashKey["Evidence"]()


def _settings(config: pytest.Config) -> _Settings:
    """Check the command line; raise ``ValueError`` with one sentence on what is wrong."""
    option = config.getoption
    seeds = _seeds(option("seeds"))
    baseline = read_baseline(_baseline_path(config), option("profile"))
    shared = getattr(config, "workerinput", {}).get("bthcheck")
    if shared is None:
        check_device(option("device"))
        _data(config)
        results = writable_folder("results", _folder(config, "results_dir", "reports"))
        if not option("no_cache"):
            cache = writable_folder("cache", _folder(config, "cache_dir", ".bthcheck_cache"))
        channel = Path(tempfile.mkdtemp(prefix="bthcheck-"))
        folders = {"channel": channel, "results": results, "cache": channel / "runs" if option("no_cache") else cache}
    else:
        folders = {name: Path(path) for name, path in shared.items()}
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    return _Settings(
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


def _baseline_path(config: pytest.Config) -> Path:
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


def _refusal(claims: "list[Claim]") -> str | None:
    """Return what is wrong with the claims as a set, or None."""
    repeated = sorted({claim.id for claim in claims if sum(claim.id == other.id for other in claims) > 1})
    if repeated:
        return f"claim ids must be unique, got {', '.join(repeated)} more than once"
    if not claims:
        return None
    from bthcheck.evidence import FAMILY_SIZE

    family = sum(claim.statistical for claim in claims)
    if family > FAMILY_SIZE:
        return (
            f"{family} statistical claims are more than the {FAMILY_SIZE} that share the family-wise error;"
            " raise bthcheck.evidence.FAMILY_SIZE, which lowers every level"
        )
    return None


def _claim_of(item: Any) -> "Claim | None":
    marker = item.get_closest_marker("claim")
    return None if marker is None else marker.args[0]


def _worker_number(config: pytest.Config) -> int:
    name = getattr(config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))
