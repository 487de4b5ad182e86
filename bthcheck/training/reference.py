"""Engine "reference": plain PyTorch autograd, one run at a time. The oracle the other engines are tested against.

Written to be read, not to be fast. λ is the gradient with respect to the input and φ comes from the gradient with respect to
the first pre-activation, so that λ ≤ σ_1 φ (Lemma 1) is a fact about two measurements and not about one.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bthcheck.lipschitz import first_weight, local_lipschitz
from bthcheck.networks import Network
from bthcheck.training.runs import Run, RunResult, flat_parameters
from bthcheck.training.statistics import blank_statistics, mark_divergence

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


def train(run: Run, device: str = "cpu") -> RunResult:
    """Train one run and return its epoch statistics."""
    start = time.perf_counter()
    training = run.setting.training
    network = run.network().to(device)
    points = _Points(*(tensor.to(device, run.dtype) for tensor in run.data()))
    order = torch.from_numpy(run.order()).long().to(device)
    initial = network.first.bias.detach().clone()
    statistics = blank_statistics(training.epochs)

    for epoch, rate in enumerate(training.learning_rates()):
        steps = []
        biases = []
        for batch in order[epoch].split(training.batch_size):
            biases.append(network.first.bias.detach().clone())
            steps.append(_step(network, rate, points.x_train[batch], points.y_train[batch]))
        phi = torch.stack([step.phi for step in steps]).double()
        epsilon = torch.stack([step.epsilon for step in steps]).double()
        path = torch.stack(biases).double()
        count = len(order[epoch])
        with torch.no_grad():
            test_loss = ((network(points.x_test) - points.y_test).square() / 2).double().mean()
        row = {
            "trajectory_length": phi.sum(),
            "trajectory_max": phi.max(),
            "bias_variance": (path - path.mean(0)).square().sum(1).mean() / rate**2,
            "distance_to_init": (network.first.bias.detach() - initial).double().norm(),
            "update_sum": (rate * epsilon * phi).sum(),
            "train_loss": torch.stack([step.losses.double().sum() for step in steps]).sum() / count,
            "test_loss": test_loss,
        }
        if (epoch + 1) % training.lipschitz_every == 0 or epoch + 1 == training.epochs:
            constants = local_lipschitz(network, points.x_train).double()
            row["lipschitz_mean"] = constants.mean()
            row["lipschitz_max"] = constants.max()
        for name, value in row.items():
            statistics[name][epoch] = float(value)
        if not math.isfinite(statistics["train_loss"][epoch]):
            break

    return RunResult(
        statistics=statistics,
        parameters=flat_parameters(network),
        diverged=mark_divergence(statistics),
        seconds=time.perf_counter() - start,
    )


def trace(run: Run, steps: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train for `steps` steps and return every one of them; see `bthcheck.training.trace` for the arrays."""
    training = run.setting.training
    network = run.network().to(device)
    points = _Points(*(tensor.to(device, run.dtype) for tensor in run.data()))
    order = torch.from_numpy(run.order()).long().to(device)
    batches = [
        (rate, batch)
        for epoch, rate in zip(order, training.learning_rates(), strict=True)
        for batch in epoch.split(training.batch_size)
    ][:steps]
    columns: dict[str, list[Tensor]] = {
        name: [] for name in ("phi", "lipschitz", "epsilon", "bias", "first_weight", "gradient_norm", "point_lipschitz")
    }
    for rate, batch in batches:
        columns["bias"].append(network.first.bias.detach().clone())
        columns["first_weight"].append(first_weight(network).clone())
        z = network.first(points.x_train).detach().requires_grad_()
        (g,) = torch.autograd.grad(network.rest(z).sum(), z)
        columns["gradient_norm"].append(g.norm(dim=1))
        columns["point_lipschitz"].append(local_lipschitz(network, points.x_train))
        columns["lipschitz"].append(local_lipschitz(network, points.x_train[batch]).max())
        step = _step(network, rate, points.x_train[batch], points.y_train[batch])
        columns["phi"].append(step.phi)
        columns["epsilon"].append(step.epsilon)
    columns["bias"].append(network.first.bias.detach().clone())
    arrays = {name: torch.stack(values).double().cpu().numpy() for name, values in columns.items()}
    arrays["learning_rate"] = np.array([rate for rate, _ in batches])
    return arrays


@dataclass(frozen=True)
class _Step:
    """What one SGD step measured before its update; `losses` has one entry a point of the batch."""

    phi: Tensor
    epsilon: Tensor
    losses: Tensor


def _step(network: Network, rate: float, x: Tensor, y: Tensor) -> _Step:
    z = network.first(x)
    output = network.rest(z).squeeze(-1)
    (g,) = torch.autograd.grad(output.sum(), z, retain_graph=True)
    losses = (output - y).square() / 2
    slope = (output - y).detach()
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(losses.mean(), parameters)
    with torch.no_grad():  # plain SGD; importing torch.optim for it takes a second
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(rate * gradient)
    # φ = ‖Δb_1‖/(α ε) with ε the batch mean of |∂ℓ/∂f|. Weighting g avoids the cancellation in b^{t+1} − b^t.
    epsilon = slope.abs().mean()
    weight = slope / slope.abs().sum() if epsilon > 0 else torch.full_like(slope, 1 / len(slope))
    phi = (weight[:, None] * g).sum(0).norm()
    return _Step(phi, epsilon, losses.detach())
