"""Steps that work in place on fixed tensors, many times over: called on a CPU, captured as CUDA graphs and replayed on a GPU.

A captured step costs the host one launch instead of one a kernel, of which a step has some dozens that last microseconds.
It may not wait for the device, look at a number on it, or keep a tensor it allocated: only the fixed ones outlive it.
"""

import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from bthcheck.training import interrupt
from bthcheck.training.memory import is_out_of_memory

Step = Callable[[], None]
UNROLLED = 8
"""Steps a graph, so that the pause between two graphs is paid once in as many."""

_WARM_UP = 3
_capturing = threading.Lock()  # a process may capture one graph at a time


class Graph(Protocol):
    def replay(self) -> None:
        """Do again what was captured."""


class Recorder(Protocol):
    """What turns steps into graphs."""

    def rehearse(self, step: Step, prepare: Step) -> None:
        """Make a step a few times, `prepare` before each, so that libraries and allocators have settled."""

    def capture(self, step: Step, times: int) -> Graph:
        """Return a graph of `step` made `times` times; nothing is executed."""


def program(parts: Sequence[tuple[Step, int]], prepare: Step, device: str) -> Step:
    """Return a function that makes each step of `parts` its number of times, in order.

    Steps that cannot be captured are launched one by one, with a warning.

    Parameters
    ----------
    parts : steps and how often each is made; they read and write fixed tensors alone
    prepare : sets the fixed tensors so that any step may be made without consequences; called before anything else

    Raises
    ------
    torch.OutOfMemoryError
        If the graphs do not fit into the memory of the GPU.
    """
    if torch.device(device).type == "cuda":
        try:
            with _capturing:
                return replayed(parts, prepare, _CudaRecorder(device))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
            warnings.warn(f"steps could not be captured as CUDA graphs ({reason}); they are launched one by one", stacklevel=2)

    stop = interrupt.current()

    def call() -> None:
        for step, times in parts:
            for _ in range(times):
                stop.check()
                step()

    return call


def replayed(parts: Sequence[tuple[Step, int]], prepare: Step, recorder: Recorder) -> Step:
    """Return what `program` returns, made of graphs."""
    replays = []
    for step, times in parts:
        if times == 0:
            continue
        recorder.rehearse(step, prepare)
        replays += [(recorder.capture(step, length), count) for length, count in lengths(times)]

    stop = interrupt.current()

    def replay() -> None:
        for graph, count in replays:
            for _ in range(count):
                stop.check()
                graph.replay()

    return replay


def lengths(times: int) -> list[tuple[int, int]]:
    """Split a number of steps into (steps a graph, replays): as many long graphs as fit, then graphs of one step."""
    long = min(UNROLLED, times)
    count, left = divmod(times, long)
    return [(long, count), (1, left)] if left else [(long, count)]


class _CudaRecorder:
    """Captures on a stream of its own. All graphs share one memory pool: they never run at once, and none leaves a tensor."""

    def __init__(self, device: str) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool: Any = None
        self.need = 0

    def rehearse(self, step: Step, prepare: Step) -> None:
        """Measure what the step allocates along the way."""
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.cuda.stream(self.stream):
            for _ in range(_WARM_UP):
                prepare()
                step()
        current.wait_stream(self.stream)
        self.need = torch.cuda.max_memory_allocated() - before

    def capture(self, step: Step, times: int) -> torch.cuda.CUDAGraph:
        """Capture in a mode that leaves other threads alone: they may allocate meanwhile."""
        graph = torch.cuda.CUDAGraph()
        if self.pool is None:
            # A capture that runs out of memory may be invalidated and lose its pool for good, so ask before.
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info()
            if free < self.need:
                raise torch.OutOfMemoryError(f"CUDA out of memory: a graph needs {self.need} bytes, {free} are free")
        current = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                for _ in range(times):
                    step()
        finally:
            torch.cuda.set_stream(current)  # a capture that fails leaves its stream the current one
        self.pool = graph.pool()
        return graph
