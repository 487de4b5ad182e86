"""What takes seconds to import is imported with the first tensor or search, and computes there as it always did."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bthcheck import networks, tasks
from bthcheck.choices import available_threads
from bthcheck.experiments import CORRUPTED_CIFAR, SINUSOIDS
from bthcheck.networks import CNN, MLP
from bthcheck.training import code, machine
from bthcheck.training.runs import Run, state_size

SLOW = "{'torch', 'numba', 'hypothesis'}"
CLAIMS = Path(__file__).parents[2] / "claims"
LIGHT = (
    "evidence.generated", "evidence.phases", "evidence.search", "evidence.trends", "experiments", "experiments.extensions",
    "figures", "geometry.covering", "geometry.float64", "geometry.jacobians", "geometry.lipschitz", "geometry.preactivations",
    "geometry.pursuit", "geometry.regions", "harness.claims", "harness.fixtures", "layers", "networks", "protocols", "tasks",
    "theory.assumption", "theory.dropout", "theory.published", "theory.topology", "theory.trajectory", "training.cache",
    "training.contents", "training.dataset", "training.engines", "training.entries", "training.kept", "training.machine",
    "training.memory", "training.obtain", "training.remote", "training.runs",
)  # fmt: skip


def python(text, **environment):
    environment = {**os.environ, "PYTHONPATH": str(code.PACKAGE.parent), **environment}
    process = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment, timeout=300)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_what_describes_and_reads_imports_nothing_slow():
    modules = "\n".join(f"import bthcheck.{name}; print({name!r}, {SLOW} & set(sys.modules))" for name in LIGHT)
    assert python(f"import sys\n{modules}") == [f"{name} set()" for name in LIGHT]


@pytest.mark.skipif(not CLAIMS.is_dir(), reason="the claims are not installed with the package")
def test_claims_import_nothing_slow():
    names = sorted(".".join(path.relative_to(CLAIMS).with_suffix("").parts) for path in CLAIMS.rglob("test_*.py"))
    text = f"import sys; sys.path.insert(0, {str(CLAIMS.parent)!r})\n"
    text += "\n".join(f"import claims.{name}; print({name!r}, {SLOW} & set(sys.modules))" for name in names)
    assert len(names) > 5
    assert python(text) == [f"{name} set()" for name in names]


LATE = """
import sys, threading
import numpy as np
from bthcheck.ambient import neutral
from bthcheck.networks import MLP

def state():
    import torch
    return torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()

def other(found):
    with neutral():
        ready.set()
        came.wait()
        sys.modules["torch"].set_grad_enabled(False)
        with neutral():
            found.append(state())

ready, came, found = threading.Event(), threading.Event(), []
thread = threading.Thread(target=other, args=(found,))
thread.start()
ready.wait()
with neutral():
    assert "torch" not in sys.modules
    %s
    assert "torch" in sys.modules
    print(*state())
    came.set()
    thread.join()
    with neutral():
        print(*state())
print(*found[0])
print(*state())
from bthcheck import ambient
assert ambient._arrival not in sys.meta_path
"""


ASKED_BEFORE = "__import__('importlib.util').util.find_spec('torch'); assert 'torch' not in sys.modules; import torch"


@pytest.mark.skipif(available_threads() < 2, reason="on one core there is but one thread")
@pytest.mark.parametrize("use", [ASKED_BEFORE, "MLP().build()"], ids=["asked for before", "by a network"])
def test_pytorch_that_comes_late_computes_in_the_neutral_state_for_the_rest_of_the_block(use):
    """One thread, and the others that are inside by then; what the program has is left as it was."""
    inside = "1 torch.float32 True"
    found = python(LATE % use, OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")
    assert found == [inside, inside, inside, "2 torch.float32 True"]


@pytest.mark.parametrize(
    "architecture",
    [
        MLP(), MLP((4, 6, 3, 1), "trained", "sigmoid"), MLP((3, 3, 1)), CNN(channels=(8, 16), hidden=32),
        CNN((1, 28, 28), (2, 3), kernel=3, pool=2, hidden=5),
    ],
    ids=["identity", "trained", "smallest", "images", "other images"],
)  # fmt: skip
def test_a_description_counts_the_parameters_of_its_network(architecture):
    assert architecture.parameters == state_size(architecture.build())


def test_modules_are_handed_on_from_where_they_were():
    assert networks.Network.__module__ == "bthcheck.modules"
    assert type(MLP().build()) is networks.Network
    with pytest.raises(AttributeError, match=r"module 'bthcheck\.networks' has no attribute 'nonsense'"):
        _ = networks.nonsense


@pytest.mark.parametrize("engine", ["fused", "stacked", "reference"])
def test_code_that_is_imported_late_is_in_the_key_of_a_run(engine):
    found = {path.relative_to(code.PACKAGE).as_posix() for path in code.sources(f"bthcheck.training.{engine}")}
    own = {"fused": {"engine.py", "loops.py", "packing.py"}, "stacked": {"engine.py", "steps.py"}, "reference": set()}[engine]
    assert {"modules.py", "networks.py", "tasks.py", "ambient.py"} <= found
    assert {f"training/{engine}/{name}" for name in own} <= found


def test_what_pytorch_chooses_for_a_processor_is_known_without_it():
    """By PyTorch's own answer on this machine, as it is and as it is told to be."""
    facts = machine.describe("cpu")
    assert facts["capability"] == torch.backends.cpu.get_cpu_capability()
    ask = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    (answer,) = python(ask, ATEN_CPU_CAPABILITY="default")
    assert machine.capability(facts["features"], platform.machine(), "default") == answer


@pytest.mark.parametrize(
    ("features", "asked", "expected"),
    [
        ("+avx,+avx2,+fma,-avx512f,-avx512vl,-avx512bw,-avx512dq", None, "AVX2"),
        ("+avx,+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq", None, "AVX512"),
        ("+avx,+avx2,+fma,+avx512f,-avx512vl,-avx512bw,-avx512dq", None, "AVX2"),
        ("+avx,+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq", "avx2", "AVX2"),
        ("+avx,+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq", "nonsense", "AVX512"),
        pytest.param("+avx,+avx2,-fma", None, "DEFAULT", id="no fma"),
        ("+avx,-avx2,+fma", None, "DEFAULT"),
        ("+avx2,+fma", "default", "DEFAULT"),
    ],
)
def test_the_vector_units_decide(features, asked, expected):
    assert machine.capability(features, "AMD64", asked) == expected


def test_of_another_processor_pytorch_is_asked():
    assert machine.capability("+neon", "aarch64") == torch.backends.cpu.get_cpu_capability()


def test_data_are_checked_without_being_drawn(monkeypatch):
    def gone(*source):
        raise ValueError("the images are gone")

    monkeypatch.setattr(tasks, "load", gone)
    monkeypatch.setattr(tasks, "torch", None)
    with pytest.raises(ValueError, match="the images are gone"):
        Run(CORRUPTED_CIFAR, 0.0, 0).check_data()
    Run(SINUSOIDS, 0.5, 0).check_data()
