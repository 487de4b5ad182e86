"""Fixtures: the device, the paper's experiments as the command line asks for them, and where a claim presents its evidence."""

import json
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bthcheck.checks import readable_folder
from bthcheck.choices import cuda_count, share_of_devices
from bthcheck.harness import cluster
from bthcheck.harness.options import option
from bthcheck.harness.session import ResultLog, RunLog
from bthcheck.harness.settings import worker_number
from bthcheck.harness.stash import EVIDENCE, KEEPER, SETTINGS, TRAINED, claim_of
from bthcheck.report.experiments import without_folders

if TYPE_CHECKING:
    import xarray as xr

    from bthcheck.experiments import Experiment
    from bthcheck.harness.claims import Evidence
    from bthcheck.training.kept import Keeper

_EXAMPLES = {"quick": 100, "laptop": 150, "paper": 4000}
_NETWORKS = {"quick": 2, "laptop": 3, "paper": 10}


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """The device to train on. With ``--device cuda`` on several GPUs, each worker has its share."""
    return _device(pytestconfig)


def _device(config: pytest.Config) -> str:
    chosen = option(config, "device")
    if chosen != "cuda" or option(config, "dask") is not None:  # a cluster's workers have GPUs of their own
        return chosen
    return share_of_devices(chosen, worker_number(config), cuda_count())


@pytest.fixture(scope="session")
def train(pytestconfig: pytest.Config) -> "Callable[[Experiment], xr.Dataset]":
    """A function that trains an experiment as the command line asks and returns its Dataset."""
    settings, trained = pytestconfig.stash[SETTINGS], pytestconfig.stash[TRAINED]
    device = _device(pytestconfig)  # not the fixture: other plugins have one of that name, which may hide it
    pages: dict[str, dict[str, str]] = {}  # of what several claims train, one is enough

    def train_experiment(experiment: "Experiment") -> "xr.Dataset":
        from bthcheck.evidence.beginning import beginning
        from bthcheck.experiments import at_profile, from_file
        from bthcheck.training import digests
        from bthcheck.training.dispatch import Failed
        from bthcheck.training.engines import resolve, run
        from bthcheck.training.executors import Unusable
        from bthcheck.training.runs import Run

        engine = option(pytestconfig, "engine")
        try:  # what cannot be trained is refused in a sentence, before anything is
            sized = at_profile(experiment, settings.profile)
            sized = sized if settings.data is None else from_file(sized, settings.data)
            if settings.seeds:
                sized = sized.replace(seeds=settings.seeds)
            resolve([Run(sized, level, sized.seeds[0]) for level in sized.levels], engine, device, here=settings.dask is None)
            Run(sized, sized.levels[0], sized.seeds[0]).check_data()
            readable_folder("cache", settings.cache)
            executor = cluster.executor(pytestconfig)
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        configuration = without_folders(json.loads(sized.to_json()))
        log = RunLog(settings.channel, sized.name, configuration)
        try:
            dataset = run(
                sized,
                device=device,
                engine=engine,
                cache=settings.cache,
                progress=log,
                threads=settings.threads,
                executor=executor,
            )
        except (MemoryError, Failed, Unusable) as error:
            pytest.fail(str(error), pytrace=False)
        finally:
            log.end()
        facts = digests.together([digests.environment(dataset.attrs["device"], worker) for worker in log.trainers or [None]])
        entry = {
            "name": sized.name, "configuration": configuration, "engine": dataset.attrs["engine"],
            "device": dataset.attrs["device"], "diverged": int(dataset.coords["diverged"].sum()),
            "environment": facts["digest"], "runs": digests.of_runs(dataset),
            "beginning": beginning(dataset),
        }  # fmt: skip
        trained.add(entry)
        settings.channel.log("environment", facts=facts)
        if sized.to_json() not in pages:
            try:
                from bthcheck.report.training import write_beside

                pages[sized.to_json()] = write_beside(settings.results, dataset, settings.save_data)
            except (
                Exception
            ) as error:  # whatever it is: what was found does not depend on it, and the session does not end well
                said = str(error) or type(error).__name__
                settings.channel.log("unsaved", unwritten=[f"the page of {sized.name} is not written: {said}"])
        settings.channel.log("experiment", **entry, **pages.get(sized.to_json(), {}))
        return dataset

    return train_experiment


@pytest.fixture(scope="session")
def chosen_seeds(pytestconfig: pytest.Config) -> tuple[int, ...] | None:
    """The seeds that ``--seeds`` asks for, for a claim that trains by itself; None for its own."""
    return pytestconfig.stash[SETTINGS].seeds


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config) -> "Keeper":
    """A function that calls another whose result is kept beside the runs: ``kept(function, *arguments)``.

    See `bthcheck.training.kept.Keeper` for what a function may be given and return. With ``--no-cache`` results are kept for
    the session alone.
    """
    return _keeper(pytestconfig)


def _keeper(config: pytest.Config) -> "Keeper":
    """Return the keeper of this process: not the fixture's, which another plugin's of that name may hide."""
    from bthcheck.training.cache import RunCache
    from bthcheck.training.kept import Keeper

    if KEEPER not in config.stash:
        settings = config.stash[SETTINGS]
        try:
            cache = RunCache(settings.cache)
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        config.stash[KEEPER] = Keeper(cache, ResultLog(settings.channel))
    return config.stash[KEEPER]


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
    return _EXAMPLES[option(pytestconfig, "profile")]


@pytest.fixture(scope="session")
def max_networks(pytestconfig: pytest.Config) -> int:
    """How many trained networks a claim surveys that takes each of them apart, in the order of their seeds."""
    return _NETWORKS[option(pytestconfig, "profile")]


@pytest.fixture
def evidence(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> "Evidence":
    """Where a claim's test presents what it found; see `bthcheck.harness.claims.Evidence`."""
    from bthcheck.harness.claims import Evidence

    claim = claim_of(request.node)
    if claim is None:
        raise pytest.UsageError(f"{request.node.nodeid} uses evidence but is not marked with bthcheck.claim")
    settings = pytestconfig.stash[SETTINGS]
    generator = None
    if settings.placebo:
        import numpy as np

        generator = np.random.default_rng(zlib.crc32(claim.id.encode()))
    presented = Evidence(claim, settings.results, generator, kept=_keeper(pytestconfig))
    request.node.stash[EVIDENCE] = presented
    return presented
