"""Train experiments: choose an engine, spread the runs, put the results together."""

import os
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive_int
from bthcheck.choices import ENGINES, available_threads, check_device, processes
from bthcheck.experiments.definition import Experiment
from bthcheck.progress.bar import Bar
from bthcheck.training import code, fused, interrupt, reference, stacked
from bthcheck.training.cache import RunCache
from bthcheck.training.dataset import assemble
from bthcheck.training.dispatch import dispatch
from bthcheck.training.executors import adapt
from bthcheck.training.fingerprints import own_code
from bthcheck.training.obtain import Observer, obtain
from bthcheck.training.remote import ENGINES as MODULES
from bthcheck.training.remote import trainer
from bthcheck.training.runs import Run
from bthcheck.training.statistics import VISIT
from bthcheck.training.trial import try_out

__all__ = ["resolve", "run", "trace", "visits"]


@neutral()
def run(
    experiment: Experiment,
    *,
    device: str = "auto",
    engine: str = "auto",
    cache: str | os.PathLike[str] | None = None,
    progress: bool | Observer = True,
    threads: int | None = None,
    executor: Any = None,
) -> xr.Dataset:
    """Train every level and seed of an experiment and return what was measured.

    Parameters
    ----------
    experiment : what to train
    device : "auto", "cpu", "cuda" or "cuda:N"; "auto" is the CPU, which the fused engine makes the fastest for small MLPs
    engine : "auto", "fused", "stacked" or "reference"; "auto" is the first of them that can do what is asked
    cache : folder of finished runs, shared with other processes, or None for none
    progress : whether to show on standard error how far it is, or an object that is told of every run; see
        `bthcheck.training.obtain.Observer`
    threads : runs, or on a CPU stacks of runs, trained at once; all available cores if None. It never changes a number, and
        means nothing with an executor.
    executor : who trains, in the place of threads of this process: a `concurrent.futures.Executor`, or one like it of loky,
        `mpi4py.futures` or submitit, or a Dask client or its ``get_executor()``. A task is a run, or for the stacked engine a
        stack of runs; a worker trains it on one thread, on its own `device`. The caller keeps the cache, so that workers need
        no shared file system; but an archive of images has to be at the same path for all. On the same kind of processor and
        with the same libraries the numbers are those of a run without executor, to the bit but for the stacked engine, which
        gives them to rounding.

    Returns
    -------
    xarray.Dataset
        Dimensions (name of the level, "seed", "epoch"), the variables of `bthcheck.training.statistics.STATISTICS`,
        `parameters` and, unless the levels set it, `learning_rate`, and the experiment's full configuration in ``attrs``.
        ``ds.bthcheck.weights(level, seed)`` is a trained network. The coordinate `diverged` marks runs that diverged.

    Raises
    ------
    ValueError
        If the device or engine is unknown or not there, the engine cannot do what is asked, or what is one's own in the
        experiment cannot be trained; and, before anything is trained, if the executor has no workers or takes no tasks, its
        workers have no bthcheck or another one, or no such device, or what is one's own cannot be sent to them.
    MemoryError
        If a GPU of this machine has too little free memory for a single run.
    bthcheck.training.dispatch.Failed
        If a run fails twice on an executor's workers, or the executor breaks. What is finished is kept in the cache, from where
        the same call goes on. A worker that Dask loses is no failure: the run is given to another.

    Examples
    --------
    >>> from concurrent.futures import ProcessPoolExecutor
    >>> with ProcessPoolExecutor(4) as pool:  # in a script: behind if __name__ == "__main__"
    ...     ds = bthcheck.run(SINUSOIDS, executor=pool, cache="runs")
    >>> with dask.distributed.Client("tcp://scheduler:8786") as client:
    ...     ds = bthcheck.run(SINUSOIDS, executor=client.get_executor(pure=False), cache="runs")
    >>> slurm = submitit.AutoExecutor("logs")  # every run a job
    >>> slurm.update_parameters(timeout_min=240, cpus_per_task=1, slurm_partition="cpu")
    >>> ds = bthcheck.run(SINUSOIDS, executor=slurm, cache="runs")
    >>> with mpi4py.futures.MPIPoolExecutor() as pool:  # mpiexec -n 33 python -m mpi4py.futures script.py
    ...     ds = bthcheck.run(SINUSOIDS, executor=pool, cache="runs")
    """
    runs = [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]
    module, device = resolve(runs, engine, device, here=executor is None)
    workers = None if executor is None else adapt(executor)
    threads = available_threads() if threads is None else positive_int("threads", threads)
    observer: Observer = _Silent() if isinstance(progress, bool) else progress
    if progress is True:
        observer = Bar(experiment.name, len(experiment.levels))
    try:
        kept = _cache(module, cache, runs)
        if workers is None:
            results = obtain(
                runs,
                trainer(module, device),
                shards=_shards(module, runs, device),
                engine=module.NAME,
                device=device,
                cache=kept,
                threads=1 if module is reference or device != "cpu" else threads,
                observer=observer,
            )
        else:
            results = dispatch(
                runs,
                workers,
                shards=lambda count, memory: _shards(module, runs, device, count, memory),
                engine=module.NAME,
                device=device,
                cache=kept,
                observer=observer,
            )
    finally:
        if isinstance(observer, Bar) and progress is True:
            observer.close()
    by_run = {(one.level, one.seed): result for one, result in zip(runs, results, strict=True)}
    return assemble(experiment, by_run, {"engine": module.NAME, "device": device})


