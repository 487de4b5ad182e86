"""Two spirals: the more turns they have, the more often a line between them changes sides."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from bthcheck.experiments import Experiment, Training
from bthcheck.networks import MLP
from bthcheck.tasks import Data


@dataclass(frozen=True)
class Spirals:
    """Tell the arms of a double spiral apart.

    turns : how often each arm goes round
    points : for training; there are 40 more for testing
    """

    turns: float = 0.5
    points: int = 60
    output: ClassVar[str] = "sigmoid"
    inputs: ClassVar[int] = 2

    def sample(self, generator: np.random.Generator) -> Data:
        """Draw points (m, 2) and labels 0 or 1; the draws are the same at every number of turns."""
        radius = generator.uniform(0.1, 1.0, self.points + 40)
        arm = np.arange(len(radius)) % 2
        angle = 2 * math.pi * self.turns * radius + math.pi * arm
        x = torch.from_numpy(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
        y = torch.from_numpy(arm.astype(float))
        return Data(x[: self.points], y[: self.points], x[self.points :], y[self.points :])


SPIRALS = Experiment(
    "spirals",
    Spirals(),
    vary="turns",
    levels=(0.25, 0.5, 1.0),
    network=MLP((2, 24, 24, 1), "trained", "sigmoid"),
    seeds=range(6),
    training=Training(epochs=300, learning_rate=0.05, lipschitz_every=50),
)
