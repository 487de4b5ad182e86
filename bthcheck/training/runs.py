"""One run: what an engine is given and what it gives back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from bthcheck.ambient import neutral
from bthcheck.experiments.definition import Experiment, Setting
from bthcheck.networks import MLP, Network
from bthcheck.tasks import Data
from bthcheck.training.streams import kept_neurons, sampling_order, stream, weight_seed


@dataclass(frozen=True)
class Run:
    """One level and one seed of an experiment."""

    experiment: Experiment
    level: Any
    seed: int

    @property
    def setting(self) -> Setting:
        """Task, network and training at this run's level."""
        return self.experiment.at(self.level)

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type this run is trained in."""
        return getattr(torch, self.setting.training.dtype)

    @neutral()
    def data(self) -> Data:
        """Draw the points, float64."""
        return self.setting.task.sample(stream(self.seed, "data"))

    @neutral()
    def network(self) -> Network:
        """Build the network at its initial weights: drawn in float32, then cast, so that both types start alike."""
        return self.setting.network.build(weight_seed(self.seed)).to(self.dtype)

    @neutral()
    def order(self) -> np.ndarray:
        """Return which point is visited when: (windows, points of a window), int32."""
        training, points = self.setting.training, self.setting.task.train
        return sampling_order(self.seed, training.epochs, points, training.sampling).reshape(training.rows, -1)

    @property
    def neurons(self) -> int:
        """How many hidden neurons Dropout may switch off; 0 but for an MLP."""
        network = self.setting.network
        return sum(network.hidden) if isinstance(network, MLP) else 0

    @neutral()
    def kept(self) -> np.ndarray | None:
        """Return which hidden neurons Dropout keeps when, packed as by `kept_neurons`: (windows, points of a window, bytes).

        None without Dropout.
        """
        setting = self.setting
        if not setting.training.dropout:
            return None
        rows = setting.training.rows
        visits = setting.training.epochs * setting.task.train
        return kept_neurons(self.seed, visits, self.neurons).reshape(rows, visits // rows, -1)

    def __str__(self) -> str:
        return f"{self.experiment.name} at {self.experiment.vary}={self.level}, seed={self.seed}"


@dataclass(frozen=True)
class RunResult:
    """What is kept of a run.

    statistics : name → (epochs,) float64 array, the names of `bthcheck.training.statistics.STATISTICS`
    parameters : (p,) the trained parameters in the order of ``Network.parameters()``
    diverged : whether a statistic stopped being finite; it is then infinite from that epoch on
    seconds : time the training took
    """

    statistics: dict[str, np.ndarray]
    parameters: np.ndarray
    diverged: bool
    seconds: float


@neutral()
def flat_parameters(network: nn.Module) -> np.ndarray:
    """Return a copy of all parameters as one vector."""
    return nn.utils.parameters_to_vector(network.parameters()).detach().cpu().numpy().copy()


@neutral()
def load_parameters(network: nn.Module, vector: np.ndarray) -> None:
    """Set all parameters from one vector, the inverse of `flat_parameters`."""
    flat = torch.from_numpy(np.array(vector)).to(next(network.parameters()))
    nn.utils.vector_to_parameters(flat, network.parameters())


@neutral()
def identities(steps: int, n: int) -> np.ndarray:
    """Return a frozen W_1 = I of every step, (steps, n, n), read-only: one matrix in memory."""
    return np.broadcast_to(np.eye(n), (steps, n, n))
