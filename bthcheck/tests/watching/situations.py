"""Trainings as people write them: network × optimizer × trick, each a loop that takes what it trains."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from bthcheck.tests.watching.networks import (
    Checkpointed,
    Recurrent,
    Residual,
    Tokens,
    WithLoss,
    batch_norm,
    batch_norm_first,
    cnn,
    deep,
    dropout,
    folded,
    frozen,
    in_place,
    layer_norm,
    mlp,
    no_bias,
    spectral,
)

STEPS = 6


def batches(count=STEPS, size=8, dtype=torch.float32):
    """The same batches whatever the global random state is."""
    generator = torch.Generator().manual_seed(5)
    for _ in range(count):
        x = torch.randn(size, 12, generator=generator)
        yield x.to(dtype), torch.randint(0, 4, (size,), generator=generator)


def plain(model, optimizer, mark, loss_of=None, before=lambda: None, after=lambda: None):
    """A loop as it is in every tutorial, with what comes before and after a step of the optimizer."""
    for x, y in batches():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y) if loss_of is None else loss_of(x, y)
        loss.backward()
        mark(loss)
        before()
        optimizer.step()
        after()


def clipped(model, optimizer, mark):
    plain(model, optimizer, mark, before=lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.01))


def scheduled(model, optimizer, mark):
    plain(model, optimizer, mark, after=torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5).step)


def autocast(model, optimizer, mark):
    def loss_of(x, y):
        with torch.autocast("cpu", torch.bfloat16):
            return nn.functional.cross_entropy(model(x), y)

    plain(model, optimizer, mark, loss_of)


def twice(model, optimizer, mark):
    """Two forward passes in one loss."""

    def loss_of(x, y):
        return nn.functional.cross_entropy(model(x), y) + nn.functional.cross_entropy(model(x.flip(0)), y)

    plain(model, optimizer, mark, loss_of)


def by_name(model, optimizer, mark):
    plain(model, optimizer, mark, lambda x, y: model(x, y=y)["loss"])


def probability(model, optimizer, mark):
    plain(model, optimizer, mark, lambda x, y: nn.functional.nll_loss(model(x).log(), y))


def one_by_one(model, optimizer, mark):
    """Points without a dimension for samples."""
    plain(model, optimizer, mark, lambda x, y: nn.functional.cross_entropy(model(x[0])[None], y[:1]))


def evaluated(model, optimizer, mark):
    """An evaluation, a forward pass with a gradient that is never asked for, and one whose gradient is thrown away."""
    for x, y in batches():
        model.eval()
        with torch.no_grad():
            model(x)
        model.train()
        model(x)
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        mark(loss)
        optimizer.step()


def accumulated(model, optimizer, mark, to_none=True):
    for number, (x, y) in enumerate(batches(3 * STEPS)):
        if number % 3 == 0:
            optimizer.zero_grad(set_to_none=to_none)
        loss = nn.functional.cross_entropy(model(x), y) / 3
        loss.backward()
        if number % 3 == 2:
            optimizer.step()
    del mark


def accumulated_in_place(model, optimizer, mark):
    accumulated(model, optimizer, mark, to_none=False)


def scaled(model, optimizer, mark):
    """Mixed precision with a scaler, whose first factors are too large for half precision: steps are skipped."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    for x, y in batches(3 * STEPS):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    del mark


