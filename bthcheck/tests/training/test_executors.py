"""Executors as they are: threads, processes, loky, submitit, MPI, and a Dask scheduler with workers of its own."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bthcheck
from bthcheck.tests.training.samples_own import Wave
from bthcheck.tests.training.test_cache import TINY
from bthcheck.tests.training.test_dispatch import Observer, train
from bthcheck.tests.training.test_workers import OWN
from bthcheck.training import clusters, executors
from bthcheck.training.dispatch import Failed

ONE = TINY.replace(levels=(0.25,), seeds=(0, 1))
LONGER = TINY.replace(epochs=2000)


def assert_as_here(executor, experiment=ONE, **options):
    """Every run is trained once, and gives the bits of this process."""
    result, observer = train(executor, experiment=experiment, **options)
    assert len(observer.trained) == len(set(observer.trained)) == len(experiment.levels) * len(experiment.seeds)
    assert result.identical(bthcheck.run(experiment, progress=False))
    return observer


def test_threads():
    with ThreadPoolExecutor(2) as pool:
        assert assert_as_here(pool, TINY).met == [(1, 2, "ThreadPoolExecutor")]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert assert_as_here(pool).met == [(1, 1, "ProcessPoolExecutor")]


def test_a_process_that_is_killed_breaks_its_pool_and_loses_nothing_else(tmp_path):
    class Killing(Observer):
        def finish(self, *arguments):
            super().finish(*arguments)
            if len(self.trained) == 2:
                os.kill(next(iter(pool._processes)), signal.SIGKILL)

    observer = Killing()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool, pytest.raises(Failed) as raised:
        bthcheck.run(LONGER, cache=tmp_path, progress=observer, executor=pool)
    kept = len(list(tmp_path.glob("*.safetensors")))
    said = str(raised.value)
    assert said.startswith(
        "ProcessPoolExecutor is broken, because a worker died while its workers were at sinusoids at frequency="
    )
    assert f"{kept} of 6 runs are kept in {tmp_path}; the same call goes on from there, with a new executor" in said
    assert 2 <= kept < 6
    with ThreadPoolExecutor(2) as pool:
        _, again = train(pool, tmp_path, LONGER)
    assert (len(again.trained), len(again.read)) == (6 - kept, kept)


def test_processes_that_cannot_start_are_said_to_be_dead():
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"), initializer=os._exit, initargs=(3,))
    with pool, pytest.raises(executors.Unusable, match=r"died before they trained anything: .*; a script that starts"):
        train(pool, experiment=ONE)


def test_a_pool_that_is_shut_down_is_refused():
    pool = ProcessPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ValueError, match="ProcessPoolExecutor takes no tasks: RuntimeError: cannot schedule new futures after"):
        train(pool, experiment=ONE)


def test_loky():
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(1) as pool:
        assert_as_here(pool, ONE.replace(seeds=(0,)))


def test_submitit_for_real_processes(tmp_path):
    """Its jobs tell nobody that they are done; they have to be asked."""
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=5)
    assert assert_as_here(executor, ONE.replace(seeds=(0,)), cache=tmp_path / "runs").met[0][1] is None


def test_submitit_for_debugging(tmp_path):
    submitit = pytest.importorskip("submitit")
    assert_as_here(submitit.AutoExecutor(tmp_path, cluster="debug"))


MPI = """
from mpi4py.futures import MPIPoolExecutor
import bthcheck
from bthcheck.tests.training.test_executors import ONE, train

if __name__ == "__main__":
    with MPIPoolExecutor() as pool:
        result, observer = train(pool, experiment=ONE)
    print(result.identical(bthcheck.run(ONE, progress=False)), observer.met, len(observer.trained))
