"""Engine "stacked": many runs of one architecture as one batched PyTorch program, on a CPU or a CUDA device.

Every parameter, activation and statistic has a leading dimension of runs; an affine layer is a batched matrix product and a
convolution one over unfolded patches. A sum over runs gives every run its own gradient in one backward pass. No step copies
anything to the host.

A run's numbers depend on its neighbours by the rounding of the batched kernels alone, which may choose another order of
summation for another number of runs. They are not bit-exact for that reason, and the cache keeps this engine's runs apart.

The trajectory of minibatches. φ = ‖Δb_1‖/(α ε) with ε the batch mean of |∂ℓ/∂f| is the norm of a weighted mean of ±g(x) over
the batch, so that φ ≤ max‖g(x)‖: Lemma 1 becomes one-sided, and the average of φ that Theorem 1 is about is only a lower bound
on the average gradient norm, the looser the more the gradients of a batch point in different directions.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bthcheck.networks import Network
from bthcheck.training.runs import Run, RunResult
from bthcheck.training.statistics import STATISTICS, mark_divergence

NAME = "stacked"
DEVICES = ("cpu", "cuda")
_ENTRIES_AT_ONCE = 2**22
_CPU_BYTES = 2**30


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`; it can train any."""
    del run
    return None


def shard_size(run: Run, device: str) -> int:
    """Return how many runs like `run` fit into memory side by side: half of what a GPU has free, or 1 GiB on a CPU."""
    setting = run.setting
    points = setting.task.train + setting.task.test
    weights = sum(parameter.numel() for parameter in run.network().parameters())
    size = (points * setting.task.inputs + 4 * weights) * (4 if run.dtype == torch.float32 else 8)
    available = _CPU_BYTES if device == "cpu" else torch.cuda.mem_get_info(device)[0] // 2
    return max(1, available // size)


def train(runs: Sequence[Run], device: str = "cpu") -> list[RunResult]:
    """Train runs of one architecture and one schedule side by side and return their epoch statistics, in their order.

    Raises
    ------
    ValueError
        If the runs differ in architecture, number of points, batch size, number of epochs or type.
    """
    if len({shape(run) for run in runs}) != 1:
        raise ValueError("runs that are trained as one stack must agree in architecture, points, batch size, epochs and type")
    start = time.perf_counter()
    stack = _Stack.build(runs, device)
    training = runs[0].setting.training
    rates = torch.tensor([run.setting.training.learning_rates() for run in runs], dtype=torch.float64, device=device)
    table = torch.full((training.rows, len(STATISTICS), len(runs)), torch.nan, dtype=torch.float64, device=device)
    initial = stack.bias().detach().clone()
    for epoch, (tested, probed) in enumerate(zip(training.tested(), training.probed(), strict=True)):
        table[epoch] = _epoch(stack, epoch, rates[:, epoch], initial, training.batch_size, tested, probed)
        if epoch % 50 == 49 and not torch.isfinite(table[epoch, 0]).any():
            break  # every run has diverged
    columns = table.permute(2, 1, 0).cpu().numpy()
    seconds = (time.perf_counter() - start) / len(runs)
    results = []
    for index, values in enumerate(columns):
        statistics = {name: np.ascontiguousarray(row) for name, row in zip(STATISTICS, values, strict=True)}
        parameters = torch.cat([parameter[index].detach().flatten() for parameter in stack.parameters]).cpu().numpy()
        results.append(RunResult(statistics, parameters, mark_divergence(statistics, training.tested()), seconds))
    return results


def shape(run: Run) -> tuple[object, ...]:
    """Return what runs must share to be trained as one stack."""
    setting = run.setting
    training = setting.training
    return (setting.network, setting.task.train, setting.task.test, training.batch_size, training.rows, training.dtype)


@dataclass
class _Stack:
    """Runs side by side. R runs, m points, k test points, n inputs.

    network : a template, for the kinds and order of its layers
    parameters : those of all runs in the template's order, (R, …) each, with gradients; the first is b_1 or W_1
    x_train, y_train, x_test, y_test : (R, m, n), (R, m), (R, k, n), (R, k)
    order : (R, epochs, m) which point is visited when
    """

    network: Network
    parameters: list[Tensor]
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    order: Tensor

    @classmethod
    def build(cls, runs: Sequence[Run], device: str) -> "_Stack":
        """Draw data, weights and order of all runs."""
        networks = [run.network() for run in runs]
        parameters = [
            torch.stack([parameter.detach() for parameter in group]).to(device).requires_grad_()
            for group in zip(*(network.parameters() for network in networks), strict=True)
        ]
        # Sinusoids of one seed are the same points at every level; torch.stack copies them, which is small.
        data = [run.data() for run in runs]
        arrays = [torch.stack([tensor.to(run.dtype) for tensor, run in zip(group, runs, strict=True)]).to(device)
                  for group in zip(*data, strict=True)]  # fmt: skip
        order = torch.stack([torch.from_numpy(run.order()).long() for run in runs]).to(device)
        x_train, y_train, x_test, y_test = arrays
        return cls(networks[0], parameters, x_train, y_train, x_test, y_test, order)

    def first(self, x: Tensor) -> Tensor:
        """First pre-activations (R, B, n_1) of inputs (R, B, n)."""
        if self.network.layers()[0][0] is None:
            return x + self.parameters[0][:, None]
        return _affine(x, self.parameters[0], self.parameters[1])

    def logit(self, z: Tensor) -> Tensor:
        """Last affine map (R, B) of first pre-activations (R, B, n_1)."""
        left = iter(self.parameters[1 if self.network.layers()[0][0] is None else 2 :])
        h = z
        for layer in self.network.rest:
            if isinstance(layer, nn.Linear):
                h = _affine(h, next(left), next(left))
            elif isinstance(layer, nn.Conv2d):
                h = _convolve(h, next(left), next(left))
            else:  # acts on every point by itself: runs and points may share a dimension
                h = layer(h.flatten(0, 1)).unflatten(0, z.shape[:2])
        return h.squeeze(-1)

    def bias(self) -> Tensor:
        """b_1, (R, n_1)."""
        return self.parameters[0 if self.network.layers()[0][0] is None else 1]

    def slope(self, logit: Tensor) -> Tensor:
        """∂f/∂s, of the shape of `logit`; σ(s)σ(−s) does not cancel where a probability is near 1."""
        return logit.sigmoid() * (-logit).sigmoid() if self.network.sigmoid else torch.ones_like(logit)


def _affine(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(R, B, n) by (R, m, n) and (R, m) to (R, B, m)."""
    return torch.baddbmm(bias[:, None], h, weight.transpose(1, 2))


def _convolve(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(R, B, in, H, W) by (R, out, in, k, k) and (R, out) to (R, B, out, H', W')."""
    runs, points, _, height, width = h.shape
    side = weight.shape[-1]
    patches = nn.functional.unfold(h.flatten(0, 1), side).unflatten(0, (runs, points))  # (R, B, in·k·k, H'·W')
    flat = patches.transpose(1, 2).flatten(2)  # (R, in·k·k, B·H'·W')
    out = torch.baddbmm(bias[:, :, None], weight.flatten(2), flat)
    shape = (runs, weight.shape[1], points, height - side + 1, width - side + 1)
    return out.view(shape).transpose(1, 2)


def _loss(stack: _Stack, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ℓ, ∂ℓ/∂s, log|∂ℓ/∂f| and whether the class is wrong (NaN in regression), (R, B) each; see the reference engine."""
    if not stack.network.sigmoid:
        residual = s - y
        return residual.square() / 2, residual, residual.abs().log(), torch.full_like(s, torch.nan)
    values = -nn.functional.logsigmoid((2 * y - 1) * s)
    return values, s.sigmoid() - y, values, ((s > 0) != (y > 0.5)).to(s)


def _epoch(stack: _Stack, epoch: int, rate: Tensor, initial: Tensor, batch_size: int, tested: bool, probed: bool) -> Tensor:
    """Train one epoch and return its statistics, (statistics, R), in the order of `STATISTICS`."""
    order = stack.order[:, epoch]
    points = order.shape[1]
    runs = torch.arange(len(order), device=order.device)[:, None]
    zero = torch.zeros_like(rate)
    length, largest, path, loss, errors, published = (zero.clone() for _ in range(6))
    reference = stack.bias().detach().clone()
    shift = torch.zeros_like(reference, dtype=torch.float64)
    spread = zero.clone()
    batches = order.split(batch_size, dim=1)
    for batch in batches:
        deviation = (stack.bias().detach() - reference).double()
        shift += deviation
        spread += deviation.square().sum(1)
        phi, update, epsilon, values, wrong = _step(stack, rate, stack.x_train[runs, batch], stack.y_train[runs, batch])
        length += phi
        largest = torch.maximum(largest, phi)
        path += rate * update
        published += update * epsilon
        loss += values.double().sum(1)
        errors += wrong.double().sum(1)
    steps = len(batches)
    absent = torch.full_like(rate, torch.nan)
    row = {
        "trajectory_length": length,
        "trajectory_max": largest,
        "bias_variance": (spread / steps - (shift / steps).square().sum(1)) / rate.square(),
        "distance_to_init": (stack.bias().detach() - initial).double().norm(dim=1),
        "update_sum": path,
        "train_loss": loss / points,
        "test_loss": absent,
        "train_error": errors / points,
        "test_error": absent,
        "lipschitz_mean": absent,
        "lipschitz_max": absent,
        "published_length": published if stack.network.sigmoid else absent,
    }
    if tested:
        test, test_wrong = _test(stack)
        row["test_loss"], row["test_error"] = test.double().mean(1), test_wrong.double().mean(1)
    if probed:
        constants = _local_lipschitz(stack).double()
        row["lipschitz_mean"], row["lipschitz_max"] = constants.mean(1), constants.amax(1)
    return torch.stack([row[name] for name in STATISTICS])


def _step(stack: _Stack, rate: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Make one step on (R, B) points; return φ, ‖Δb_1‖/α and ε, (R,) float64, and ℓ and whether the class is wrong, (R, B)."""
    z = stack.first(x)
    s = stack.logit(z)
    values, slope, log_epsilon, wrong = _loss(stack, s.detach(), y)
    if s.shape[1] == 1:  # ∂ℓ/∂θ is ∂s/∂θ times a number a run: one backward pass gives both g and the update
        *gradients, h = torch.autograd.grad(s.sum(), [*stack.parameters, z])
        scales = [slope.view(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients]
        gradients = [scale * gradient for scale, gradient in zip(scales, gradients, strict=True)]
    else:
        (h,) = torch.autograd.grad(s.sum(), z, retain_graph=True)
        gradients = list(torch.autograd.grad(s, stack.parameters, slope / s.shape[1]))
    with torch.no_grad():
        for parameter, gradient in zip(stack.parameters, gradients, strict=True):
            parameter.sub_(rate.to(gradient).view(-1, *[1] * (gradient.ndim - 1)) * gradient)
    weight = torch.softmax(log_epsilon.clamp(min=-1e30), dim=1) * torch.where(slope < 0, -1.0, 1.0).to(s)
    phi = ((weight * stack.slope(s.detach()))[..., None] * h).sum(1).norm(dim=1)
    update = (slope[..., None] * h).mean(1).norm(dim=1)
    epsilon = log_epsilon.double().exp().mean(1)
    return phi.double(), update.double(), epsilon, values, wrong


def _chunks(stack: _Stack, x: Tensor) -> list[slice]:
    """Slices of the points of `x`, (R, m, n), small enough for a forward and backward pass over all runs at once."""
    size = max(1, _ENTRIES_AT_ONCE // (x.shape[0] * x.shape[2]))
    return [slice(start, start + size) for start in range(0, x.shape[1], size)]


def _test(stack: _Stack) -> tuple[Tensor, Tensor]:
    """Return loss and error at the test points, (R, k) each."""
    parts = []
    with torch.no_grad():
        for part in _chunks(stack, stack.x_test):
            s = stack.logit(stack.first(stack.x_test[:, part]))
            values, _, _, wrong = _loss(stack, s, stack.y_test[:, part])
            parts.append((values, wrong))
    return torch.cat([values for values, _ in parts], dim=1), torch.cat([wrong for _, wrong in parts], dim=1)


def _local_lipschitz(stack: _Stack) -> Tensor:
    """Return λ at the training points, (R, m)."""
    parts = []
    for part in _chunks(stack, stack.x_train):
        x = stack.x_train[:, part].detach().requires_grad_()
        s = stack.logit(stack.first(x))
        (gradient,) = torch.autograd.grad(s.sum(), x)
        parts.append(stack.slope(s.detach()) * gradient.norm(dim=2))
    return torch.cat(parts, dim=1)
