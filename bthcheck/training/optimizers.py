"""What optimizers make of a gradient, for several runs side by side. φ is measured before any of this, and knows nothing of it.

The formulas are those of ``torch.optim`` and ``torch.nn.utils.clip_grad_norm_``, in one form for all: a step is −α times a
direction. Importing ``torch.optim`` takes a second, and its optimizers know no runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.experiments.training import Training

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = faces.Later("torch")

_MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}


def moments(training: Training) -> int:
    """Return how many numbers an optimizer remembers of every parameter."""
    return 0 if training.optimizer == "sgd" and not training.momentum else _MOMENTS[training.optimizer]


class Optimizer:
    """An optimizer of R runs that are trained alike, and what it remembers.

    Parameters
    ----------
    training : whose optimizer it is
    parameters : those that are trained, (R, …) each
    """

    def __init__(self, training: Training, parameters: Sequence[Tensor]) -> None:
        self._training = training
        self._memory = [[torch.zeros_like(parameter) for parameter in parameters] for _ in range(moments(training))]
        self._count = torch.zeros((), dtype=torch.float64, device=parameters[0].device)  # a tensor: CUDA graphs move it on

    def reset(self) -> None:
        """Forget all steps."""
        self._count.zero_()
        for tensors in self._memory:
            for tensor in tensors:
                tensor.zero_()

    def directions(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return what α is to be multiplied with and subtracted from every parameter at the next step, (R, …) each.

        Parameters
        ----------
        parameters : as they are before the step
        gradients : of the mean loss; they may be overwritten
        """
        training = self._training
        if training.clip is not None:
            _clip(gradients, training.clip)
        decay = training.weight_decay
        coupled = decay if training.optimizer != "adamw" else 0.0
        if coupled:
            gradients = [one.add(parameter, alpha=coupled) for one, parameter in zip(gradients, parameters, strict=True)]
        if not self._memory:
            return list(gradients)
        if training.optimizer == "sgd":
            (velocities,) = self._memory
            for velocity, gradient in zip(velocities, gradients, strict=True):
                velocity.mul_(training.momentum).add_(gradient)
            return list(velocities)
        found = self._adam(gradients)
        if decay and not coupled:
            found = [one.add_(parameter, alpha=decay) for one, parameter in zip(found, parameters, strict=True)]
        return found

    def _adam(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return m̂ / (√v̂ + eps), of running means of gradients and their squares, corrected for having started from 0."""
        (beta, beta_squared), eps = self._training.betas, self._training.eps
        self._count.add_(1)
        started, started_squared = 1 - beta**self._count, (1 - beta_squared**self._count).sqrt()
        found = []
        for mean, square, gradient in zip(*self._memory, gradients, strict=True):
            mean.lerp_(gradient, 1 - beta)
            square.mul_(beta_squared).addcmul_(gradient, gradient, value=1 - beta_squared)
            found.append((mean / started).div_((square.sqrt() / started_squared).add_(eps)))
        return found


def optimizer_of(training: Training, parameters: Sequence[Tensor]) -> Optimizer | None:
    """Return the optimizer of `parameters`, (R, …) each; None for plain SGD, whose direction is the gradient."""
    return None if training.plain else Optimizer(training, parameters)


def _clip(gradients: Sequence[Tensor], longest: float) -> None:
    """Scale the gradient of every run down to a norm of `longest`, in place, unless it is shorter."""
    norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
    factor = (longest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
