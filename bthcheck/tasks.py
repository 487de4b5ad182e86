"""What is learned. A task draws its training and test points from a random stream.

The points depend on the stream alone, never on the level, so that one seed compares the same points at every level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bthcheck.checks import positive, positive_int


class Data(NamedTuple):
    """Points and targets, all float64.

    x_train : (m, n), y_train : (m,), x_test : (k, n), y_test : (k,)
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


@dataclass(frozen=True)
class Sinusoid:
    """Regress ``cos(2πfu)·cos(2πfv)`` on (u, v) drawn uniformly from [−1, 1]² (section 6.1 of the paper).

    The plane is embedded in `inputs` dimensions by zero-padding and a uniformly random orthogonal matrix times `scale`.

    Parameters
    ----------
    frequency : f, in cycles per unit of u and v
    train, test : number of points
    inputs : dimension n of the embedding, at least 2
    scale : length of an embedded unit vector

    Raises
    ------
    ValueError
        If a parameter is not positive or `inputs` is below 2.
    """

    frequency: float = 0.5
    train: int = 100
    test: int = 30
    inputs: int = 10
    scale: float = 10.0

    def __post_init__(self) -> None:
        positive("frequency", self.frequency)
        positive("scale", self.scale)
        for name in ("train", "test", "inputs"):
            positive_int(name, getattr(self, name))
        if self.inputs < 2:
            raise ValueError(f"inputs must be at least 2 to hold the plane (u, v), got {self.inputs}")

    def sample(self, generator: np.random.Generator) -> Data:
        """Draw the training and test points."""
        uv = generator.uniform(-1.0, 1.0, (self.train + self.test, 2))
        frame = self.scale * _random_orthogonal(self.inputs, generator)[:, :2]
        x = torch.from_numpy(uv @ frame.T)
        y = torch.from_numpy(np.cos(2 * np.pi * self.frequency * uv).prod(axis=1))
        return Data(x[: self.train], y[: self.train], x[self.train :], y[self.train :])


def _random_orthogonal(n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw an n × n orthogonal matrix from the Haar measure: QR with the signs of R's diagonal taken out."""
    q, r = np.linalg.qr(generator.standard_normal((n, n)))
    return q * np.sign(np.diag(r))