def closure(model, optimizer, mark):
    """The way of Lightning and of L-BFGS: forward and backward pass inside of the step."""
    for x, y in batches():

        def run(x=x, y=y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        mark(optimizer.step(run))


def compiled(model, optimizer, mark):
    plain(torch.compile(model, backend="aot_eager"), optimizer, mark)


def compiled_in_place(model, optimizer, mark):
    model.compile(backend="aot_eager")
    plain(model, optimizer, mark)


def compiled_twice(model, optimizer, mark):
    twice(torch.compile(model, backend="aot_eager"), optimizer, mark)


def compiled_penalised(model, optimizer, mark):
    """A backward pass to the input alone, in which the bias has no part, before the one of the step."""
    program = torch.compile(model, backend="aot_eager")
    for x, y in batches():
        optimizer.zero_grad()
        torch.autograd.grad(nn.functional.cross_entropy(program(x.requires_grad_()), y), x)
        loss = nn.functional.cross_entropy(program(x), y)
        loss.backward()
        mark(loss)
        optimizer.step()


def compiled_well(model, optimizer, mark):
    """With what PyTorch compiles by itself, which fuses, rounds and draws as it likes."""
    plain(torch.compile(model), optimizer, mark)


def penalised(model, optimizer, mark):
    """A gradient of the gradient."""
    for x, y in batches():
        optimizer.zero_grad()
        x = x.requires_grad_()
        loss = nn.functional.cross_entropy(model(x), y)
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        (loss + gradient.square().sum()).backward()
        optimizer.step()
    del mark


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1)


def momentum(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9, nesterov=True)


def decay(parameters):
    return torch.optim.SGD(parameters, 0.1, weight_decay=0.01)


def adam(parameters):
    return torch.optim.Adam(parameters, 0.01)


def adamw(parameters):
    return torch.optim.AdamW(parameters, 0.01)


def fused(parameters):
    return torch.optim.AdamW(parameters, 0.01, fused=True)


def lbfgs(parameters):
    return torch.optim.LBFGS(parameters, 0.1, max_iter=3)


@dataclass(frozen=True)
class Case:
    """A training.

    records : how many there are to be; as many as steps
    passes : backward passes of a record
    discarded : windows of backward passes without a step
    says : quantity → (scope, what a reason contains)
    notes : what a note contains
    tokens : whether the network only has a slope with respect to an embedding
    options : of the watch
    """

    network: Callable[[], nn.Module]
    optimizer: Callable[..., torch.optim.Optimizer] = sgd
    loop: Callable[..., None] = plain
    records: int = STEPS
    passes: int | None = 1
    discarded: int | None = 0
    says: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: str = ""
    tokens: bool = False
    options: dict[str, Any] = field(default_factory=dict)


