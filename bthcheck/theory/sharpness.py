"""PAC-Bayes sharpness: how much noise the weights of a network bear before it errs on the points it was trained on."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive, positive_int
from bthcheck.geometry.float64 import finite

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bthcheck.networks import Network
else:
    torch = faces.Later("torch")

LIMIT = 0.1
"""Largest rise of the training error, as in Jiang et al. (2020)."""
DRAWS = 16
"""Draws of noise, each used with both signs."""
TOLERANCE = 0.02
"""Relative width of the interval in which σ is known in the end, for the noise that was drawn."""
SMALLEST, LARGEST = 1e-4, 1e2
"""Between which σ is looked for."""
CRITERIA = ("error", "loss")
_MOST_NUMBERS = 2**23  # of perturbed weights and points at a time, which bounds the memory


@neutral()
def sharpness(
    network: Network,
    x: Tensor,
    y: Tensor,
    generator: np.random.Generator,
    *,
    criterion: str = "error",
    limit: float = LIMIT,
    draws: int = DRAWS,
    loss_factor: float = 1.0,
) -> float:
    """1/σ² for the largest σ at which noise N(0, σ²I) on all trained weights raises the expected training error by `limit`.

    The PAC-Bayes flatness of Jiang et al., *Fantastic Generalization Measures and Where to Find Them*, ICLR 2020, who allow
    the accuracy to fall by 0.1. Biases are perturbed, too, a frozen W_1 = I is not. The expectation is the mean over `draws`
    draws u and their negatives −u, which cancels odd terms; they are the same at every σ (common random numbers), so that
    bisection on log σ has one function to follow. It ends when the interval is `TOLERANCE` wide, relatively, and σ is its lower
    end; that the expectation is itself estimated adds to that: with 16 draws, 1/σ² of trained MLPs varied by a tenth (standard
    deviation of its logarithm) from one generator to another. The rise need not be monotone: σ is where it crosses the limit on
    the way of the bisection, or within the tolerance of `SMALLEST` or `LARGEST` if it does not cross between these.

    Parameters
    ----------
    network : as trained; it stays as it is, and is computed with in its own type
    x, y : (m, n) training points and (m,) targets
    generator : draws the noise; it stays as it is, so that the same generator gives the same noise to the next network
    criterion : "error", the share of points in the wrong class, or "loss", the mean loss, which regression needs
    limit : of the rise, in units of the criterion
    loss_factor : what the loss is multiplied with, as in `bthcheck.experiments.Training`

    Raises
    ------
    ValueError
        If a weight is not finite, a number is not positive, or a network without a sigmoid is asked for its error.
    """
    one_of("criterion", criterion, CRITERIA)
    limit, draws = positive("limit", limit), positive_int("draws", draws)
    if criterion == "error" and not network.sigmoid:
        raise ValueError("the criterion 'error' is for classifiers, with output='sigmoid'; use criterion='loss'")
    perturbed = _Perturbed(finite(network), x, y, criterion, loss_factor)
    noise = _Noise(generator, draws, perturbed.size, perturbed.at_once)
    with torch.no_grad():
        start = float(perturbed.values(torch.zeros(1, perturbed.size)))

        def bears(log_sigma: float) -> bool:
            values = perturbed.mean(math.exp(log_sigma), noise)
            return values - start <= limit  # NaN is not

        low, high = math.log(SMALLEST), math.log(LARGEST)  # neither is tried: where all or nothing is borne, σ is there
        while high - low > TOLERANCE:
            middle = (low + high) / 2
            low, high = (middle, high) if bears(middle) else (low, middle)
    return math.exp(-2 * low)


class _Noise:
    """The same normal numbers every time they are gone through, (at most `at_once`, size) at a time, kept if that is all."""

    def __init__(self, generator: np.random.Generator, draws: int, size: int, at_once: int) -> None:
        self._generator, self._draws, self._size, self._at_once = generator, draws, size, at_once
        self._kept = list(self._drawn()) if draws <= at_once else None

    def __iter__(self) -> Iterator[Tensor]:
        return self._drawn() if self._kept is None else iter(self._kept)

    def _drawn(self) -> Iterator[Tensor]:
        generator = copy.deepcopy(self._generator)
        for begin in range(0, self._draws, self._at_once):
            count = min(self._at_once, self._draws - begin)
            yield torch.from_numpy(generator.standard_normal((count, self._size)))


class _Perturbed:
    """A network with noise on its weights, many draws at once."""

    def __init__(self, network: Network, x: Tensor, y: Tensor, criterion: str, factor: float) -> None:
        from bthcheck.theory.logits import Logit

        kind = network.first.bias.dtype
        self._whole = network
        self._connected = all(isinstance(layer, (torch.nn.Linear, torch.nn.ReLU)) for layer in network.rest)
        self._network, self._x, self._y = Logit(network), x.to(kind), y.to(kind)
        self._criterion, self._factor = criterion, factor
        self._weights = {name: weight.detach() for name, weight in self._network.named_parameters()}
        self.size = sum(weight.numel() for weight in self._weights.values())

    @property
    def at_once(self) -> int:
        """How many draws of noise are looked at in one pass."""
        return max(1, _MOST_NUMBERS // (self.size + 16 * self._x.numel()))

    def mean(self, sigma: float, noise: Iterable[Tensor]) -> float:
        """Return the mean over noise of standard deviation σ and its negative; `noise` has standard deviation 1."""
        found = [self.values(sign * sigma * part) for part in noise for sign in (1, -1)]
        return float(torch.cat(found).mean())

    def values(self, noise: Tensor) -> Tensor:
        """Return the mean loss or error over the points with each draw (draws, p) added to the weights, (draws,)."""
        from bthcheck.training.stacked.losses import loss

        sizes = [weight.numel() for weight in self._weights.values()]
        parts = zip(self._weights.items(), noise.to(self._x).split(sizes, dim=1), strict=True)
        weights = {name: weight + part.view(-1, *weight.shape) for (name, weight), part in parts}
        logits = self._stacked(list(weights.values())) if self._connected else self._mapped(weights)
        values, _, _, wrong = loss(self._network.sigmoid, self._factor, logits, self._y)
        return (wrong if self._criterion == "error" else values).double().mean(1)

    def _stacked(self, weights: list[Tensor]) -> Tensor:
        """Return the logits (draws, m) of fully connected networks by products of stacked matrices: a third of the time."""
        from bthcheck.training.stacked.layers import batched

        first, rest = batched(self._whole, weights)
        h, _ = first.forward(self._x.expand(len(weights[0]), -1, -1))
        for layer in rest:
            h, _ = layer.forward(h)
        return h.squeeze(2)

    def _mapped(self, weights: dict[str, Tensor]) -> Tensor:
        return torch.vmap(lambda one: torch.func.functional_call(self._network, one, (self._x,)))(weights)