@neutral()
def trace(
    experiment: Experiment, level: Any, seed: int, steps: int, *, device: str = "auto", engine: str = "auto"
) -> xr.Dataset:
    """Train one run for `steps` steps and return every one of them, each evaluated before its update.

    What the fused engine cannot do is traced by the reference engine: stacking is for many runs. ``attrs`` says which it was.

    Returns
    -------
    xarray.Dataset
        Dimensions "step", "point" (training points), "neuron" (first layer), "input"; variables `phi` (step), φ_t;
        `lipschitz` (step), λ_t at the sampled point (the largest of the batch); `epsilon`, `learning_rate` (step);
        `bias` (step_after, neuron), b_1 before every step and after the last; `first_weight` (step, neuron, input), W_1;
        `gradient_norm` and `point_lipschitz` (step, point), ‖g_t(x)‖ and λ_t(x) at every training point; and, from the
        reference engine for an MLP, `rounding` (step), what rounding can add to a comparison of λ_t with a multiple of φ_t.
        A module of one's own has `first_weight` if its first layer is an ``nn.Linear``.

    Raises
    ------
    ValueError
        As `run`, and if `steps` is more than the experiment's epochs hold.
    """
    one = Run(experiment.replace(levels=(level,), seeds=(seed,)), level, seed)
    module, device = resolve([one], engine, device)
    if module is stacked:
        module = reference  # one run at a time is what it is for
    setting = one.setting
    available = setting.steps
    if positive_int("steps", steps) > available:
        raise ValueError(f"steps must be at most the {available} steps of the experiment, got {steps}")
    arrays: dict[str, np.ndarray] = interrupt.in_thread(lambda: module.trace(one, steps, device))
    dims = {
        "bias": ("step_after", "neuron"),
        "first_weight": ("step", "neuron", "input"),
        "gradient_norm": ("step", "point"),
        "point_lipschitz": ("step", "point"),
    }
    variables = {name: (dims.get(name, ("step",)), array) for name, array in arrays.items()}
    return xr.Dataset(variables, attrs={"experiment": one.experiment.to_json(), "engine": module.NAME})


@neutral()
def visits(experiment: Experiment, level: Any, seed: int, *, device: str = "auto", engine: str = "auto") -> xr.Dataset:
    """Train one run, one point a step, and return what every visit of a training point saw before its step.

    The steps are those of `run`, and so are the weights. What the fused engine cannot do the reference engine does.

    Returns
    -------
    xarray.Dataset
        Dimensions ("epoch", "point"), points in the order of the task; variables `phi`, φ of the step, ‖g‖ at the point;
        `epsilon`, |∂ℓ/∂f|; `loss`; `logit`, the last affine map, in regression f itself; and `target` (point), as trained with.
        Four float64 an epoch and point. NaN from where a run has stopped.

    Raises
    ------
    ValueError
        As `run`, and if a step has more than one point, an epoch does not visit each point once, or there is Dropout.
    """
    one = Run(experiment.replace(levels=(level,), seeds=(seed,)), level, seed)
    training = one.setting.training
    said = {"batch_size": 1, "sampling": "reshuffle", "windows": 1, "dropout": 0.0}
    wrong = [f"{name}={getattr(training, name)!r}" for name, value in said.items() if getattr(training, name) != value]
    if wrong:
        raise ValueError(
            "visits are of one point a step and of every point once an epoch, without Dropout, which needs"
            f" {', '.join(f'{name}={value!r}' for name, value in said.items())}; got {', '.join(wrong)}"
        )
    module, device = resolve([one], engine, device)
    if module is stacked or (engine == "auto" and fused.unsupported(one, plain=True)):
        module = reference
    arrays: dict[str, np.ndarray] = interrupt.in_thread(lambda: module.visits(one, device))
    order = one.order()
    sorted_ = {name: np.take_along_axis(array, np.argsort(order, axis=1), axis=1) for name, array in arrays.items()}
    facts = {name: {"long_name": text, "units": units} for name, (text, units) in VISIT.items()}
    variables: dict[str, Any] = {name: (("epoch", "point"), array, facts[name]) for name, array in sorted_.items()}
    target = (("point",), one.data().y_train.double().numpy(), {"long_name": "target of the training"})
    coords = {"epoch": np.arange(1, len(order) + 1), "point": np.arange(order.shape[1])}
    attrs = {"experiment": one.experiment.to_json(), "engine": module.NAME}
    return xr.Dataset({**variables, "target": target}, coords, attrs)


