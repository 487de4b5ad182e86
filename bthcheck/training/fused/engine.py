"""Engine "fused": one Numba program trains one run with all statistics, no Python in the step loop.

This is the Python side: it packs a network into what `bthcheck.training.fused.loops` works on, and back.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bthcheck.ambient import neutral
from bthcheck.networks import CNN, MLP, Network
from bthcheck.training import interrupt
from bthcheck.training.fused import loops, unsupported
from bthcheck.training.fused.descents import descent_of
from bthcheck.training.fused.packing import Packed, rows_of
from bthcheck.training.runs import Run, RunResult, flat_parameters, identities, load_parameters
from bthcheck.training.share import follow_rows
from bthcheck.training.statistics import STATISTICS, VISIT, mark_divergence


def _packed(run: Run, network: Network, plain: bool = False) -> Packed:
    """Pack a network of this run, or raise ``ValueError`` if this engine cannot train it, or no other way than by plain SGD."""
    description = run.setting.network
    reason = unsupported(run, plain)
    if reason or not isinstance(description, (MLP, CNN)):
        raise ValueError(reason)
    return Packed(network, description, run.setting.training.loss_factor)


def _interruptibly(loop: Callable[..., None], *arguments: Any) -> None:
    """Call a loop over steps in a thread of its own, which stops at its next step if this one is interrupted."""

    def work() -> None:
        stop = interrupt.current()
        loop(*arguments, stop.flag)
        stop.check()

    interrupt.in_thread(work)


@neutral()
def train(run: Run, device: str = "cpu") -> RunResult:
    """Train one run and return its epoch statistics; raise ``ValueError`` if this engine cannot."""
    del device
    start = time.perf_counter()
    stop = interrupt.current()
    training = run.setting.training
    network = run.network()
    packed = _packed(run, network)
    table = np.full((training.rows, len(STATISTICS)), np.nan)
    x_train, y_train, x_test, y_test = points_of(run)
    follow_rows(table[:, 0])
    loops.train(
        packed.program, packed.convolutions, descent_of(training, packed.program.theta), x_train, y_train, x_test, y_test,
        run.order(), run.kept(), training.batch_size, np.array(training.learning_rates()), np.array(training.tested()),
        np.array(training.probed()), table, stop.flag,
    )  # fmt: skip
    stop.check()
    packed.unpack()
    statistics = {name: column.copy() for name, column in zip(STATISTICS, table.T, strict=True)}
    return RunResult(
        statistics=statistics,
        parameters=flat_parameters(network),
        diverged=mark_divergence(statistics, training.tested()),
        seconds=time.perf_counter() - start,
    )


@neutral()
def trace(run: Run, steps: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train for `steps` steps and return every one of them; see `bthcheck.training.engines.trace` for the arrays."""
    del device
    training, points = run.setting.training, run.setting.sizes.train
    stop = interrupt.current()
    packed = _packed(run, run.network())
    x_train, y_train, _, _ = points_of(run)
    order, kept = run.order(), run.kept()
    row = order.shape[1]
    sizes = [min(training.batch_size, row - first) for first in range(0, row, training.batch_size)]
    rates = np.repeat(training.learning_rates(), len(sizes))[:steps]
    n, n_1 = packed.program.inputs, packed.program.first
    arrays = {
        "phi": np.empty(steps),
        "epsilon": np.empty(steps),
        "bias": np.empty((steps + 1, n_1)),
        "first_weight": np.empty((0 if packed.program.identity else steps, n_1, n)),
        "gradient_norm": np.empty((steps, points)),
        "point_lipschitz": np.empty((steps, points)),
        "lipschitz": np.zeros(steps),
    }
    loops.trace(
        packed.program, packed.convolutions, descent_of(training, packed.program.theta), x_train, y_train, order.ravel(),
        None if kept is None else kept.reshape(order.size, -1), np.tile(sizes, len(order))[:steps], rates, *arrays.values(),
        stop.flag,
    )  # fmt: skip
    stop.check()
    if packed.program.identity:
        arrays["first_weight"] = identities(steps, n)
    return {**arrays, "learning_rate": rates}


