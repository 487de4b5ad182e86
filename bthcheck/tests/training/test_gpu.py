"""What the stacked engine does on a GPU, as far as a machine without one can tell; see also `place` in test_engines.py."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages
from bthcheck.tests.training.test_engines import SMALL, STACKS
from bthcheck.training import reference, stacked
from bthcheck.training.runs import Run
from bthcheck.training.stacked import engine as stacked_engine
from bthcheck.training.stacked import graphs, layers, steps
from bthcheck.training.stacked.state import Stack, State
from bthcheck.training.statistics import STATISTICS


def runs_of(name, **changes):
    experiment = STACKS[name].replace(**{"levels": (0.5, 0.75), "seeds": (2, 5), **changes})
    return [Run(experiment, level, seed) for level in experiment.levels for seed in experiment.seeds]


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        assert np.array_equal(one.parameters, other.parameters)
        for name in STATISTICS:
            assert np.array_equal(one.statistics[name], other.statistics[name], equal_nan=True), name


# ---------------------------------------------------------------------------------------------------- graphs


class Tape(TorchDispatchMode):
    """A CUDA graph on a CPU: the operations of a function, done again on the very tensors that they were recorded with."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, out))
        return out

    def replay(self):
        for func, args, kwargs, out in self.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class TapeRecorder:
    """Records on a CPU, where recording executes: the fixed tensors are put back afterwards."""

    def __init__(self, fixed):
        self.fixed = fixed
        self.captured = []

    def rehearse(self, step, prepare):
        self.prepare = prepare
        for _ in range(2):
            prepare()
            step()

    def capture(self, step, times):
        before = [tensor.clone() for tensor in self.fixed]
        self.captured.append(times)
        self.prepare()
        with Tape() as tape:
            for _ in range(times):
                step()
        for tensor, value in zip(self.fixed, before, strict=True):
            tensor.copy_(value)
        return tape