"""


def test_mpi(tmp_path):
    pytest.importorskip("mpi4py")
    if shutil.which("mpiexec") is None:
        pytest.skip("no MPI here")
    (tmp_path / "script.py").write_text(MPI)
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    environment = {**os.environ, **allowed, "PYTHONPATH": str(Path(bthcheck.__file__).parents[1])}
    command = ["mpiexec", "-n", "2", sys.executable, "-m", "mpi4py.futures", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["True [(1, 1, 'MPIPoolExecutor')] 2"], done.stderr


# ---------------------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed")
    with clusters.connect("cluster", "local:2") as found:
        yield found


def test_dask_gives_the_same_bits_on_two_workers(cluster, tmp_path):
    client = cluster.client
    observer = assert_as_here(client, TINY, cache=tmp_path / "runs")
    name = f"Dask at {cluster.address}"
    assert observer.met == [(2, 2, name)]
    assert observer.begun.count(1) <= 6
    assert assert_as_here(client.get_executor(pure=False), TINY).met == [(2, 2, name)]
    assert assert_as_here(client.get_executor(), TINY).met  # with its own idea of which calls are the same
    _, again = train(client, tmp_path / "runs", TINY)
    assert (len(again.read), again.met) == (6, [])


def test_a_dask_worker_that_is_killed_in_mid_run_costs_nothing(cluster, tmp_path):
    pids = sorted(set(cluster.client.run(os.getpid).values()))

    class Killing(Observer):
        def finish(self, *arguments):
            super().finish(*arguments)
            if len(self.trained) == 2:
                os.kill(pids[0], signal.SIGKILL)

    observer = Killing()
    result = bthcheck.run(LONGER, cache=tmp_path, progress=observer, executor=cluster.client)
    assert len(observer.trained) == len(set(observer.trained)) == 6
    assert result.identical(bthcheck.run(LONGER, progress=False))
    assert pids[0] not in cluster.client.run(os.getpid).values()


def test_an_architecture_of_ones_own_travels_to_dask(cluster):
    assert_as_here(cluster.client, OWN)


def test_ctrl_c_leaves_no_queue_with_dask(cluster):
    many = TINY.replace(seeds=range(20), epochs=3000)
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bthcheck.run(many, progress=False, executor=cluster.client)
    assert time.monotonic() - start < 6
    until = time.monotonic() + 20
    while any(cluster.client.processing().values()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(cluster.client.processing().values())


def test_a_dask_scheduler_without_workers_is_said_to_have_none(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "WORKERS_SECONDS", 0.3)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty, distributed.Client(empty) as client:
        with pytest.raises(ValueError, match=f"Dask at {empty.scheduler_address} has no workers; start some with: dask worker"):
            train(client)
        other = start_worker(empty.scheduler_address, {"bthcheck.py": '__version__ = "0.0.9"\n'})
        try:
            client.wait_for_workers(1, timeout=30)
            with pytest.raises(ValueError, match=r"have another bthcheck, without bthcheck\.training, than the"):
                train(client)
        finally:
            other.kill()
            other.wait()
    with pytest.raises(ValueError, match="the Dask client is closed; hand over one that is connected"):
        train(client)


def start_worker(address, files):
    """Start a worker in a process of its own that has other files than this one."""
    import tempfile

    folder = tempfile.mkdtemp()
    for name, text in files.items():
        Path(folder, name).write_text(text)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": folder}, cwd=folder, **quiet)


class Hungry(Wave):
    """Takes 2 GB on a worker, and nothing here."""

    def sample(self, generator):
        if str(os.getpid()) != os.environ["BTHCHECK_TEST_HOME"]:
            taken = np.ones(2 * 10**9, np.uint8)
            time.sleep(30)
            assert taken.any()
        return super().sample(generator)


def test_a_dask_worker_that_is_killed_for_its_memory_is_named(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    import dask

    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 6 * 10**9:
        pytest.skip("less than 6 GB of memory are free")
    monkeypatch.setenv("BTHCHECK_TEST_HOME", str(os.getpid()))
    limits = {"n_workers": 1, "threads_per_worker": 1, "memory_limit": "1.5GB", "dashboard_address": ":0", "silence_logs": 50}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(**limits) as small,
        distributed.Client(small) as client,
        pytest.raises(Failed) as raised,
    ):
        train(client, tmp_path, OWN.replace(task=Hungry(), seeds=(0,)))
    said = str(raised.value)
    assert "sinusoids at frequency=1.0, seed=0 killed every worker of Dask at tcp://" in said
    assert "KilledWorker: Attempted to run task" in said
    assert "give every worker more memory, or have fewer on a machine; 0 of 1 runs are kept" in said


# ------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local:0", r"--dask local:N needs a whole number of processes from 1 to \d+ on this machine, got 'local:0'"),
        ("local:x", "got 'local:x'"),
        ("local:", "got 'local:'"),
        ("local:-1", "got 'local:-1'"),
        ("local:1.5", "got 'local:1.5'"),
        ("local:٣", "got 'local:٣'"),
        ("local:999999999999", "got 'local:999999999999'"),
        ("", "--dask must be the address of a Dask scheduler, such as tcp://127.0.0.1:8786, or local:N for N processes"),
        ("local", "must be the address"),
        ("scheduler", "must be the address"),
        ("tcp://scheduler", "must be the address"),
        ("tcp://:8786", "must be the address"),
        ("tcp://a:0", "must be the address"),
        ("tcp://a:65536", "must be the address"),
        ("http://a:8786", "must be the address"),
        ("tcp://a:8786/x", "must be the address"),
        ("tcp://a b:8786", "must be the address"),
    ],
)
def test_a_word_that_is_no_cluster_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        clusters.check("--dask", text)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:8786", "a.b-c:1", "tls://[::1]:8786", "ws://x:65535"])
def test_an_address_is_taken_as_one(text):
    pytest.importorskip("distributed")
    assert clusters.check("--dask", text) is None
    assert clusters.check("--dask", "local:2") == 2


@pytest.mark.parametrize("missing", [None, ValueError("distributed.__spec__ is None")])
def test_without_distributed_it_says_what_to_install(missing, monkeypatch):
    def find_spec(name):
        if missing is not None:
            raise missing

    monkeypatch.setattr(clusters.importlib.util, "find_spec", find_spec)
    with pytest.raises(ValueError, match=r"--dask: .*distributed is not installed; pip install 'bthcheck\[dask\]'"):
        clusters.connect("--dask", "local:2")


@pytest.mark.parametrize("listens", [False, True])
def test_an_address_that_nobody_answers_is_said_in_time(listens):
    """One that listens and says nothing once kept the client for good."""
    pytest.importorskip("distributed")
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        if listens:
            other.listen()
        start = time.monotonic()
        with pytest.raises(ValueError, match=f"^--dask: no Dask scheduler answers at {address}; dask scheduler starts one$"):
            clusters.connect("--dask", address)
        assert time.monotonic() - start < 10  # five on a quiet machine
