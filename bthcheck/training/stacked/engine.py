"""Engine "stacked": many runs of one architecture as one batched PyTorch program, on a CPU or a CUDA device.

Every parameter, activation and statistic has a leading dimension of runs; see `layers`. A step reads and
writes fixed tensors in place and takes its points from a position that it moves on itself, so that on a GPU whole steps are
captured as CUDA graphs. No step copies anything to the host.

A run's numbers depend on its neighbours by the rounding of the batched kernels alone, which may choose another order of
summation for another number of runs. They are not bit-exact for that reason, and the cache keeps this engine's runs apart.

The trajectory of minibatches. φ = ‖Δb_1‖/(α ε) with ε the batch mean of |∂ℓ/∂f| is the norm of a weighted mean of ±g(x) over
the batch, so that φ ≤ max‖g(x)‖: Lemma 1 becomes one-sided, and the average of φ that Theorem 1 is about is only a lower bound
on the average gradient norm, the looser the more the gradients of a batch point in different directions.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bthcheck.training.memory import halving, room
from bthcheck.training.precision import full_float32
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.stacked.graphs import program
from bthcheck.training.stacked.layers import FirstLayer, Layer, batched, entries_a_point, thin
from bthcheck.training.statistics import STATISTICS, mark_divergence

NAME = "stacked"
DEVICES = ("cpu", "cuda")
_ENTRIES_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}
"""Numbers that one pass over test or training points may hold: about what a CPU caches, and 0.5 GB on a GPU."""


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`; it can train any."""
    del run
    return None