@neutral()
def follow(run: Run, parameters: np.ndarray, visits: np.ndarray, rates: np.ndarray) -> dict[str, np.ndarray]:
    """Train on from `parameters`, one point a step, and return every step.

    Parameters
    ----------
    run : whose data, architecture and loss to use
    parameters : (p,) as in `RunResult`
    visits : (steps,) int32 points in order
    rates : (steps,) the learning rate α of each

    Returns
    -------
    dict
        "phi" and "epsilon" (steps,), "gradient" (steps, n_1), ∂ℓ/∂b_1 = −Δb_1/α, all before the step's update, and
        "lipschitz_after" (steps,), λ at the step's point after it.
    """
    network = run.network()
    load_parameters(network, parameters)
    packed = _packed(run, network, plain=True)
    x_train, y_train, _, _ = points_of(run)
    steps = len(visits)
    arrays = {
        "phi": np.empty(steps),
        "epsilon": np.empty(steps),
        "gradient": np.empty((steps, packed.program.first)),
        "lipschitz_after": np.empty(steps),
    }
    _interruptibly(loops.follow, packed.program, packed.convolutions, x_train, y_train, visits, rates, *arrays.values())
    return arrays


@neutral()
def visits(run: Run, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train one point a step and return every visit; see `bthcheck.training.engines.visits` for the arrays."""
    del device
    packed = _packed(run, run.network(), plain=True)
    x_train, y_train, _, _ = points_of(run)
    order, rates = run.order(), np.array(run.setting.training.learning_rates())
    arrays = {name: np.full(order.shape, np.nan) for name in VISIT}
    _interruptibly(loops.visits, packed.program, packed.convolutions, x_train, y_train, order, rates, *arrays.values())
    return arrays


@neutral()
def watch(
    network: Network,
    x: np.ndarray,
    y: np.ndarray,
    visits: np.ndarray,
    kept: np.ndarray,
    rate: float,
    loss_factor: float = 1.0,
) -> dict[str, np.ndarray]:
    """Train a network in place with Dropout, one point a step, and return what every step sees and what becomes of λ.

    Parameters
    ----------
    network : fully connected
    x, y : (m, n) points and (m,) targets in the network's type
    visits : (T,) which point each step visits
    kept : (T, bytes) which hidden neurons each step keeps
    rate : the learning rate α
    loss_factor : as in `Training`

    Returns
    -------
    dict
        "phi" and "logit" (T,), before each update; "first_weight" (T + 1, n_1, n), W_1 before the first and after every step;
        "changed" (m,) bool, whether a hidden neuron changed between on and off at a point; "lowest" and "highest" (m,), of λ.
    """
    layers = network.layers()
    widths = (x.shape[1], *(len(bias) for _, bias in layers))
    first, output = "identity" if layers[0][0] is None else "trained", "sigmoid" if network.sigmoid else "identity"
    packed = Packed(network, MLP(widths, first, output), loss_factor)
    steps, points = len(visits), len(y)
    n, n_1 = packed.program.inputs, packed.program.first
    arrays = {
        "phi": np.empty(steps),
        "logit": np.empty(steps),
        "first_weight": np.empty((0 if packed.program.identity else steps + 1, n_1, n)),
        "on": np.empty((points, sum(widths[1:-1])), bool),
        "changed": np.zeros(points, bool),
        "lowest": np.full(points, np.inf),
        "highest": np.zeros(points),
    }
    _interruptibly(loops.watch, packed.program, rows_of(x), y, np.asarray(visits), kept, rate, *arrays.values())
    packed.unpack()
    if packed.program.identity:
        arrays["first_weight"] = identities(steps + 1, n)
    return arrays


def points_of(run: Run) -> tuple[np.ndarray, ...]:
    """The data in the run's type as the kernels read them, (x, y) of training and (x, y) of testing."""
    arrays = (tensor.to(run.dtype).numpy() for tensor in run.data())
    return tuple(array if array.ndim == 1 else rows_of(array.reshape(len(array), -1)) for array in arrays)
