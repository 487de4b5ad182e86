"""A trial of architectures and tasks of one's own before anything is trained: what would go wrong is said in a sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bthcheck import faces, networks
from bthcheck.ambient import neutral
from bthcheck.experiments.definition import same_inputs
from bthcheck.layers import evaluating, find_first
from bthcheck.protocols import Sizes, is_own, same_data
from bthcheck.tasks import Data
from bthcheck.training.chance import random_states
from bthcheck.training.runs import Run, built, flat_parameters
from bthcheck.training.streams import module_seed, weight_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch, nn = faces.Later("torch"), faces.Later("torch.nn")

_POINTS = 3
_PROBABILITIES = ("Sigmoid", "Softmax")
_SHAPING = ("Squeeze", "View", "Reshape", "Select", "Slice", "Alias", "Clone", "Unsqueeze", "Transpose", "Permute")


@neutral()
def try_out(runs: Sequence[Run]) -> None:
    """Raise ``ValueError`` in one sentence if what is one's own in the runs cannot be trained.

    One run of every level is looked at. Data are checked again when they are drawn for training.
    """
    first = {run.level: run for run in reversed(runs)}
    levels = list(dict.fromkeys(run.level for run in runs))
    if not any(is_own(part) for run in first.values() for part in run.setting[:2]):
        return
    found = {level: _tried_data(first[level]) for level in levels}
    same_inputs("task", levels, [data.x_train.shape[1] for data in found.values()])
    counts = {level: (len(data.x_train), len(data.x_test)) for level, data in found.items()}
    other = next((level for level in levels if counts[level] != counts[levels[0]]), None)
    if other is not None:
        raise ValueError(
            f"levels must not change the numbers of training and test points, got {counts[levels[0]]} at {levels[0]!r}"
            f" and {counts[other]} at {other!r}; use an experiment each"
        )
    for level in levels:
        _check_fit(first[level], found[level])
        if is_own(first[level].setting.network):
            _try_network(first[level], found[level])


def _tried_data(run: Run) -> Data:
    task, data = run.setting.task, run.data()
    if is_own(task):
        who = type(task).__name__
        if not same_data(data, run.data()):
            raise ValueError(
                f"{who}.sample must draw from the generator that it is given alone, but two draws of one seed differ"
            )
        sizes = Sizes(len(data.x_train), len(data.x_test), data.x_train.shape[1])
        if sizes != run.setting.sizes:
            raise ValueError(f"{who}.sample must always draw data of the same sizes, got {sizes} and {run.setting.sizes}")
    return data


def _check_fit(run: Run, data: Data) -> None:
    (points, inputs), windows = data.x_train.shape, run.setting.training.windows
    if inputs != run.setting.network.inputs:
        raise ValueError(f"the network takes {run.setting.network.inputs} inputs but the task has {inputs}")
    if points % windows:
        raise ValueError(f"windows must divide the {points} training points, got {windows}")


def _try_network(run: Run, data: Data) -> None:
    network = run.setting.network
    who = type(network).__name__
    _try_seeds(run, who)
    module = run.module()
    if isinstance(module, networks.Network):
        return
    x = data.x_train.to(run.dtype)
    x = x[torch.arange(_POINTS) % len(x)]
    with random_states(module_seed(run.seed)), _saying(who, f"{_POINTS} points in evaluation mode"), evaluating(module):
        f = module(x)
    _check_output(who, f, len(x), network.output)
    layer = find_first(module, x, getattr(network, "first", None), who)
    points = run.order().shape[1]
    for size in sorted({min(points, run.setting.training.batch_size), points % run.setting.training.batch_size} - {0}):
        with random_states(module_seed(run.seed)), _saying(who, f"a batch of {size}, as in training"):
            _try_step(who, module, layer, x[torch.arange(size) % len(x)] if size > len(x) else x[:size])


def _try_seeds(run: Run, who: str) -> None:
    seed = weight_seed(run.seed)
    one, same, other = (
        flat_parameters(built(run.setting.network, weights, ambient))
        for weights, ambient in ((seed, 0), (seed, 1), (seed ^ 1, 0))
    )
    if len(one) != len(same) or not (one == same).all():
        raise ValueError(
            f"{who}.build must draw its weights from the seed, but two networks of one seed differ;"
            " begin with torch.manual_seed(seed), or draw from torch.Generator().manual_seed(seed)"
        )
    if len(one) == len(other) and (one == other).all():
        raise ValueError(f"{who}.build must draw its weights from the seed, but networks of different seeds are the same")


def _check_output(who: str, f: object, points: int, output: str) -> None:
    if not isinstance(f, torch.Tensor) or not f.is_floating_point() or f.shape not in ((points,), (points, 1)):
        got = f"shape {tuple(f.shape)} of {f.dtype}" if isinstance(f, torch.Tensor) else f"a {type(f).__name__}"
        raise ValueError(f"the module of {who} must return one number a point, (m,) or (m, 1), got {got} for {points} points")
    if not bool(f.isfinite().all()):
        raise ValueError(f"the module of {who} must return finite numbers, but at its initial weights it does not")
    if output == "sigmoid" and _operation(f).startswith(_PROBABILITIES):
        raise ValueError(f"with output='sigmoid' the module of {who} must return the logit, but it ends in a {_operation(f)}")


def _operation(f: Tensor) -> str:
    """Return the name of the operation that f came out of, but for those that only shape it."""
    node = f.grad_fn
    while node is not None and type(node).__name__.startswith(_SHAPING):
        node = node.next_functions[0][0]
    return type(node).__name__.removesuffix("0").removesuffix("Backward")


def _try_step(who: str, module: nn.Module, layer: nn.Module, x: Tensor) -> None:
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, _args, z: seen.append(z))
    try:
        f = module(x)
    finally:
        handle.remove()
    if len(seen) != 1 or not isinstance(seen[0], torch.Tensor) or f.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(
            f"the module of {who} must do the same in training as in evaluation mode, with its first layer run once"
        )
    (reached,) = torch.autograd.grad(f.sum(), seen, allow_unused=True)
    if reached is None:
        raise ValueError(f"what the module of {who} returns must depend on its first layer, but it does not")


@contextlib.contextmanager
def _saying(who: str, what: str) -> Iterator[None]:
    """Turn whatever a module raises into a sentence; sentences stay what they are."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and who in str(error):
            raise
        said = " ".join(str(error).split())
        raise ValueError(f"the module of {who} fails on {what}, with {type(error).__name__}: {said}") from error
