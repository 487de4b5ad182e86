"""Networks and tasks as a user would write them, for tests."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bthcheck.tasks import Data


class Block(nn.Module):
    """x + MLP(LayerNorm(x))"""

    def __init__(self, width):
        super().__init__()
        self.inside = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.inside(x)


@dataclass(frozen=True)
class Residual:
    """A residual network with LayerNorm and GELU; nothing but `width` and `blocks` is its own."""

    inputs: int = 3
    width: int = 8
    blocks: int = 1
    output: str = "identity"

    def build(self, seed):
        torch.manual_seed(seed)
        blocks = [Block(self.width) for _ in range(self.blocks)]
        return nn.Sequential(nn.Linear(self.inputs, self.width), *blocks, nn.LayerNorm(self.width), nn.Linear(self.width, 1))


@dataclass(frozen=True)
class Convolved:
    """A convolution on images of 1 × side × side, with an in-place ReLU right behind it, and an average over all places."""

    side: int = 4
    channels: int = 3
    output: str = "sigmoid"

    @property
    def inputs(self):
        return self.side**2

    def build(self, seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, self.side, self.side)), nn.Conv2d(1, self.channels, 2), nn.ReLU(inplace=True),
            nn.Conv2d(self.channels, 2, 2), nn.GELU(), nn.Flatten(), nn.Linear(2 * (self.side - 2) ** 2, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class Normalised:
    """A normalisation of the input first, then BatchNorm behind a layer without a bias, and Dropout."""

    inputs: int = 3
    output: str = "identity"

    def build(self, seed):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.BatchNorm1d(self.inputs), nn.Linear(self.inputs, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3),
            nn.Linear(6, 1),
        )  # fmt: skip


@dataclass(frozen=True)
class Plain:
    """An MLP that is not split, its parts drawn as `MLP` draws them; `output` as there."""

    widths: tuple[int, ...] = (3, 6, 5, 1)
    output: str = "identity"

    @property
    def inputs(self):
        return self.widths[0]

    def build(self, seed):
        torch.manual_seed(seed)
        layers = [part for pair in zip(self.widths, self.widths[1:], strict=False) for part in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])


@dataclass(frozen=True)
class Wave:
    """Regress sin(frequency · x_1) on uniform points; it says nothing of its sizes."""

    frequency: float = 1.0
    dimension: int = 3
    points: int = 20

    def target(self, x):
        return np.sin(self.frequency * x[:, 0])

    def sample(self, generator):
        x = generator.uniform(-2, 2, (self.points + 8, self.dimension))
        x, y = torch.from_numpy(x), torch.from_numpy(self.target(x))
        return Data(x[: self.points], y[: self.points], x[self.points :], y[self.points :])


@dataclass(frozen=True)
class WaveSign(Wave):
    """Tell where the wave is positive."""

    def target(self, x):
        return (super().target(x) > 0).astype(float)
