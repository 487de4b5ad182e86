"""What cannot be watched is refused in a sentence, and a watch that sees nothing says so."""

import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.tests.watching import situations
from bthcheck.tests.watching.conftest import clean, steps
from bthcheck.watching import by_epoch

SECOND = nn.Linear(3, 3)


def same(model, optimizer):
    return model, optimizer


REFUSED = {
    "no module": (lambda m, o: (3, o), {}, TypeError, "model must be a torch.nn.Module, got int"),
    "no optimizer": (lambda m, o: (m, m.parameters()), {}, TypeError, "optimizer must be a torch.optim.Optimizer, or wrap one"),
    "another's": (
        lambda m, o: (SECOND, o), {}, ValueError, "the optimizer trains no parameter of this model; watch the model",
    ),
    "layer": (same, {"layer": "3"}, ValueError, "layer must name a layer of the model, such as '0', '2', got '3'"),
    "no layer": (
        same, {"layer": "1"}, ValueError, "layer must name a layer of the model, such as '0', '2', got '1'",
    ),
    "layer by number": (same, {"layer": 0}, ValueError, "layer must name a layer .*, got 0"),
    "every": (same, {"every": 0}, ValueError, "every must be a whole number of at least 1, got 0"),
    "limit": (same, {"limit": 1.5}, ValueError, "limit must be a whole number of at least 1, got 1.5"),
    "points": (
        same, {"probe": torch.zeros(2, 12), "points": -1}, ValueError, "points must be a whole number .*, got -1",
    ),
    "probe_every": (
        same, {"probe_every": "day"}, ValueError, "probe_every must be a whole number of steps or 'epoch', got 'day'",
    ),
    "output": (same, {"output": 0}, ValueError, "output must be a function of what the model returns, such as"),
    "log": (same, {"log": "file"}, ValueError, "log must be a function of a dict and a step, got 'file'"),
    "probe": (same, {"probe": "x"}, ValueError, "probe must be a tensor, or a tuple or mapping of tensors, got a str"),
    "no probe": (
        same, {"probe": torch.zeros(0, 12)}, ValueError, r"probe must have one row a point, .* got shapes \(0, 12\)",
    ),
    "rows": (
        same, {"probe": (torch.zeros(2, 12), torch.zeros(3))}, ValueError, r"got shapes \(2, 12\), \(3,\)",
    ),
    "NaN": (same, {"probe": torch.full((2, 12), torch.nan)}, ValueError, "probe must hold finite numbers only"),
    "width": (
        same, {"probe": torch.zeros(2, 11)}, ValueError,
        "the model cannot be evaluated at the probe: RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ),
    "tokens": (
        same, {"probe": torch.zeros(2, 12, dtype=torch.long)}, ValueError,
        "probe must hold floating-point numbers: the model has no embedding",
    ),
    "picked": (
        same, {"probe": torch.zeros(2, 12), "output": lambda r: r["f"]}, ValueError,
        "output= failed on what the model returns, a Tensor: ",
    ),
    "no slope": (
        same, {"probe": torch.zeros(2, 12), "output": lambda r: r.argmax(1).float()}, ValueError,
        "f does not depend on the points by differentiable operations",
    ),
    "no rows": (
        same, {"probe": torch.zeros(2, 12), "output": lambda r: r.sum()}, ValueError,
        r"f must be one row a point: for 2 points its shape is \(\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_watched_is_refused_in_a_sentence(training, name):
    given, options, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message) as caught:
        bthcheck.watch(*given(*training), **options)
    assert "\n" not in str(caught.value)
    assert clean(*training)
    with bthcheck.watch(*training) as w:  # nothing of it is left
        steps(*training)
    assert w.dataset().sizes["step"] == 3


def test_models_that_run_no_hooks_or_others_are_refused():
    class DeepSpeedEngine(nn.Linear):
        pass

    for model, message in (
        (
            DeepSpeedEngine(2, 2),
            "a model wrapped in DeepSpeedEngine cannot be watched: DeepSpeed trains with gradients of its own",
        ),
        (nn.DataParallel(nn.Linear(2, 2)), "DataParallel runs copies of the model, use DistributedDataParallel"),
        (torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), "a scripted model cannot be watched"),
    ):
        with pytest.raises(TypeError, match=message):
            bthcheck.watch(model, torch.optim.SGD(model.parameters(), 0.1))
    lazy = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3))
    with pytest.raises(ValueError, match=r"lazy parameters without a shape, such as '1\.weight'; call it once"):
        bthcheck.watch(lazy, torch.optim.SGD(lazy[0].parameters(), 0.1))
    nothing = nn.ParameterDict({"a": nn.Parameter(torch.zeros(1))})
    with pytest.raises(ValueError, match="no layer with weights"):
        bthcheck.watch(nothing, torch.optim.SGD(nothing.parameters(), 0.1))


