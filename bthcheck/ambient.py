"""What a program may have set for its whole process or thread, and what no number of this package may depend on.

PyTorch's default type and device, gradients switched off, inference mode, autocast, anomaly detection, deterministic
algorithms, TF32 and bfloat16 in float32 products, the number of threads, denormals flushed to zero; NumPy's handling of errors.
Whoever trains, draws or measures something here does so in a neutral state, and leaves the program's own as it was.

PyTorch is never imported for that. Where it comes while one is inside, its state is made neutral from then on.
"""

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

_thread = threading.local()
_lock = threading.Lock()
_inside = 0
_before: dict[int, Any] = {}


class Setting(NamedTuple):
    """A setting of the whole process: how to read and set it, and its neutral value."""

    read: Callable[[], Any]
    set: Callable[[Any], None]
    neutral: Any


@contextmanager
def neutral() -> Iterator[None]:
    """Compute in the neutral state; also a decorator. Within another it costs next to nothing.

    Settings of the process are changed by the first thread inside and set back by the last.
    """
    if getattr(_thread, "neutral", False):
        if "torch" in sys.modules:
            _arrived()
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        _thread.neutral, _thread.waiting = True, stack
        stack.callback(setattr, _thread, "neutral", False)
        stack.callback(setattr, _thread, "waiting", None)
        if "torch" in sys.modules:
            _arrived()
        elif _arrival not in sys.meta_path:
            sys.meta_path.insert(0, _arrival)
        yield


def _arrived() -> None:
    """Make PyTorch's state neutral for the rest of this thread's block, unless that has been done."""
    stack, _thread.waiting = getattr(_thread, "waiting", None), None
    if stack is not None:
        stack.enter_context(_process())
        _enter_thread(stack)


class _Arrival(MetaPathFinder):
    """Waits for the first import of PyTorch, whoever asks for it, and is gone with it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import PyTorch, None for anything else."""
        del path, target
        if fullname != "torch" or getattr(_thread, "asks", False):
            return None
        _thread.asks = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            _thread.asks = False
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            execute = loader.exec_module

            def then_arrived(module: ModuleType) -> None:
                execute(module)
                with suppress(ValueError):
                    sys.meta_path.remove(self)
                _arrived()

            loader.exec_module = then_arrived
        return spec


_arrival = _Arrival()


@contextmanager
def _process() -> Iterator[None]:
    global _inside
    wanted = settings()
    with _lock:
        for number, setting in enumerate(wanted):
            now = setting.read()
            if now != setting.neutral:  # also where another thread has set it since the first came in
                _before[number] = now
                setting.set(setting.neutral)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for number, value in _before.items():
                    wanted[number].set(value)
                _before.clear()


def _enter_thread(stack: ExitStack) -> None:
    import torch

    if torch.is_inference_mode_enabled():
        stack.enter_context(torch.inference_mode(False))
    if not torch.is_grad_enabled():
        stack.enter_context(torch.enable_grad())
    for kind in ("cpu", "cuda"):
        if torch.is_autocast_enabled(kind):
            stack.enter_context(torch.autocast(kind, enabled=False))
    if torch.get_default_device().type != "cpu":
        stack.enter_context(torch.device("cpu"))
    threads = torch.get_num_threads()
    if threads != 1:  # sums are then taken in the same order on any number of cores
        torch.set_num_threads(1)
        stack.callback(torch.set_num_threads, threads)
    if np.float32(1e-45) * np.float32(1) == 0 and torch.set_flush_denormal(False):
        stack.callback(torch.set_flush_denormal, True)


def settings() -> list[Setting]:
    """Return the settings of the process. A program must not mix PyTorch's two generations of names for precision."""
    import torch

    def set_deterministic(value: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(value[0], warn_only=value[1])

    def set_anomaly(value: tuple[bool, bool]) -> None:
        torch.autograd.set_detect_anomaly(value[0], check_nan=value[1])

    found = [
        Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        Setting(
            lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
            set_deterministic, (False, False),
        ),
        Setting(lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()), set_anomaly, (False, True)),
    ]  # fmt: skip
    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):  # from 2.9
        places = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
        return found + [_attribute(place, "fp32_precision", "ieee") for place in places]
    return [*found, _attribute(backends.cuda.matmul, "allow_tf32", False), _attribute(backends.cudnn, "allow_tf32", False)]


def _attribute(place: Any, name: str, value: Any) -> Setting:
    return Setting(lambda: getattr(place, name), lambda now: setattr(place, name, now), value)