def shard_size(runs: Sequence[Run], device: str) -> int:
    """Return how many of `runs`, which are alike, fit into memory side by side; see `bthcheck.training.memory.room`."""
    run = runs[0]
    setting = run.setting
    training, task = setting.training, setting.task
    network = run.network()
    size = run.dtype.itemsize
    points = (task.train + task.test) * task.inputs * size
    parameters = sum(parameter.numel() for parameter in network.parameters())
    step = training.batch_size * entries_a_point(network)
    held = 2 * parameters + step + task.train + task.test  # twice: once more while they are put together or read back
    each = size * held + 8 * (len(STATISTICS) * training.rows + 2 * task.train) + 4 * training.epochs * task.train
    if training.dropout:
        each += task.train * run.neurons // training.windows
    common = size * _ENTRIES_AT_ONCE[torch.device(device).type]
    if len(runs) > 1 and _same_points([runs[0].data(), runs[-1].data()]):
        common += points
    else:
        each += points
    return max(1, (room(device) - common) // each)


def train(runs: Sequence[Run], device: str = "cpu") -> list[RunResult]:
    """Train runs of one architecture and one schedule side by side and return their epoch statistics, in their order.

    Runs that do not fit into the memory of a GPU are trained fewer at a time, with a warning.

    Raises
    ------
    ValueError
        If the runs differ in architecture, number of points, batch size, number of epochs or type.
    MemoryError
        If not even one run fits into the memory of the GPU.
    """
    if len({shape(run) for run in runs}) != 1:
        raise ValueError("runs that are trained as one stack must agree in architecture, points, batch size, epochs and type")
    with full_float32():
        return halving(lambda part: _train(part, device), runs, device)


def shape(run: Run) -> tuple[object, ...]:
    """Return what runs must share to be trained as one stack."""
    setting = run.setting
    training = setting.training
    return (
        setting.network,
        setting.task.train,
        setting.task.test,
        training.batch_size,
        training.rows,
        training.dtype,
        training.dropout,
    )


@torch.inference_mode()
def _train(runs: Sequence[Run], device: str) -> list[RunResult]:
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            return _train_here(runs, device)
    return _train_here(runs, device)


def _train_here(runs: Sequence[Run], device: str) -> list[RunResult]:
    start = time.perf_counter()
    training = runs[0].setting.training
    stack = _Stack.build(runs, device)
    state = _State.build(stack, runs, device)
    full, last = divmod(state.order.shape[1], training.batch_size)
    steps = [(partial(_step, stack, state, training.batch_size), full)]
    if last:
        steps.append((partial(_step, stack, state, last), 1))
    make_steps = program(steps, partial(_rehearse, stack, state), device)
    table = torch.full((training.rows, len(STATISTICS), len(runs)), torch.nan, dtype=torch.float64, device=device)
    for epoch, (tested, probed) in enumerate(zip(training.tested(), training.probed(), strict=True)):
        state.begin(stack, epoch)
        make_steps()
        table[epoch] = _row(stack, state, full + bool(last), tested, probed)
        if epoch % 50 == 49 and not torch.isfinite(table[epoch, 0]).any():
            break  # every run has diverged
    columns = table.permute(2, 1, 0).cpu().numpy()
    parameters = torch.cat([parameter.flatten(1) for parameter in stack.parameters], dim=1).cpu().numpy()
    seconds = (time.perf_counter() - start) / len(runs)
    results = []
    for values, vector in zip(columns, parameters, strict=True):
        statistics = {name: np.ascontiguousarray(row) for name, row in zip(STATISTICS, values, strict=True)}
        results.append(RunResult(statistics, vector.copy(), mark_divergence(statistics, training.tested()), seconds))
    return results


@dataclass(frozen=True)
class _Stack:
    """Runs side by side. R runs, m points, k test points, n inputs.

    sigmoid : whether the output is one
    parameters : those of all runs in the order of ``Network.parameters()``, (R, …) each; `first` and `rest` work on them
    x_train, x_test : (1, m, n), (1, k, n) if all runs have the same points, else (R, m, n), (R, k, n)
    y_train, y_test : (R, m), (R, k)
    entries : numbers that a pass holds for one point of one run
    """

    sigmoid: bool
    parameters: list[Tensor]
    first: FirstLayer
    rest: list[Layer]
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    entries: int

    @classmethod
    def build(cls, runs: Sequence[Run], device: str) -> "_Stack":
        """Draw data and weights of all runs."""
        networks = [run.network() for run in runs]
        parameters = [
            torch.stack([parameter.detach() for parameter in group]).to(device)
            for group in zip(*(network.parameters() for network in networks), strict=True)
        ]
        first, rest = batched(networks[0], parameters)
        x_train, y_train, x_test, y_test = (tensor.to(device) for tensor in _points(runs))
        entries = entries_a_point(networks[0])
        return cls(networks[0].sigmoid, parameters, first, rest, x_train, y_train, x_test, y_test, entries)

    def forward(self, x: Tensor) -> tuple[Tensor, Any, list[Any]]:
        """Return s (R, B) at points (R, B, n) or (1, B, n), and what the layers saved."""
        h, first = self.first.forward(x.expand(len(self.y_train), -1, -1))
        rest = []
        for layer in self.rest:
            h, saved = layer.forward(h)
            rest.append(saved)
        return h.squeeze(2), first, rest

    def slope(self, logit: Tensor) -> Tensor:
        """∂f/∂s, of the shape of `logit`; σ(s)σ(−s) does not cancel where a probability is near 1."""
        return logit.sigmoid() * (-logit).sigmoid() if self.sigmoid else torch.ones_like(logit)


def _points(runs: Sequence[Run]) -> list[Tensor]:
    """Return x_train, y_train, x_test, y_test as `_Stack` keeps them: images, which all runs share, are stored once."""
    dtype = runs[0].dtype
    data = [runs[0].data()]
    shared = True
    for run in runs[1:]:
        drawn = run.data()
        if shared and _same_points([data[0], drawn]):  # so that no second copy outlives this line
            drawn = drawn._replace(x_train=data[0].x_train, x_test=data[0].x_test)
        else:
            shared = False
        data.append(drawn)
    return [
        torch.stack([tensor.to(dtype) for tensor in (group[:1] if shared and name.startswith("x") else group)])
        for name, group in zip(data[0]._fields, zip(*data, strict=True), strict=True)
    ]


def _same_points(data: Sequence[Any]) -> bool:
    one, other = data
    return torch.equal(one.x_train, other.x_train) and torch.equal(one.x_test, other.x_test)


@dataclass(frozen=True)
class _State:
    """The fixed tensors beside the parameters that steps read and write. R runs, n_1 first neurons, m points.

    orders : (R, windows, m') int32, which point is visited when; order : (R, m') that of this window, m' points
    packed : (R, windows, m', bytes) uint8 on the host, what Dropout keeps when; kept : (R, m', Σ n_l) uint8 that of this
        window; None without Dropout
    position : (batch size,) the columns of `order` that the next step takes
    offsets : (R, 1) where a run's own points begin among those of all, or None if the runs share their points
    rates : (R, windows) float64, learning rates; rate : (R, 1) that of this window
    initial, reference : (R, n_1), b_1 before training and before this window
    shift, spread : (R, n_1) and (R,) float64, Σ(b_1 − reference) and Σ‖b_1 − reference‖² over the window's steps
    length, largest, path, published, loss, errors : (R,) float64, Σφ, max φ, Σ‖Δb_1‖/α, Σ‖Δb_1‖ε/α, Σℓ and wrong answers over
        the window's steps
    """

    orders: Tensor
    order: Tensor
    packed: np.ndarray | None
    kept: Tensor | None
    position: Tensor
    offsets: Tensor | None
    rates: Tensor
    rate: Tensor
    initial: Tensor
    reference: Tensor
    shift: Tensor
    spread: Tensor
    length: Tensor
    largest: Tensor
    path: Tensor
    published: Tensor
    loss: Tensor
    errors: Tensor

    @classmethod
    def build(cls, stack: _Stack, runs: Sequence[Run], device: str) -> "_State":
        """Draw the orders of all runs; every other tensor waits for `begin`."""
        count, points = stack.y_train.shape
        bias = stack.first.bias
        rates = torch.tensor([run.setting.training.learning_rates() for run in runs], dtype=torch.float64, device=device)
        sums = [torch.zeros(count, dtype=torch.float64, device=device) for _ in range(7)]
        orders = torch.stack([torch.from_numpy(run.order()) for run in runs]).to(device)
        masks = [kept for run in runs if (kept := run.kept()) is not None]
        row = (count, orders.shape[2], runs[0].neurons)
        return cls(
            orders=orders,
            order=torch.zeros(count, orders.shape[2], dtype=torch.long, device=device),
            packed=np.stack(masks) if masks else None,
            kept=torch.zeros(row, dtype=torch.uint8, device=device) if masks else None,
            position=torch.zeros(runs[0].setting.training.batch_size, dtype=torch.long, device=device),
            offsets=None if len(stack.x_train) < count else points * torch.arange(count, device=device)[:, None],
            rates=rates,
            rate=torch.zeros(count, 1, dtype=bias.dtype, device=device),
            initial=bias.clone(),
            reference=bias.clone(),
            shift=torch.zeros_like(bias, dtype=torch.float64),
            spread=sums[0], length=sums[1], largest=sums[2], path=sums[3], published=sums[4],
            loss=sums[5], errors=sums[6],
        )  # fmt: skip

    def begin(self, stack: _Stack, epoch: int) -> None:
        """Set everything as it is before the first step of an epoch."""
        self.order.copy_(self.orders[:, epoch])
        if self.packed is not None and self.kept is not None:
            self.kept.copy_(torch.from_numpy(np.unpackbits(self.packed[:, epoch], axis=-1, count=self.kept.shape[2])))
        torch.arange(len(self.position), out=self.position)
        self.rate.copy_(self.rates[:, epoch, None])
        self.reference.copy_(stack.first.bias)
        for total in (self.shift, self.spread, self.length, self.largest, self.path, self.published, self.loss, self.errors):
            total.zero_()


def _rehearse(stack: _Stack, state: _State) -> None:
    """Prepare a step that changes no parameter: one with a rate of zero."""
    state.begin(stack, 0)
    state.rate.zero_()


def _loss(sigmoid: bool, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ℓ, ∂ℓ/∂s, log|∂ℓ/∂f| and whether the class is wrong (NaN in regression), (R, B) each; see the reference engine."""
    if not sigmoid:
        residual = s - y
        return residual.square() / 2, residual, residual.abs().log(), torch.full_like(s, torch.nan)
    right = 2 * y - 1
    values = -nn.functional.logsigmoid(right * s)
    return values, -right * (-right * s).sigmoid(), values, ((s > 0) != (y > 0.5)).to(s)  # σ(s) − y, without cancellation


def _step(stack: _Stack, state: _State, size: int) -> None:
    """Make one step of every run on its next `size` points, and add up what it measured before its update."""
    bias = stack.first.bias
    deviation = bias - state.reference
    state.shift.add_(deviation)
    distance = torch.linalg.vector_norm(deviation, dim=1, dtype=torch.float64)
    state.spread.addcmul_(distance, distance)

    now = state.position[:size]
    points = state.order.index_select(1, now)
    kept = None if state.kept is None else state.kept.index_select(1, now)
    state.position.add_(size)
    y = stack.y_train.gather(1, points)
    rows = points if state.offsets is None else points + state.offsets
    x = stack.x_train.flatten(0, 1).index_select(0, rows.flatten()).unflatten(0, rows.shape)
    s, first, rest = stack.forward(x)
    if kept is not None:
        thin(stack.rest, rest, kept)
    values, slope, log_epsilon, wrong = _loss(stack.sigmoid, s, y)
    state.loss.add_(values.sum(1, dtype=torch.float64))
    state.errors.add_(wrong.sum(1, dtype=torch.float64))

    scale = slope * (state.rate / size)
    g = torch.ones_like(s)[..., None]
    for layer, saved in zip(reversed(stack.rest), reversed(rest), strict=True):
        below = layer.backward(g, saved)
        layer.descend(g, saved, scale)
        g = below
    stack.first.descend(g, first, scale)

    steep = stack.slope(s)
    if size == 1:  # one point is its batch's mean, whose norm needs no sum
        norm = g.norm(dim=(1, 2))
        phi, update = steep[:, 0] * norm, slope[:, 0].abs() * norm
    else:
        weight = torch.softmax(log_epsilon.clamp(min=-1e30), dim=1).copysign(slope)
        phi = torch.bmm((weight * steep)[:, None], g).norm(dim=(1, 2))
        update = torch.bmm(slope[:, None], g).norm(dim=(1, 2)) / size
    state.length.add_(phi)
    state.largest.copy_(torch.maximum(state.largest, phi))
    state.path.add_(update)
    state.published.add_(update * log_epsilon.double().exp().mean(1))


def _row(stack: _Stack, state: _State, steps: int, tested: bool, probed: bool) -> Tensor:
    """Return the statistics of an epoch whose steps are made, (statistics, R), in the order of `STATISTICS`."""
    rate = state.rate[:, 0].double()
    points = state.order.shape[1]
    unknown = torch.full_like(state.loss, torch.nan)
    row = {
        "trajectory_length": state.length,
        "trajectory_max": state.largest,
        "bias_variance": (state.spread / steps - (state.shift / steps).square().sum(1)) / rate.square(),
        "distance_to_init": (stack.first.bias - state.initial).double().norm(dim=1),
        "update_sum": rate * state.path,
        "train_loss": state.loss / points,
        "test_loss": unknown,
        "train_error": state.errors / points,
        "test_error": unknown,
        "lipschitz_mean": unknown,
        "lipschitz_max": unknown,
        "published_length": state.published if stack.sigmoid else unknown,
    }
    if tested:
        test, test_wrong = _test(stack)
        row["test_loss"], row["test_error"] = test.double().mean(1), test_wrong.double().mean(1)
    if probed:
        constants = _local_lipschitz(stack).double()
        row["lipschitz_mean"], row["lipschitz_max"] = constants.mean(1), constants.amax(1)
    return torch.stack([row[name] for name in STATISTICS])


def _chunks(stack: _Stack, x: Tensor) -> tuple[Tensor, ...]:
    """Split points (1 or R, m, n) into pieces small enough for a forward and backward pass over all runs at once."""
    size = max(1, _ENTRIES_AT_ONCE[x.device.type] // (stack.y_train.shape[0] * stack.entries))
    return x.split(size, dim=1)


def _test(stack: _Stack) -> tuple[Tensor, Tensor]:
    """Return loss and error at the test points, (R, k) each."""
    s = torch.cat([stack.forward(part)[0] for part in _chunks(stack, stack.x_test)], dim=1)
    values, _, _, wrong = _loss(stack.sigmoid, s, stack.y_test)
    return values, wrong


def _local_lipschitz(stack: _Stack) -> Tensor:
    """Return λ at the training points, (R, m)."""
    parts = []
    for part in _chunks(stack, stack.x_train):
        s, first, rest = stack.forward(part)
        g = torch.ones_like(s)[..., None]
        for layer, saved in zip(reversed(stack.rest), reversed(rest), strict=True):
            g = layer.backward(g, saved)
        parts.append(stack.slope(s) * stack.first.backward(g, first).norm(dim=2))
    return torch.cat(parts, dim=1)
