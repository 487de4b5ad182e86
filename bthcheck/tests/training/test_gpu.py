"""What the stacked engine does on a GPU, as far as a machine without one can tell; see also `place` in test_engines.py."""

import dataclasses
import weakref
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import bthcheck
from bthcheck.benchmark import gpu
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages
from bthcheck.tests.training.test_engines import SMALL, STACKS
from bthcheck.training import engines, memory, precision, reference, stacked
from bthcheck.training.runs import Run
from bthcheck.training.stacked import engine, graphs, layers
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

    monkeypatch.setattr(engine, "program", program)
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
    stack = engine._Stack.build(runs, "cpu")
    state = engine._State.build(stack, runs, "cpu")

    def move(value):
        return torch.empty(value.shape, dtype=value.dtype, device="cuda") if isinstance(value, torch.Tensor) else value

    network = runs[0].network()
    mode = FakeTensorMode()
    with mode:
        parameters = [move(parameter) for parameter in stack.parameters]
        first, rest = layers.batched(network, parameters)
        fields = {field.name: move(getattr(stack, field.name)) for field in dataclasses.fields(stack)}
        stack = engine._Stack(**{**fields, "parameters": parameters, "first": first, "rest": rest})
        state = engine._State(**{field.name: move(getattr(state, field.name)) for field in dataclasses.fields(state)})
    return mode, stack, state


@pretending
@pytest.mark.parametrize("name", STACKS)
def test_a_step_on_a_gpu_stays_on_it_and_never_waits(name):
    mode, stack, state = fake_stack(runs_of(name))
    with mode, torch.inference_mode():
        engine._rehearse(stack, state)
        with Watch():
            engine._step(stack, state, len(state.position))
            engine._step(stack, state, 1)
        row = engine._row(stack, state, 3, True, True)
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
    stack = engine._Stack.build(runs, "cpu")
    assert stack.x_train.shape == (1, 8, 3072)
    assert stack.x_test.shape == (1, 4, 3072)
    assert stack.y_train.shape == (4, 8)
    for run, fast in zip(runs, stacked.train(runs), strict=True):
        slow = reference.train(run)
        np.testing.assert_allclose(fast.parameters, slow.parameters, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(fast.statistics["test_loss"], slow.statistics["test_loss"], rtol=1e-9)
    assert engine._Stack.build(runs_of("paper, minibatches"), "cpu").x_train.shape == (4, 100, 10)


# ---------------------------------------------------------------------------------------------------- precision


def places():
    return [(place, name) for place, name, _ in precision._settings()]


@pytest.fixture(params=["old names", "new names"])
def tf32(request):
    """A program that allows shortcuts, under either generation of PyTorch's names; what it set."""
    backends = torch.backends
    before = [getattr(place, name) for place, name in places()]
    if request.param == "old names":
        torch.set_float32_matmul_precision("high")
    elif hasattr(backends, "fp32_precision"):
        backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "tf32"
    else:
        pytest.skip("this PyTorch has no new names")
    yield [getattr(place, name) for place, name in places()]
    if request.param == "old names":
        torch.set_float32_matmul_precision("highest")
    for (place, name), value in zip(places(), before, strict=True):
        setattr(place, name, value)


@pytest.mark.parametrize("engine", ["stacked", "reference"])
def test_no_tf32_while_training_whatever_the_program_chose(engine, tf32, monkeypatch):
    seen = []
    original = Run.network

    def network(self):
        seen.extend(getattr(place, name) for place, name in places())
        return original(self)

    monkeypatch.setattr(Run, "network", network)
    bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(0,), epochs=1), engine=engine, progress=False)
    wanted = {value for _, _, value in precision._settings()}
    assert set(seen[-len(places()) :]) == wanted
    assert [getattr(place, name) for place, name in places()] == tf32 != seen[-len(places()) :]


def test_precision_is_restored_by_the_last_to_leave_and_after_an_error(tf32):
    def now():
        return [getattr(place, name) for place, name in places()]

    first, second = precision.full_float32(), precision.full_float32()
    first.__enter__()
    second.__enter__()
    inside = now()
    assert inside != tf32
    first.__exit__(None, None, None)
    assert now() == inside
    with pytest.raises(KeyError), precision.full_float32():
        raise KeyError
    assert now() == inside
    second.__exit__(None, None, None)
    assert now() == tf32


# ---------------------------------------------------------------------------------------------------- memory


def limited(train, most, error):
    """`train` that raises `error` for more than `most` runs, and the sizes it was called with."""
    sizes = []

    def attempt(runs, device):
        sizes.append(len(runs))
        if len(runs) > most:
            raise error
        return train(runs, device)

    return attempt, sizes