MANY = {"phi": ("one-sided", "cancel"), "gradient_norm": ("one-sided", "4 outputs")}
MOVES = "bias"
SHARED = {"phi": ("descriptive", "many positions"), "gradient_norm": ("descriptive", "neither side")}
COMPILED = {"gradient_norm": ("nothing", "The model is compiled")}
CASES = {
    "plain": Case(mlp, says={**MANY, MOVES: ("descriptive", "batches")}),
    "in place": Case(in_place, says=MANY),
    "evaluated": Case(mlp, loop=evaluated, discarded=STEPS, notes="set to zero"),
    "momentum": Case(mlp, momentum, says={MOVES: ("descriptive", "SGD with momentum")}),
    "decay": Case(mlp, decay, says={MOVES: ("descriptive", "weight decay of 0.01")}),
    "Adam": Case(mlp, adam, says={MOVES: ("descriptive", "Adam moves")}),
    "AdamW": Case(mlp, adamw, says={MOVES: ("descriptive", "AdamW moves")}),
    "fused AdamW": Case(mlp, fused),
    "L-BFGS": Case(mlp, lbfgs, closure, discarded=None),
    "closure": Case(mlp, loop=closure),
    "clipping": Case(mlp, loop=clipped, says={MOVES: ("descriptive", "clipping")}),
    "scheduler": Case(mlp, loop=scheduled, says={MOVES: ("descriptive", "learning rate changed")}),
    "accumulation": Case(mlp, loop=accumulated, passes=3, says={"phi": ("one-sided", "accumulated over 3 passes")}),
    "accumulation, zeroed in place": Case(mlp, adam, accumulated_in_place, passes=3),
    "two passes, one loss": Case(mlp, loop=twice, passes=2),
    "autocast": Case(mlp, loop=autocast, notes="autocast"),
    "autocast, convolution": Case(cnn, loop=autocast, notes="autocast"),
    "scaler": Case(mlp, loop=scaled, records=-1, discarded=None, notes="skipped by a scaler"),
    "scaler, fused AdamW": Case(mlp, fused, scaled, records=-1, discarded=None, notes="skipped by a scaler"),
    "convolution": Case(cnn, momentum, says=SHARED),
    "BatchNorm behind": Case(batch_norm, says={"phi": ("descriptive", "depend on all of its batch")}),
    "BatchNorm before": Case(batch_norm_first, says={"gradient_norm": ("descriptive", "before the first layer")}),
    "BatchNorm with the bias": Case(folded, says={"gradient_norm": ("descriptive", "that of a batch normalisation, '2'")}),
    "LayerNorm": Case(layer_norm, adamw, says=MANY, notes="LayerNorm"),
    "Dropout": Case(dropout, adam, notes="Dropout"),
    "no bias": Case(no_bias, says={"phi": ("descriptive", "has no bias"), MOVES: ("nothing", "has no bias")}),
    "frozen first layer": Case(frozen, adam, says={MOVES: ("nothing", "frozen")}),
    "spectral norm": Case(spectral),
    "residual": Case(Residual, adam),
    "transformer": Case(
        Tokens, adamw, says={"gradient_norm": ("descriptive", "behind an embedding")}, notes="no global Lipschitz constant",
        tokens=True, options={"layer": "encoder.layers.0.linear1"},
    ),
    "embedding": Case(
        Tokens, adamw, says={"gradient_norm": ("descriptive", "embedding"), MOVES: ("nothing", "has no bias")},
        tokens=True, options={"layer": "embedding"},
    ),
    "recurrent": Case(Recurrent, says={"phi": ("descriptive", "called 4 times")}),
    "checkpoint": Case(lambda: Checkpointed(False), adam),
    "checkpoint, reentrant": Case(lambda: Checkpointed(True), adam),
    "loss inside": Case(WithLoss, adamw, by_name),
    "torch.compile": Case(in_place, adam, compiled, says=COMPILED),
    "torch.compile, convolution": Case(cnn, momentum, compiled, says=COMPILED),
    "torch.compile, BatchNorm": Case(batch_norm, momentum, compiled, says=COMPILED),
    "torch.compile, two passes, one loss": Case(dropout, adam, compiled_twice, passes=2, says=COMPILED),
    "torch.compile, gradient of the input": Case(in_place, adam, compiled_penalised, says=COMPILED),
    "compile()": Case(in_place, momentum, compiled_in_place, says=COMPILED),
    "torch.compile, inductor": Case(deep, adam, compiled_well, says=COMPILED),
    "gradient penalty": Case(layer_norm, loop=penalised, passes=None, discarded=None),
    "probability": Case(lambda: nn.Sequential(mlp(), nn.Softmax(1)), loop=probability, notes="f is a probability"),
    "one point": Case(
        mlp, loop=one_by_one, says={"phi": ("one-sided", "4 outputs"), MOVES: ("descriptive", "holds the gradients back")}
    ),
}  # fmt: skip


def made(case: Case) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network and the optimizer, the same each time."""
    torch.manual_seed(3)
    model = case.network()
    return model, case.optimizer(model.parameters())


def run(case: Case, watching: Callable[..., Any] | None = None) -> tuple[Any, ...]:
    """Train; return what watched, the model, the optimizer, and the global random state afterwards."""
    torch._dynamo.reset()
    model, optimizer = made(case)
    watcher = contextlib.nullcontext() if watching is None else watching(model, optimizer)
    with watcher as w:
        case.loop(model, optimizer, (lambda loss: None) if w is None else (lambda loss: w.mark(loss=loss)))
    return w, model, optimizer, torch.get_rng_state()


def states(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Everything of a training that watching must leave alone, by name."""
    found: dict[str, Any] = {f"model {name}": value for name, value in model.state_dict().items()}
    found |= {f"gradient of {name}": value.grad for name, value in model.named_parameters()}
    found |= {f"requires_grad of {name}": value.requires_grad for name, value in model.named_parameters()}
    found |= {f"mode of {name}": module.training for name, module in model.named_modules()}
    state = copy.deepcopy(optimizer.state_dict())
    for number, values in state["state"].items():
        found |= {f"optimizer {number} {name}": value for name, value in values.items()}
    return found | {"groups": state["param_groups"]}
