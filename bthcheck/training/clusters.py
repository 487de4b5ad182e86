"""A Dask cluster by a word of the command line: the address of a scheduler, or ``local:N`` for N processes of this machine."""

import contextlib
import importlib.util
import logging
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from bthcheck.choices import available_threads

CONNECT_SECONDS = 3.0
"""How long a scheduler is given to answer; with what comes before it, a session says within five seconds that none does."""
MISSING = "the Dask library distributed is not installed; pip install 'bthcheck[dask]'"
_GPUS = "__import__('bthcheck.choices', fromlist=['cuda_count']).cuda_count()"
PROCESSES_A_CORE = 4
"""``local:N`` starts no more of them: each loads PyTorch, 0.7 GB."""
_FORM = "the address of a Dask scheduler, such as tcp://127.0.0.1:8786, or local:N for N processes of this machine"
_ADDRESS = re.compile(r"(?:(?:tcp|tls|ws|wss|ucx|ucxx)://)?(?:[\w.-]+|\[[0-9a-fA-F:.%]+\]):(?P<port>\d{1,5})")


@dataclass
class Cluster:
    """A connection to a Dask cluster, and the cluster itself if it was started for it. Close it, or use it in a ``with``.

    client : `distributed.Client`; an executor for `bthcheck.run`
    """

    client: Any
    local: Any = None

    @property
    def address(self) -> str:
        """The scheduler's."""
        return str(self.client.scheduler.address)

    def check_device(self, name: str, device: str) -> None:
        """Raise ``ValueError``, with `name` as what it was given for, if a GPU is asked for and a worker does not see it."""
        if not device.startswith("cuda"):
            return
        counts = self.client.run(eval, _GPUS, on_error="ignore")
        for worker, count in counts.items():  # who has no bthcheck says so when there is something to train
            if int(device.partition(":")[2] or 0) >= count:
                have = f"{count} CUDA device(s)" if count else "no CUDA device"
                raise ValueError(f"{name} {device} is not available: the Dask worker at {worker} sees {have}; use cpu or auto")

    def close(self) -> None:
        """Let go of the connection, and end the processes of a cluster of one's own, whatever state they are in."""
        for part in (self.client, self.local):
            with contextlib.suppress(Exception):  # a scheduler that is gone already
                if part is not None:
                    part.close(timeout=CONNECT_SECONDS)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check(name: str, text: str) -> int | None:
    """Return the processes that ``local:N`` asks for, or None for an address, after a look at the word alone.

    Raises
    ------
    ValueError
        If it is neither, with `name` as what it was given for, or `distributed` is not installed.
    """
    kind, colon, number = text.partition(":")
    processes = None
    if kind == "local" and colon:
        most = PROCESSES_A_CORE * available_threads()
        if not number.isdecimal() or not number.isascii() or not 1 <= int(number[:9]) <= most:
            raise ValueError(f"{name} local:N needs a whole number of processes from 1 to {most} on this machine, got {text!r}")
        processes = int(number)
    else:
        found = _ADDRESS.fullmatch(text)
        if found is None or not 1 <= int(found["port"]) <= 65535:
            raise ValueError(f"{name} must be {_FORM}, got {text!r}")
    if not _is_installed():
        raise ValueError(f"{name}: {MISSING}")
    return processes


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("distributed") is not None
    except ValueError:  # something in its place that is no module
        return False


def connect(name: str, text: str, seconds: float = CONNECT_SECONDS) -> Cluster:
    """Connect to a Dask cluster, or start one on this machine: N workers, each a process with one thread.

    Parameters
    ----------
    name : what the word was given for, for errors, such as "--dask"
    text : the address of a scheduler, or ``local:N``
    seconds : how long a scheduler is given to answer

    Raises
    ------
    ValueError
        As `check`, or if no Dask scheduler answers there in time, or no cluster can be started.

    Examples
    --------
    >>> with connect("cluster", "local:4") as cluster:
    ...     ds = bthcheck.run(SINUSOIDS, executor=cluster.client, cache="runs")
    """
    processes = check(name, text)
    from distributed import Client, LocalCluster

    cluster = None
    try:
        if processes is not None:
            # No limit of memory, because threads of this process have none. On loopback, the page to look at too, at any port.
            cluster = LocalCluster(
                n_workers=processes, threads_per_worker=1, processes=True, memory_limit=0, host="127.0.0.1",
                dashboard_address="127.0.0.1:0", worker_dashboard_address=None, silence_logs=logging.CRITICAL,
                preload=[__name__],
            )  # fmt: skip
        client = _in_time(lambda: Client(cluster or text, timeout=seconds, set_as_default=False), seconds)
        return Cluster(client, cluster)
    except Exception as error:
        if cluster is not None:
            cluster.close()
            raise ValueError(f"{name}: no Dask cluster can be started here: {' '.join(str(error).split())}") from error
        raise ValueError(f"{name}: no Dask scheduler answers at {text}; dask scheduler starts one") from error
    except BaseException:  # interrupted while it starts
        if cluster is not None:
            cluster.close()
        raise


def dask_setup(worker: Any) -> None:
    """Have a worker of a cluster of one's own ignore Ctrl-C in the terminal: who started it hears it, and ends the worker.

    Dask calls this in every worker that it starts, also in the place of one that died.
    """
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_time(start: Callable[[], Any], seconds: float) -> Any:
    """Return what `start` returns, or raise ``TimeoutError``: of one that listens and says nothing the client never lets go."""
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put((start(), None))
        except BaseException as error:
            answers.put((None, error))

    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # what it logs of a connection that fails is said in a sentence
    try:
        Thread(target=work, name="bthcheck-connect", daemon=True).start()
        client, error = answers.get(timeout=seconds + 0.3)
    except Empty:
        raise TimeoutError from None
    finally:
        logger.setLevel(before)
    if error is not None:
        raise error
    return client
