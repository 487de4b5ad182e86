"""One run: what an engine is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bthcheck import faces, networks
from bthcheck.ambient import neutral
from bthcheck.experiments.definition import Experiment, Setting
from bthcheck.networks import MLP
from bthcheck.protocols import ArchitectureLike, check_labels, drawn, is_own
from bthcheck.tasks import CorruptedImages, Data
from bthcheck.training.chance import random_states
from bthcheck.training.streams import kept_neurons, sampling_order, stream, weight_seed

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bthcheck.networks import Network
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")


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
        """Draw the points, float64 unless they are images or of a task of one's own; what that draws is checked."""
        task, network = self.setting.task, self.setting.network
        if not is_own(task):
            return task.sample(stream(self.seed, "data"))
        data = drawn(task, stream(self.seed, "data"))
        if network.output == "sigmoid":
            check_labels(type(task).__name__, data)
        return data

    @neutral()
    def check_data(self) -> None:
        """Raise ``ValueError`` as `data` does, but draw no tensors for it unless the task is one's own."""
        task = self.setting.task
        if is_own(task):
            self.data()
        elif isinstance(task, CorruptedImages):  # the others are drawn from a generator alone
            task.labels(stream(self.seed, "data"))

    @neutral()
    def network(self) -> Network:
        """Build a network of this package at its initial weights: drawn in float32, then cast, so that both types start alike.

        Raises
        ------
        ValueError
            If it is a module of one's own, which need not be split behind its first layer.
        """
        network = self.setting.network.build(weight_seed(self.seed)).to(self.dtype) if self._is_ours else self.module()
        if not isinstance(network, networks.Network):
            raise ValueError(f"this is for networks of bthcheck.networks, such as MLP, got {type(network).__name__}")
        return network

    @neutral()
    def module(self) -> nn.Module:
        """Build the network, whoever's it is, at its initial weights.

        Raises
        ------
        ValueError
            If it cannot be built, or what is built is no module with parameters.
        """
        if self._is_ours:
            return self.network()
        seed = weight_seed(self.seed)
        return built(self.setting.network, seed, seed).to(self.dtype)

    @property
    def _is_ours(self) -> bool:
        return not is_own(self.setting.network)

    @neutral()
    def order(self) -> np.ndarray:
        """Return which point is visited when: (windows, points of a window), int32."""
        training, points = self.setting.training, self.setting.sizes.train
        return sampling_order(self.seed, training.epochs, points, training.sampling).reshape(training.rows, -1)

    @property
    def neurons(self) -> int:
        """How many hidden neurons Dropout may switch off; 0 but for an MLP."""
        network = self.setting.network
        return sum(network.hidden) if type(network) is MLP else 0

    @neutral()
    def kept(self) -> np.ndarray | None:
        """Return which hidden neurons Dropout keeps when, packed as by `kept_neurons`: (windows, points of a window, bytes).

        None without Dropout.
        """
        setting = self.setting
        if not setting.training.dropout:
            return None
        rows = setting.training.rows
        visits = setting.training.epochs * setting.sizes.train
        return kept_neurons(self.seed, visits, self.neurons).reshape(rows, visits // rows, -1)

    def __str__(self) -> str:
        return f"{self.experiment.name} at {self.experiment.vary}={self.level}, seed={self.seed}"


@dataclass(frozen=True)
class RunResult:
    """What is kept of a run.

    statistics : name → (epochs,) float64 array, the names of `bthcheck.training.statistics.STATISTICS`
    parameters : (p,) the trained parameters in the order of ``Network.parameters()``, then the buffers of a module that has any
    diverged : whether a statistic stopped being finite; it is then infinite from that epoch on
    seconds : time the training took
    """

    statistics: dict[str, np.ndarray]
    parameters: np.ndarray
    diverged: bool
    seconds: float


@neutral()
def built(network: ArchitectureLike, seed: int, ambient: int) -> nn.Module:
    """Build a module of one's own while the process's random states, which it may draw from, begin from `ambient`.

    Raises
    ------
    ValueError
        If it cannot be built, or what is built is no module with parameters to train.
    """
    who = type(network).__name__
    try:
        with random_states(ambient):
            module = network.build(seed)
    except Exception as error:
        raise ValueError(f"{who}.build failed with {type(error).__name__}: {error}") from error
    if not isinstance(module, nn.Module):
        raise ValueError(f"{who}.build must return a torch.nn.Module, got {type(module).__name__}")
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in module.parameters()):
        raise ValueError(
            f"{who}.build must return a module whose parameters have shapes, got lazy ones; run it once on a point"
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"{who}.build must return a module with parameters to train, got none")
    return module


@neutral()
def flat_parameters(network: nn.Module) -> np.ndarray:
    """Return a copy of all parameters, and of all buffers where there are some, as one vector."""
    vector = nn.utils.parameters_to_vector(network.parameters()).detach()
    buffers = [buffer.detach().flatten().to(vector) for buffer in network.buffers()]
    return torch.cat([vector, *buffers]).cpu().numpy().copy()


@neutral()
def state_size(network: nn.Module) -> int:
    """Return how many numbers `flat_parameters` has."""
    return sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))


@neutral()
def load_parameters(network: nn.Module, vector: np.ndarray) -> None:
    """Set all parameters and buffers from one vector, the inverse of `flat_parameters`.

    Raises
    ------
    ValueError
        If the network has another number of them.
    """
    if len(vector) != state_size(network):
        raise ValueError(
            f"the network has {state_size(network)} parameters, got {len(vector)}; is it the one that was trained?"
        )
    flat = torch.from_numpy(np.array(vector)).to(next(network.parameters()))
    nn.utils.vector_to_parameters(flat, network.parameters())
    rest = flat[sum(parameter.numel() for parameter in network.parameters()) :]
    for buffer in network.buffers():
        values, rest = rest[: buffer.numel()], rest[buffer.numel() :]
        buffer.copy_(values.view_as(buffer))


@neutral()
def identities(steps: int, n: int) -> np.ndarray:
    """Return a frozen W_1 = I of every step, (steps, n, n), read-only: one matrix in memory."""
    return np.broadcast_to(np.eye(n), (steps, n, n))