def tensors(*holders):
    values = [getattr(holder, field.name) for holder in holders for field in dataclasses.fields(holder)]
    return [leaf for value in values for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


@pytest.mark.parametrize("name", STACKS)
def test_replaying_recorded_steps_trains_bit_for_bit_as_making_them(name, monkeypatch):
    """What a step reads must be in the fixed tensors: a replay repeats its operations, not its Python code."""
    runs = runs_of(name, epochs=4)
    monkeypatch.setattr(layers.Workspace, "empty", lambda self, name, shape, like: like.new_empty(shape))  # as on a GPU
    made = stacked.train(runs)
    recorders = []

    def program(parts, prepare, device):
        recorders.append(TapeRecorder(tensors(*prepare.args)))
        return graphs.replayed(parts, prepare, recorders[0])

    monkeypatch.setattr(stacked_engine, "program", program)
    assert_same(stacked.train(runs), made)
    (recorder,) = recorders
    assert recorder.captured
    points, batch = runs[0].setting.task.train, runs[0].setting.training.batch_size
    assert (1 in recorder.captured) == (points % batch > 0 or points // batch % graphs.UNROLLED > 0)


@given(st.integers(1, 10**6))
def test_graphs_make_as_many_steps_as_asked_for(times):
    split = graphs.lengths(times)
    assert sum(length * count for length, count in split) == times
    assert all(0 < length <= graphs.UNROLLED and count > 0 for length, count in split)


class Refusing(TapeRecorder):
    """A recorder of which the device permits no capture."""

    error: ClassVar[RuntimeError] = RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with")

    def __init__(self, device):
        super().__init__([])

    def capture(self, step, times):
        raise self.error


def test_steps_that_cannot_be_captured_are_made_one_by_one_with_a_warning(monkeypatch):
    monkeypatch.setattr(graphs, "_CudaRecorder", Refusing)
    made = []
    with pytest.warns(UserWarning, match=r"captured as CUDA graphs \(.*is capturing\); they are launched one by one"):
        steps = graphs.program([(lambda: made.append("full"), 3), (lambda: made.append("last"), 1)], made.clear, "cuda")
    made.clear()
    steps()
    assert made == ["full", "full", "full", "last"]
    monkeypatch.setattr(Refusing, "error", torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(torch.OutOfMemoryError):
        graphs.program([(lambda: None, 3)], lambda: None, "cuda:0")


class Watch(TorchDispatchMode):
    """Refuses tensors elsewhere, which would be copied while the host waits. Tensors without numbers refuse to be looked at."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, torch.Tensor):
                assert leaf.device.type == "cuda", f"{func} touches a tensor on {leaf.device}"
        return out


def _can_pretend():
    try:
        with FakeTensorMode():
            x = torch.ones(2, 2, device="cuda")
            return (x @ x + 1).device.type == "cuda"
    except (RuntimeError, AssertionError):
        return False


pretending = pytest.mark.skipif(not _can_pretend(), reason="this PyTorch cannot pretend to have a CUDA device")


def fake_stack(runs):
    """A stack and its state as tensors that only claim to be on a GPU: shapes, types and devices without numbers."""
    stack = Stack.build(runs, "cpu")
    state = State.build(stack, runs, "cpu")

    def move(value):
        return torch.empty(value.shape, dtype=value.dtype, device="cuda") if isinstance(value, torch.Tensor) else value

    network = runs[0].network()
    mode = FakeTensorMode()
    with mode:
        parameters = [move(parameter) for parameter in stack.parameters]
        first, rest = layers.batched(network, parameters)
        fields = {field.name: move(getattr(stack, field.name)) for field in dataclasses.fields(stack)}
        stack = Stack(**{**fields, "parameters": parameters, "first": first, "rest": rest})
        state = State(**{field.name: move(getattr(state, field.name)) for field in dataclasses.fields(state)})
    return mode, stack, state


@pretending
@pytest.mark.parametrize("name", STACKS)
def test_a_step_on_a_gpu_stays_on_it_and_never_waits(name):
    mode, stack, state = fake_stack(runs_of(name))
    with mode, torch.inference_mode():
        steps.rehearse(stack, state)
        with Watch():
            steps.step(stack, state, len(state.position))
            steps.step(stack, state, 1)
        row = steps.row(stack, state, 3, True, True)
    assert row.shape == (len(STATISTICS), 4)
    assert row.device.type == "cuda"


@pretending
def test_the_watch_sees_a_number_that_is_copied_from_the_host():
    with FakeTensorMode() as mode:
        x, y = torch.ones(3, device="cuda"), torch.ones(3)
    with mode, Watch(), pytest.raises(AssertionError, match="touches a tensor on cpu"):
        x.copy_(y)
    with mode, Watch(), pytest.raises(Exception, match="_local_scalar_dense"):
        x.sum().item()


@pretending
def test_nothing_is_kept_in_a_workspace_on_a_gpu():
    """Memory that is captured belongs to its graph."""
    workspace = layers.Workspace()
    with FakeTensorMode():
        x = torch.ones(3, device="cuda")
        assert workspace.empty("a", (2, 2), x).device.type == "cuda"
    assert not workspace.held
    kept = workspace.empty("a", (2, 2), torch.ones(1))
    assert workspace.empty("a", (2, 2), torch.ones(1)) is kept
    assert workspace.empty("a", (3,), torch.ones(1)).shape == (3,)


# ---------------------------------------------------------------------------------------------------- layers


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_both_ways_to_add_up_patches_agree(runs, channels, points, side, height, width):
    patches = torch.randn(runs, channels, side, side, points, height, width, dtype=torch.float64)
    layer = layers.Convolution(torch.empty(0), torch.empty(0), side)
    torch.testing.assert_close(layer._fold(patches), layers.fold_at_once(patches))


@pytest.mark.parametrize("network", [CNN((2, 12, 11), (3, 2), 3, 2, 4), MLP((9, 7, 5, 1), "trained", "sigmoid")])
@pytest.mark.parametrize("points", [1, 3])
def test_layers_differentiate_as_autograd_does(network, points):
    """Two networks side by side: s, ∂s/∂x, and the update of every parameter by a scaled sum over points."""
    modules = [network.build(seed).double() for seed in (0, 1)]
    parameters = [torch.stack([p.detach() for p in group]) for group in zip(*(m.parameters() for m in modules), strict=True)]
    first, rest = layers.batched(modules[0], parameters)
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, points, network.inputs, dtype=torch.float64, generator=generator)
    scale = torch.randn(2, points, dtype=torch.float64, generator=generator)
    h, start = first.forward(x)
    kept = []
    for layer in rest:
        h, saved = layer.forward(h)
        kept.append(saved)
    delta = torch.ones_like(h)
    for layer, saved in zip(reversed(rest), reversed(kept), strict=True):
        below = layer.backward(delta, saved)
        layer.descend(delta, saved, scale)
        delta = below
    gradient = first.backward(delta, start)
    first.descend(delta, start, scale)
    for index, module in enumerate(modules):
        point = x[index].clone().requires_grad_()
        s = module.logit(module.first(point))
        torch.testing.assert_close(h[index, :, 0], s)
        own = list(module.parameters())
        expected = torch.autograd.grad((scale[index] * s).sum(), own, retain_graph=True)
        torch.testing.assert_close(gradient[index], torch.autograd.grad(s.sum(), point)[0])
        for parameter, before, change in zip(parameters, own, expected, strict=True):
            torch.testing.assert_close(parameter[index].detach(), (before - change).detach())


def test_points_that_all_runs_share_are_stored_once():
    images = SMALL.replace(
        task=CorruptedImages(train=8, test=4), network=CNN(channels=(2, 2), hidden=2), vary="corruption",
        levels=(0.0, 1.0), epochs=3, batch_size=3, learning_rate=0.05,
    )  # fmt: skip
    runs = [Run(images, level, seed) for level in (0.0, 1.0) for seed in (0, 1)]
    stack = Stack.build(runs, "cpu")
    assert stack.x_train.shape == (1, 8, 3072)
    assert stack.x_test.shape == (1, 4, 3072)
    assert stack.y_train.shape == (4, 8)
    for run, fast in zip(runs, stacked.train(runs), strict=True):
        slow = reference.train(run)
        np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fast.statistics["test_loss"], slow.statistics["test_loss"], rtol=1e-9)
    assert Stack.build(runs_of("paper, minibatches"), "cpu").x_train.shape == (4, 100, 10)
