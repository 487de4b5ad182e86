"""A step of a stack of runs, and the statistics of an epoch whose steps are made.

The trajectory of minibatches. φ = ‖Δb_1‖/(α ε) with ε the batch mean of |∂ℓ/∂f| is the norm of a weighted mean of ±g(x) over
the batch, so that φ ≤ max‖g(x)‖: Lemma 1 becomes one-sided, and the average of φ that Theorem 1 is about is only a lower bound
on the average gradient norm, the looser the more the gradients of a batch point in different directions.
"""

import torch
from torch import Tensor

from bthcheck.training.stacked.layers import thin
from bthcheck.training.stacked.losses import loss
from bthcheck.training.stacked.state import Stack, State
from bthcheck.training.stacked.whole import WholeStack
from bthcheck.training.statistics import STATISTICS

ENTRIES_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}
"""Numbers that one pass over test or training points may hold: about what a CPU caches, and 0.5 GB on a GPU."""


def rehearse(stack: Stack | WholeStack, state: State) -> None:
    """Prepare a step that changes no parameter: one with a rate of zero."""
    state.begin(stack, 0)
    state.rate.zero_()


def step(stack: Stack | WholeStack, state: State, size: int) -> None:
    """Make one step of every run on its next `size` points, and add up what it measured before its update."""
    deviation = stack.bias - state.reference
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
    measured = _advance(stack, x, y, kept, state.rate) if isinstance(stack, Stack) else stack.advance(x, y, state.rate)
    values, log_steepness, wrong, phi, update = measured
    state.loss.add_(values.sum(1, dtype=torch.float64))
    state.errors.add_(wrong.sum(1, dtype=torch.float64))
    state.length.add_(phi)
    state.largest.copy_(torch.maximum(state.largest, phi))
    state.path.add_(update)
    state.published.add_(update * log_steepness.double().exp().mean(1))


def _advance(stack: Stack, x: Tensor, y: Tensor, kept: Tensor | None, rate: Tensor) -> tuple[Tensor, ...]:
    """Do what `WholeStack.advance` does, by the backward pass of the layers."""
    size = y.shape[1]
    s, first, rest = stack.forward(x)
    if kept is not None:
        thin(stack.rest, rest, kept)
    values, slope, log_steepness, wrong = loss(stack.sigmoid, stack.factor, s, y)

    if stack.optimizer is None:
        scale = slope * (rate / size)
    else:  # gradients are gathered in memory of their own, by a descent from 0 at a rate of −1
        scale = slope / -size
        for gradient in stack.gradients:
            gradient.zero_()
    first_changed, rest_changed = stack.gathering or (stack.first, stack.rest)
    g = torch.ones_like(s)[..., None]
    for layer, changed, saved in zip(reversed(stack.rest), reversed(rest_changed), reversed(rest), strict=True):
        below = layer.backward(g, saved)
        changed.descend(g, saved, scale)
        g = below
    first_changed.descend(g, first, scale)

    steep = stack.slope(s)
    if size == 1:  # one point is its batch's mean, whose norm needs no sum
        norm = g.norm(dim=(1, 2))
        phi, update = steep[:, 0] * norm, slope[:, 0].abs() * norm
    else:
        weight = torch.softmax(log_steepness.clamp(min=-1e30), dim=1).copysign(slope)
        phi = torch.bmm((weight * steep)[:, None], g).norm(dim=(1, 2))
        update = torch.bmm(slope[:, None], g).norm(dim=(1, 2)) / size
    if stack.optimizer is not None:
        update = _follow(stack, rate)
    return values, log_steepness, wrong, phi, update


def _follow(stack: Stack, rate: Tensor) -> Tensor:
    """Take the optimizer's step along the gathered gradients and return ‖Δb_1‖/α, (R,)."""
    assert stack.optimizer is not None
    directions = stack.optimizer.directions(stack.parameters, stack.gradients)
    for parameter, direction in zip(stack.parameters, directions, strict=True):
        parameter.sub_(rate.view(-1, *[1] * (parameter.ndim - 1)) * direction)
    bias = next(number for number, parameter in enumerate(stack.parameters) if parameter is stack.bias)
    return directions[bias].norm(dim=1)


def row(stack: Stack | WholeStack, state: State, steps: int, tested: bool, probed: bool) -> Tensor:
    """Return the statistics of an epoch whose steps are made, (statistics, R), in the order of `STATISTICS`."""
    rate = state.rate[:, 0].double()
    points = state.order.shape[1]
    unknown = torch.full_like(state.loss, torch.nan)
    row = {
        "trajectory_length": state.length,
        "trajectory_max": state.largest,
        "bias_variance": (state.spread / steps - (state.shift / steps).square().sum(1)) / rate.square(),
        "distance_to_init": (stack.bias - state.initial).double().norm(dim=1),
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


def _chunks(stack: Stack | WholeStack, x: Tensor) -> tuple[Tensor, ...]:
    """Split points (1 or R, m, n) into pieces small enough for a forward and backward pass over all runs at once."""
    size = max(1, ENTRIES_AT_ONCE[x.device.type] // (stack.y_train.shape[0] * stack.entries))
    return x.split(size, dim=1)


def _test(stack: Stack | WholeStack) -> tuple[Tensor, Tensor]:
    """Return loss and error at the test points, (R, k) each."""
    parts = _chunks(stack, stack.x_test)
    s = torch.cat([stack.forward(part)[0] if isinstance(stack, Stack) else stack.logit(part) for part in parts], dim=1)
    values, _, _, wrong = loss(stack.sigmoid, stack.factor, s, stack.y_test)
    return values, wrong


def _local_lipschitz(stack: Stack | WholeStack) -> Tensor:
    """Return λ at the training points, (R, m)."""
    parts = []
    for part in _chunks(stack, stack.x_train):
        if isinstance(stack, WholeStack):
            parts.append(stack.local_lipschitz(part))
            continue
        s, first, rest = stack.forward(part)
        g = torch.ones_like(s)[..., None]
        for layer, saved in zip(reversed(stack.rest), reversed(rest), strict=True):
            g = layer.backward(g, saved)
        parts.append(stack.slope(s) * stack.first.backward(g, first).norm(dim=2))
    return torch.cat(parts, dim=1)
