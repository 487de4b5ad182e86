"""Watching changes no training by a bit, has one record a step, and knows what may be concluded."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import torch

import bthcheck
from bthcheck.tests.watching.situations import CASES, STEPS, plain, run, states, twice


def same(one, other):
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def flat(values):
    for name, value in values.items():
        if isinstance(value, (list, tuple)) and any(isinstance(one, torch.Tensor) for one in value):
            yield from ((f"{name} {number}", one) for number, one in enumerate(value))
        else:
            yield name, value


@pytest.mark.filterwarnings("ignore:.*skipped.*first value of the learning rate")
@pytest.mark.parametrize("probed", [False, True], ids=["", "probed"])
@pytest.mark.parametrize("name", CASES)
def test_training_is_the_same_to_the_bit(name, probed):
    case = CASES[name]
    if "inductor" in name and shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("PyTorch compiles with a C++ compiler, and there is none")
    _, model, optimizer, random = run(case)
    points = torch.randn(3, 12, generator=torch.Generator().manual_seed(9))
    options = {"probe": (points > 0).long() if case.tokens else points, "probe_every": 2} if probed else {}
    if probed and "reentrant" in name:
        with pytest.raises(ValueError, match=r"cannot be evaluated at the probe: RuntimeError: When use_reentrant=True"):
            run(case, lambda m, o: bthcheck.watch(m, o, **options))
        return
    w, watched, its_optimizer, its_random = run(case, lambda m, o: bthcheck.watch(m, o, **options, **case.options))
    expected, found = dict(flat(states(model, optimizer))), dict(flat(states(watched, its_optimizer)))
    assert expected.keys() == found.keys()
    assert not [key for key, value in expected.items() if not same(value, found[key])]
    assert torch.equal(random, its_random)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in watched.modules() if name != "spectral norm"
    )
    assert not any(parameter._backward_hooks for parameter in watched.parameters())
    assert not its_optimizer._optimizer_step_post_hooks

    records = w.dataset()
    if case.records > 0:
        assert records.sizes["step"] == case.records
    assert records.phi.notnull().all()
    assert (records.phi > 0).all()
    if "compile" in name:
        assert records.gradient_norm_max.isnull().all()
    else:
        assert (records.gradient_norm_max >= records.gradient_norm_mean).all()
    if case.passes:
        assert (records.passes == case.passes).all()
    if case.discarded is not None:
        assert records.attrs["discarded"] == case.discarded
    if options:
        assert records.lipschitz_max.dropna("step").sizes["step"] >= STEPS // 2

    reading = w.reading()
    for quantity, (scope, reason) in case.says.items():
        statement = reading.of(quantity)
        assert statement.scope == scope, statement
        assert reason in str(statement)
    assert case.notes in "\n".join(reading.notes)
    assert records.attrs["reading"] == str(reading)


def test_what_was_skipped_is_no_record():
    """Every step that the optimizer made is there, in order, and no other."""
    case = CASES["scaler"]
    moved = []

    def noting(model, optimizer):
        before = [model[0].bias.detach().clone()]

        def note(*_):
            moved.append(float((model[0].bias.detach() - before[0]).norm()))
            before[0] = model[0].bias.detach().clone()

        optimizer.register_step_post_hook(note)
        return bthcheck.watch(model, optimizer)

    w, *_ = run(case, noting)
    records = w.dataset()
    assert 0 < records.sizes["step"] == len(moved) < 3 * STEPS
    assert records["update"].values == pytest.approx(moved, rel=1e-5)
    assert records.attrs["discarded"] == 3 * STEPS - len(moved)
    assert records.step.values.tolist() == list(range(1, len(moved) + 1))


def test_a_fused_optimizers_skipped_steps_are_no_records():
    w, *_ = run(CASES["scaler, fused AdamW"], bthcheck.watch)
    records = w.dataset()
    assert 0 < records.sizes["step"] < 3 * STEPS
    assert (records["update"] > 0).all()
    assert records.attrs["steps"] == 3 * STEPS
    assert records.attrs["discarded"] == 3 * STEPS - records.sizes["step"]


WITH_PHI = (
    "torch.compile, convolution", "torch.compile, two passes, one loss", "torch.compile, gradient of the input", "compile()",
)  # fmt: skip


@pytest.mark.parametrize("name", WITH_PHI)
def test_phi_of_a_compiled_model_is_that_of_the_model(name):
    """Read from the gradient of the bias in the one case, from hooks on z in the other."""
    case = CASES[name]
    loop = twice if "two passes" in name else plain
    w, *_ = run(case, bthcheck.watch)
    other, *_ = run(dataclasses.replace(case, loop=loop), bthcheck.watch)
    assert w.dataset().attrs["layer"] == other.dataset().attrs["layer"]
    for quantity in ("phi", "update", "samples", "passes"):
        np.testing.assert_allclose(w.dataset()[quantity], other.dataset()[quantity], rtol=1e-5, err_msg=quantity)


def test_nothing_breaks_what_is_compiled():
    """The forward pass is one program, watched or not."""
    programs = []

    def counting(module, _inputs):
        programs.append(sum(node.op == "call_function" for node in module.graph.nodes))
        return module.forward

    def loop(model, optimizer, mark):
        plain(torch.compile(model, backend=counting), optimizer, mark)

    case = dataclasses.replace(CASES["torch.compile, convolution"], loop=loop)
    run(case)
    alone, programs[:] = list(programs), []
    run(case, bthcheck.watch)
    assert alone == programs
    assert len(alone) == 1
