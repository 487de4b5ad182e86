"""Engine "reference": plain PyTorch autograd, one run at a time. The oracle the other engines are tested against.

It trains any module, in the mode that it was built in; what that draws while it trains, as Dropout layers do, it draws from a
stream of the seed. λ and what is said of the test points are those of evaluation mode.

Written to be read, not to be fast. λ is the gradient with respect to the input and φ comes from the gradient with respect to
the first pre-activation, so that λ ≤ σ_1 φ (Lemma 1) is a fact about two measurements and not about one.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.protocols import is_own
from bthcheck.training import interrupt
from bthcheck.training.chance import random_states
from bthcheck.training.optimizers import Optimizer, optimizer_of
from bthcheck.training.runs import Run, RunResult, flat_parameters, identities
from bthcheck.training.share import follow_rows
from bthcheck.training.statistics import VISIT, blank_statistics, mark_divergence
from bthcheck.training.streams import module_seed
from bthcheck.training.views import View, view_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")

NAME = "reference"
DEVICES = ("cpu", "cuda")


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`; it can train any."""
    del run
    return None


@dataclass(frozen=True)
class _Points:
    """The data of a run on its device and in its type."""

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


@neutral()
def train(run: Run, device: str = "cpu") -> RunResult:
    """Train one run and return its epoch statistics."""
    with _chance(run):
        return _train(run, device)


def _train(run: Run, device: str) -> RunResult:
    start = time.perf_counter()
    training = run.setting.training
    view = view_of(run, device)
    points = _Points(*(tensor.to(device, run.dtype) for tensor in run.data()))
    order = torch.from_numpy(run.order()).long().to(device)
    kept = _kept(run, device)
    initial = view.bias.detach().clone()
    optimizer = _optimizer(run, view)
    statistics = blank_statistics(training.rows)
    follow_rows(statistics["trajectory_length"])
    stop = interrupt.current()

    schedule = zip(training.learning_rates(), training.tested(), training.probed(), strict=True)
    for epoch, (rate, tested, probed) in enumerate(schedule):
        steps = []
        biases = []
        for batch, keep in _batches(order[epoch], None if kept is None else kept[epoch], training.batch_size):
            stop.check()
            biases.append(view.bias.detach().clone().flatten())
            x, y = points.x_train[batch], points.y_train[batch]
            steps.append(_step(view, rate, x, y, keep, training.loss_factor, optimizer))
        phi = torch.stack([step.phi for step in steps]).double()
        path = torch.stack(biases).double()
        count = len(order[epoch])
        row = {
            "trajectory_length": phi.sum(),
            "trajectory_max": phi.max(),
            "bias_variance": (path - path.mean(0)).square().sum(1).mean() / rate**2,
            "distance_to_init": (view.bias.detach() - initial).double().norm(),
            "update_sum": rate * torch.stack([step.update for step in steps]).double().sum(),
            "train_loss": torch.stack([step.loss.values.double().sum() for step in steps]).sum() / count,
            "train_error": torch.stack([step.loss.wrong.double().sum() for step in steps]).sum() / count,
        }
        if tested:
            with torch.no_grad():
                test = _loss(view, view.evaluate(points.x_test), points.y_test, training.loss_factor)
            row["test_loss"], row["test_error"] = test.values.double().mean(), test.wrong.double().mean()
        if view.sigmoid:
            row["published_length"] = torch.stack([step.update * step.published for step in steps]).double().sum()
        if probed:
            constants = view.local_lipschitz(points.x_train).double()
            row["lipschitz_mean"] = constants.mean()
            row["lipschitz_max"] = constants.max()
        for name, value in row.items():
            statistics[name][epoch] = float(value)
        if not math.isfinite(statistics["train_loss"][epoch]):
            break

    return RunResult(
        statistics=statistics,
        parameters=flat_parameters(view.module),
        diverged=mark_divergence(statistics, training.tested()),
        seconds=time.perf_counter() - start,
    )