@neutral()
def resolve(runs: Sequence[Run], engine: str = "auto", device: str = "auto", here: bool = True) -> tuple[ModuleType, str]:
    """Return the engine and the device that train `runs`, or raise ``ValueError`` saying why none can.

    `here` is whether they are trained in this process, or else by workers that have devices of their own.
    """
    one_of("engine", engine, ENGINES)
    check_device(device, here)
    kind = "cpu" if device == "auto" else device.split(":")[0]
    try_out(runs)
    refusal = _refusal(fused, runs)
    if engine == "fused":
        if kind not in fused.DEVICES:
            raise ValueError(f"engine 'fused' runs on the cpu, got device={device!r}; use engine='stacked'")
        if refusal:
            raise ValueError(refusal)
    if engine == "auto" and kind in fused.DEVICES and refusal is None:
        chosen = fused
    elif engine == "auto":
        chosen = stacked if _refusal(stacked, runs) is None else reference
    else:
        chosen = MODULES[engine]
        reason = _refusal(stacked, runs) if chosen is stacked else None
        if reason:
            raise ValueError(reason)
    return chosen, "cpu" if device == "auto" else device


def _refusal(module: ModuleType, runs: Sequence[Run]) -> str | None:
    """Return why an engine cannot train runs, or None if it can; one run of every level tells."""
    first = {run.level: run for run in reversed(runs)}
    return next((reason for reason in map(module.unsupported, first.values()) if reason), None)


def _cache(module: ModuleType, folder: str | os.PathLike[str] | None, runs: Sequence[Run]) -> RunCache | None:
    """Return the cache of a folder, if there is one and it is known what its runs would be numbers of."""
    if folder is None:
        return None
    if code.digest(module.__name__) is None:
        said = "the code of bthcheck has changed since it was imported; runs are not kept until Python is restarted"
        warnings.warn(said, stacklevel=4)
        return None
    trouble = next((found.trouble for found in map(own_code, {run.level: run for run in runs}.values()) if found.trouble), None)
    if trouble is not None:
        warnings.warn(f"runs are not kept, because {trouble}", stacklevel=4)
        return None
    return RunCache(folder)


def _shards(
    module: ModuleType, runs: Sequence[Run], device: str, workers: int | None = None, memory: int | None = None
) -> list[list[int]]:
    """Return the indices of runs that are trained side by side: one, or for the stacked engine as many as memory holds.

    On a CPU a stack is split over the cores that are this process's share, or on any device over the workers. A step of a stack
    of half the runs takes more than half as long, so that this is of no use to processes that wait for cores.
    """
    if module is not stacked:
        return [[index] for index in range(len(runs))]
    shards = []
    alike: dict[Any, list[int]] = {}
    for index, run in enumerate(runs):
        alike.setdefault(stacked.shape(run), []).append(index)
    for indices in alike.values():
        size = stacked.shard_size([runs[index] for index in indices], device, memory)
        if workers or device == "cpu":
            size = min(size, -(-len(indices) // (workers or max(1, available_threads() // processes()))))
        shards += [indices[start : start + size] for start in range(0, len(indices), size)]
    return shards


class _Silent:
    silent = True  # what has to be said is a warning

    def start(self, total: int) -> None:
        pass

    def finish(self, run: Run, key: str, trained: bool, seconds: float) -> None:
        pass

    def wait(self, sentence: str) -> None:
        pass