def test_a_full_gpu_gets_fewer_runs_at_a_time_and_says_so(monkeypatch, place):
    runs = runs_of("paper, minibatches", epochs=2, seeds=(0, 1, 2), levels=(0.25, 0.5))[:5]
    whole = [stacked.train([run], place)[0] for run in runs]
    attempt, sizes = limited(engine._train, 2, torch.OutOfMemoryError("CUDA out of memory."))
    monkeypatch.setattr(engine, "_train", attempt)
    with pytest.warns(UserWarning, match="the GPU ran out of memory") as caught:
        results = stacked.train(runs, place)
    assert [str(warning.message) for warning in caught] == [
        "the GPU ran out of memory with 5 runs side by side; going on with 3 at a time",
        "the GPU ran out of memory with 3 runs side by side; going on with 2 at a time",
    ]
    assert sizes == [5, 3, 2, 1, 2]
    for one, other in zip(results, whole, strict=True):
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["stacked", "reference"])
def test_a_gpu_too_small_for_one_run_is_one_clear_sentence(engine, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(engine, "_train", full)
    monkeypatch.setattr(reference, "train", full)
    with pytest.raises(MemoryError, match=r"too little free memory for even one run of sinusoids; free some, .* device='cpu'"):
        bthcheck.run(SMALL.replace(levels=(0.5,), seeds=(0,)), engine=engine, progress=False)


def test_memory_of_the_failed_attempt_is_freed_before_the_next(monkeypatch):
    held = []

    def attempt(runs, device):
        assert all(reference() is None for reference in held)
        if len(runs) > 1:
            data = torch.empty(3)
            held.append(weakref.ref(data))
            cycle = [data]
            cycle.append(cycle)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return stacked_train(runs, device)

    stacked_train = engine._train
    monkeypatch.setattr(engine, "_train", attempt)
    with pytest.warns(UserWarning, match="going on with 1 at a time"):
        assert len(stacked.train(runs_of("one point a step", epochs=1, levels=(0.5,)))) == 2


def test_what_is_said_in_words_and_while_ending_a_capture_counts_as_full():
    def said(text):
        return memory.is_out_of_memory(RuntimeError(text))

    assert said("CUDA error: out of memory")
    assert said("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    assert not said("CUDA error: operation failed due to a previous error during capture")
    error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory.")
    assert memory.is_out_of_memory(error)


@pytest.mark.filterwarnings("error")
def test_other_errors_are_not_taken_for_a_full_gpu(monkeypatch):
    attempt, sizes = limited(engine._train, 0, RuntimeError("something else"))
    monkeypatch.setattr(engine, "_train", attempt)
    with pytest.raises(RuntimeError, match="something else"):
        stacked.train(runs_of("one point a step", epochs=1))
    assert sizes == [4]


GIB = 2**30
PAPER_CIFAR = SMALL.replace(
    task=CorruptedImages(train=1000, test=200), network=CNN(), vary="corruption", levels=(0.0, 0.6), dtype="float32",
    epochs=100,
)  # fmt: skip


def test_a_gpu_is_shared_by_the_processes_on_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (79 * GIB, 80 * GIB))
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert memory.room("cuda") == int(0.8 * 79 * GIB)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    assert memory.room("cuda") == int(0.8 * 20 * GIB)
    monkeypatch.setattr(memory, "cuda_count", lambda: 2)
    assert memory.room("cuda:1") == int(0.8 * 40 * GIB)
    assert memory.room("cpu") == GIB


def test_the_size_of_a_shard_follows_from_memory(monkeypatch):
    images = [Run(PAPER_CIFAR, level, seed) for level in (0.0, 0.6) for seed in (0, 1)]
    monkeypatch.setattr(engine, "room", lambda device: 60 * GIB)
    most = stacked.shard_size(images, "cuda")
    parameters = sum(p.numel() for p in images[0].network().parameters())
    assert 32 <= most < 60 * GIB / (4 * parameters)
    monkeypatch.setattr(engine, "room", lambda device: 1000)
    assert stacked.shard_size(images, "cuda") == 1
    # Points of their own cost every run memory.
    monkeypatch.setattr(engine, "room", lambda device: 10 * GIB)
    shared = stacked.shard_size(images, "cuda")
    monkeypatch.setattr(engine, "_same_points", lambda data: False)
    assert stacked.shard_size(images, "cuda") < shared
    larger = [Run(PAPER_CIFAR.replace(batch_size=64), 0.0, 0)]
    assert stacked.shard_size(larger, "cuda") < shared


def test_an_upper_bound_on_what_a_pass_holds():
    network = CNN((1, 12, 11), (2, 3), 3, 2, 4)
    first, second = 9 * (10 * 9), 18 * (3 * 2)  # patches of the two convolutions
    entries = layers.entries_a_point(network.build())
    assert 132 + first + second < entries < 132 + 6 * (132 + first + second)


def test_shards_of_a_gpu_hold_what_fits(monkeypatch):
    runs = runs_of("paper, minibatches", seeds=range(5))
    monkeypatch.setattr(stacked, "shard_size", lambda alike, device: 4 if len(alike) == 10 else pytest.fail(str(alike)))
    assert engines._shards(stacked, runs, "cuda") == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


# ---------------------------------------------------------------------------------------------------- benchmark


def test_the_benchmark_runs_at_a_tiny_size(capsys, place):
    gpu.report(place, network=CNN(channels=(2, 3), hidden=4), runs=2, steps=4, size=64)
    out = capsys.readouterr().out
    for word in ("a step", "1 000 000 steps", "bytes/s", "FLOP/s", "copying", "matrix product"):
        assert word in out


def test_the_work_of_a_step_is_counted_from_its_layers():
    work = gpu.work(CNN(), runs=1)
    products = 28 * 28 * 96 * 75 + 5 * 5 * 384 * 2400 + 384 * 384 + 384
    parameters = sum(p.numel() for p in CNN().build().parameters())
    assert work.operations == 6 * products
    assert work.parameters == parameters == 1_080_577
    assert gpu.work(CNN(), runs=32).operations == 32 * work.operations
    assert work.bytes > 4 * 4 * parameters