def test_what_a_model_returns_has_to_be_clear():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    class Named(nn.Linear):
        def forward(self, x):
            return {"a": super().forward(x), "b": x}

    for kind, message in ((Pair, "returns a tuple; say which tensor is f"), (Named, "returns a dict with 'a', 'b'; say which")):
        model = kind(3, 2)
        with bthcheck.watch(model, torch.optim.SGD(model.parameters(), 0.1)), pytest.raises(ValueError, match=message):
            model(torch.zeros(1, 3))
    model = Named(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with bthcheck.watch(model, optimizer, output=lambda returned: returned["a"]) as w:
        model(torch.ones(4, 3))["a"].square().sum().backward()
        optimizer.step()
    assert w.dataset().phi.notnull().all()
    with bthcheck.watch(model, optimizer, output=lambda returned: 3), pytest.raises(ValueError, match="output= picked a int"):
        model(torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ({"epoch": "one"}, "epoch must be a finite number, got 'one'"),
        ({"epoch": float("nan")}, "epoch must be a finite number, got nan"),
        ({"loss": torch.zeros(3)}, r"loss must be one number, got a tensor of shape \(3,\)"),
        ({"loss": "low"}, "loss must be a number or a tensor of one, got 'low'"),
    ],
)
def test_marks_that_say_nothing_are_refused(training, marked, message):
    with bthcheck.watch(*training) as w, pytest.raises(ValueError, match=message):
        w.mark(**marked)


def test_what_is_asked_too_early_or_elsewhere_is_refused(training):
    with bthcheck.watch(*training) as w:
        with pytest.raises(ValueError, match="nothing has run through the model yet"):
            w.reading()
        with pytest.raises(ValueError, match=r"no epoch was marked while watching; call mark\(epoch=…\)"):
            by_epoch(w.dataset())
        assert w.dataset().sizes["step"] == 0
        assert w.plot().axes
        with pytest.raises(ValueError, match="live=True draws in a notebook"):
            w.plot(live=True)
        steps(*training)
        with pytest.raises(ValueError, match="no epoch was marked"):
            by_epoch(w.dataset())
    with pytest.raises(ValueError, match="not the Dataset of one watched training"):
        by_epoch(3)


SILENT = {
    "compiled before": "the model's hooks do not run; watch a compiled model before its first call",
    "forward()": "the model's hooks do not run; .* call the model itself, not its forward",
    "layer that does not run": "the layer 'unused.inside' does not run in the forward pass",
    "no_grad": "f never had a gradient; is the model run under no_grad",
    "another loss": "no gradient of the loss reached f and the layer '0'; is f, as output= picks it, what the loss is made of",
}


@pytest.mark.parametrize("name", SILENT)
def test_silence_is_said(training, name):
    model, optimizer = training
    x, _ = next(situations.batches(1))
    options = {}
    if "layer" in name:
        model.add_module("unused", nn.Identity())
        model.unused.inside = nn.Linear(2, 2)
        options = {"layer": "unused.inside"}
    if name == "compiled before":
        torch._dynamo.reset()
        called = torch.compile(model, backend="eager")
        called(x)
    w = bthcheck.watch(*training, **options)

    def loss():
        if name == "compiled before":
            return called(x).square().sum()
        if "layer" in name:
            return model(x).square().sum()
        if name == "forward()":
            return nn.Sequential.forward(model, x).square().sum()
        if name == "no_grad":
            with torch.no_grad():
                model(x)
            return nn.Sequential.forward(model, x).sum()
        return model[0](x).square().sum() + 0 * model(x).detach().sum()

    def train():
        for _ in range(4):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    with pytest.warns(UserWarning, match=f"no gradient was seen in 3 steps: {SILENT[name]}"), w:
        train()


def test_the_last_layer_may_be_watched():
    """Its output is f itself, whose hooks would run in the wrong order; not where it was changed in place."""
    torch.manual_seed(0)
    for network, last in ((nn.Linear(12, 4), True), (nn.Sequential(nn.Linear(12, 4), nn.ReLU(inplace=True)), False)):
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        with bthcheck.watch(network, optimizer) as w:
            steps(network, optimizer)
        found = w.dataset()
        assert (found.phi > 0).all()
        assert (found.gradient_norm_mean == 1).all() == last
        assert (found.gradient_norm_max <= 1).all()
        assert ("its output is f itself" in str(w.reading())) == last
