"""The fixed tensors that a stack of runs trains in: data and parameters of all runs, and what their steps read and write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bthcheck.training.optimizers import Optimizer, optimizer_of
from bthcheck.training.runs import Run
from bthcheck.training.stacked.layers import FirstLayer, Layer, batched, entries_a_point
from bthcheck.training.stacked.losses import steepness
from bthcheck.training.stacked.whole import WholeStack


@dataclass(frozen=True)
class Stack:
    """Runs side by side. R runs, m points, k test points, n inputs.

    sigmoid : whether the output is one
    factor : what the loss is multiplied with, `Training.loss_factor`
    parameters : those of all runs in the order of ``Network.parameters()``, (R, …) each; `first` and `rest` work on them
    optimizer : None for plain SGD, whose steps the layers make themselves
    gradients : memory for those of all parameters where there is an optimizer, else empty
    gathering : layers whose parameters are `gradients`, changed in the place of `first` and `rest`; None for plain SGD
    x_train, x_test : (1, m, n), (1, k, n) if all runs have the same points, else (R, m, n), (R, k, n)
    y_train, y_test : (R, m), (R, k)
    entries : numbers that a pass holds for one point of one run
    """

    sigmoid: bool
    factor: float
    parameters: list[Tensor]
    first: FirstLayer
    rest: list[Layer]
    optimizer: Optimizer | None
    gradients: list[Tensor]
    gathering: tuple[FirstLayer, list[Layer]] | None
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    entries: int

    @classmethod
    def build(cls, runs: Sequence[Run], device: str) -> "Stack":
        """Draw data and weights of all runs."""
        networks = [run.network() for run in runs]
        parameters = [
            torch.stack([parameter.detach() for parameter in group]).to(device)
            for group in zip(*(network.parameters() for network in networks), strict=True)
        ]
        first, rest = batched(networks[0], parameters)
        optimizer = optimizer_of(runs[0].setting.training, parameters)
        gradients = [] if optimizer is None else [torch.zeros_like(parameter) for parameter in parameters]
        gathering = None if optimizer is None else batched(networks[0], gradients)
        x_train, y_train, x_test, y_test = (tensor.to(device) for tensor in points_of(runs))
        entries = entries_a_point(networks[0])
        factor = runs[0].setting.training.loss_factor
        return cls(
            networks[0].sigmoid, factor, parameters, first, rest, optimizer, gradients, gathering, x_train, y_train, x_test,
            y_test, entries,
        )  # fmt: skip

    @property
    def bias(self) -> Tensor:
        """b_1 of all runs, (R, n_1), the tensor that is trained."""
        return self.first.bias

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
        return steepness(self.sigmoid, logit)


def points_of(runs: Sequence[Run]) -> list[Tensor]:
    """Return x_train, y_train, x_test, y_test as `Stack` keeps them: images, which all runs share, are stored once."""
    dtype = runs[0].dtype
    data = [runs[0].data()]
    shared = True
    for run in runs[1:]:
        drawn = run.data()
        if shared and same_points([data[0], drawn]):  # so that no second copy outlives this line
            drawn = drawn._replace(x_train=data[0].x_train, x_test=data[0].x_test)
        else:
            shared = False
        data.append(drawn)
    return [
        torch.stack([tensor.to(dtype) for tensor in (group[:1] if shared and name.startswith("x") else group)])
        for name, group in zip(data[0]._fields, zip(*data, strict=True), strict=True)
    ]


def same_points(data: Sequence[Any]) -> bool:
    one, other = data
    return torch.equal(one.x_train, other.x_train) and torch.equal(one.x_test, other.x_test)


@dataclass(frozen=True)
class State:
    """The fixed tensors beside the parameters that steps read and write. R runs, n_1 first neurons, m points.

    orders : (R, windows, m') int32, which point is visited when; order : (R, m') that of this window, m' points
    packed : (R, windows, m', bytes) uint8 on the host, what Dropout keeps when; kept : (R, m', Σ n_l) uint8 that of this
        window; None without Dropout
    position : (batch size,) the columns of `order` that the next step takes
    offsets : (R, 1) where a run's own points begin among those of all, or None if the runs share their points
    rates : (R, windows) float64, learning rates; rate : (R, 1) that of this window
    initial, reference : (R, n_1), b_1 before training and before this window
    shift, spread : (R, n_1) and (R,) float64, Σ(b_1 − reference) and Σ‖b_1 − reference‖² over the window's steps
    length, largest, path, published, loss, errors : (R,) float64, Σφ, max φ, Σ‖Δb_1‖/α, Σ‖Δb_1‖ε/(α factor), Σℓ and wrong
        answers over the window's steps
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
    def build(cls, stack: Stack | WholeStack, runs: Sequence[Run], device: str) -> "State":
        """Draw the orders of all runs; every other tensor waits for `begin`."""
        count, points = stack.y_train.shape
        bias = stack.bias
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

    def begin(self, stack: Stack | WholeStack, epoch: int) -> None:
        """Set everything as it is before the first step of an epoch."""
        self.order.copy_(self.orders[:, epoch])
        if self.packed is not None and self.kept is not None:
            self.kept.copy_(torch.from_numpy(np.unpackbits(self.packed[:, epoch], axis=-1, count=self.kept.shape[2])))
        torch.arange(len(self.position), out=self.position)
        self.rate.copy_(self.rates[:, epoch, None])
        self.reference.copy_(stack.bias)
        for total in (self.shift, self.spread, self.length, self.largest, self.path, self.published, self.loss, self.errors):
            total.zero_()