@neutral()
def trace(run: Run, steps: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train for `steps` steps and return every one of them; see `bthcheck.training.engines.trace` for the arrays."""
    with _chance(run):
        return _trace(run, steps, device)


def _trace(run: Run, steps: int, device: str) -> dict[str, np.ndarray]:
    training = run.setting.training
    view = view_of(run, device)
    points = _Points(*(tensor.to(device, run.dtype) for tensor in run.data()))
    order = torch.from_numpy(run.order()).long().to(device)
    kept = _kept(run, device)
    visits = (
        (rate, batch, keep)
        for epoch, rate in enumerate(training.learning_rates())
        for batch, keep in _batches(order[epoch], None if kept is None else kept[epoch], training.batch_size)
    )
    batches = list(islice(visits, steps))
    optimizer = _optimizer(run, view)
    columns: dict[str, list[Tensor]] = {
        name: []
        for name in ("phi", "lipschitz", "epsilon", "bias", "first_weight", "gradient_norm", "point_lipschitz", "rounding")
    }
    stop = interrupt.current()
    for rate, batch, keep in batches:
        stop.check()
        columns["bias"].append(view.bias.detach().clone().flatten())
        weight = view.first_weight()
        if weight is not None:
            columns["first_weight"].append(weight)
        columns["gradient_norm"].append(view.gradient_norms(points.x_train))
        columns["point_lipschitz"].append(view.local_lipschitz(points.x_train))
        columns["lipschitz"].append(view.local_lipschitz(points.x_train[batch], keep).max())
        rounding = view.rounding(points.x_train[batch])
        if rounding is not None:
            columns["rounding"].append(rounding.max())
        x, y = points.x_train[batch], points.y_train[batch]
        step = _step(view, rate, x, y, keep, training.loss_factor, optimizer)
        columns["phi"].append(step.phi)
        columns["epsilon"].append(step.epsilon)
    columns["bias"].append(view.bias.detach().clone().flatten())
    arrays = {name: torch.stack(values).double().cpu().numpy() for name, values in columns.items() if values}
    if view.identity:
        arrays["first_weight"] = identities(len(batches), points.x_train.shape[1])
    arrays["learning_rate"] = np.array([rate for rate, *_ in batches])
    return arrays


@neutral()
def visits(run: Run, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train one point a step and return every visit; see `bthcheck.training.engines.visits` for the arrays."""
    with _chance(run):
        view = view_of(run, device)
        x_train, y_train = (tensor.to(device, run.dtype) for tensor in run.data()[:2])
        order, optimizer, stop = run.order(), _optimizer(run, view), interrupt.current()
        training = run.setting.training
        arrays = {name: np.full(order.shape, np.nan) for name in VISIT}
        for row, rate in enumerate(training.learning_rates()):
            for number, point in enumerate(order[row].tolist()):
                stop.check()
                step = _step(view, rate, x_train[[point]], y_train[[point]], None, training.loss_factor, optimizer)
                found = (step.phi, step.epsilon, step.loss.values, step.logit)
                for array, value in zip(arrays.values(), found, strict=True):
                    array[row, number] = float(value)
        return arrays


def _chance(run: Run) -> contextlib.AbstractContextManager[None]:
    """What a module of one's own draws while it trains comes from a stream of the seed; others draw nothing."""
    return random_states(module_seed(run.seed)) if is_own(run.setting.network) else contextlib.nullcontext()


def _kept(run: Run, device: str) -> Tensor | None:
    """Return which hidden neurons Dropout keeps, (windows, points of a window, Σ n_l) of 0 and 1, or None without it."""
    packed = run.kept()
    if packed is None:
        return None
    return torch.from_numpy(np.unpackbits(packed, axis=-1, count=run.neurons)).to(device)


def _batches(order: Tensor, kept: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the points of every step of a window and what Dropout keeps at each of them."""
    for start in range(0, len(order), size):
        yield order[start : start + size], None if kept is None else kept[start : start + size]


@dataclass(frozen=True)
class _Loss:
    """The loss of points as a function of the logit s, and what follows from it, (m,) each.

    values : ℓ, which is `factor` times (s − y)²/2, or times the cross-entropy of σ(s) with y ∈ {0, 1}
    slope : ∂ℓ/∂s
    log_steepness : log |∂ℓ/∂f| at a factor of 1; for the cross-entropy that is 1/|1 − y − f|, whose logarithm is ℓ itself
    wrong : whether the class is wrong; NaN in regression
    """

    values: Tensor
    slope: Tensor
    log_steepness: Tensor
    wrong: Tensor


def _loss(network: View | Network, logit: Tensor, y: Tensor, factor: float = 1.0) -> _Loss:
    s = logit.detach()
    if not network.sigmoid:
        values = (logit - y).square() / 2
        return _Loss(factor * values, factor * (s - y), (s - y).abs().log(), torch.full_like(s, math.nan))
    right = 2 * y - 1
    values = -nn.functional.logsigmoid(right * logit)
    slope = -right * (-right * s).sigmoid()  # σ(s) − y, which cancels where σ(s) is 1 to rounding
    return _Loss(factor * values, factor * slope, values.detach(), ((s > 0) != (y > 0.5)).to(s))


@dataclass(frozen=True)
class _Step:
    """What one step measured before its update: φ, the batch mean of ε, ‖Δb_1‖/α and the loss of its points.

    logit : s of its points, (m,)
    published : what the authors' code multiplies ‖Δb_1‖/α with, the batch mean of ε of the loss without its factor
    """

    phi: Tensor
    epsilon: Tensor
    published: Tensor
    update: Tensor
    loss: _Loss
    logit: Tensor


def _trained(view: View) -> list[nn.Parameter]:
    return [parameter for parameter in view.module.parameters() if parameter.requires_grad]


def _optimizer(run: Run, view: View) -> Optimizer | None:
    """Return what makes the steps of a run, None for plain SGD; it sees one run side by side with none."""
    return optimizer_of(run.setting.training, [parameter.detach()[None] for parameter in _trained(view)])


def _step(
    view: View, rate: float, x: Tensor, y: Tensor, kept: Tensor | None, factor: float, optimizer: Optimizer | None
) -> _Step:
    z, logit = view.forward(x, kept)
    loss = _loss(view, logit, y, factor)
    # φ = ‖∂L/∂b_1‖/ε, with ε the batch mean of |∂ℓ/∂f|, is a mean of ±g weighted by |∂ℓ/∂f|. In this form nothing cancels,
    # as it does in b^{t+1} − b^t, and nothing overflows where a wrong answer is certain. Equal weights if all ε are 0.
    weight = torch.softmax(loss.log_steepness.clamp(min=-1e30), dim=0) * torch.where(loss.slope < 0, -1.0, 1.0).to(logit)
    phi = view.pull(z, logit, weight).norm()
    parameters = _trained(view)
    gradients = torch.autograd.grad(loss.values.mean(), parameters, materialize_grads=True)
    with torch.no_grad():
        directions = list(gradients)
        if optimizer is not None:
            one = optimizer.directions([parameter[None] for parameter in parameters], [part[None] for part in gradients])
            directions = [direction[0] for direction in one]
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.sub_(rate * direction)
    bias = next(i for i, parameter in enumerate(parameters) if parameter is view.bias)
    loss = replace(loss, values=loss.values.detach())
    steepness = loss.log_steepness.exp().mean()
    return _Step(phi, factor * steepness, steepness, directions[bias].norm(), loss, logit.detach())
