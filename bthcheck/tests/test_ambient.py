"""The same bits whatever a program has set for its process: type, device, modes, threads, precision, errors, figures."""

import contextlib
import hashlib
import inspect
import pickle
import threading
from importlib import import_module

import matplotlib
import numpy as np
import pytest
import torch
import xarray as xr

import bthcheck
from bthcheck import figures
from bthcheck.ambient import neutral, settings
from bthcheck.evidence import dispersion, distinguishable, fitted, inequality, non_inferiority, sign_errors, trend
from bthcheck.evidence.attacks import store
from bthcheck.evidence.attacks.table import ATTACKS
from bthcheck.evidence.search import Comparison, examples, falsify
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, DROPOUT, REGIONS, SINUSOIDS, Experiment, Training
from bthcheck.geometry import covering, jacobians, lipschitz, regions
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages, Sinusoid, TwoClusters
from bthcheck.tests.training.samples_own import Residual, Wave
from bthcheck.theory import assumption, dropout, published, rivals, stopping, trajectory
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

TINY = SINUSOIDS.replace(levels=(0.25, 1.0), seeds=(0, 1), epochs=3, network=MLP((10, 10, 8, 1)), lipschitz_every=1)
IMAGES = CORRUPTED_CIFAR_SMALL.replace(
    task=CorruptedImages(train=8, test=4), network=CNN(channels=(2, 3), hidden=4), levels=(0.4,), seeds=(0,), epochs=1
)
OWN = Experiment("own", Wave(), "frequency", (1.0,), Residual(), Training(2, 6, optimizer="adamw"), (0, 1))
THEOREM_3 = DROPOUT.replace(seeds=(0,), epochs=2)


@contextlib.contextmanager
def restoring(read, write, value):
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def anomaly():
    return torch.autograd.set_detect_anomaly(True)


def deterministic():
    return restoring(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True)


def flushing():
    return restoring(lambda: False, torch.set_flush_denormal, True)


HOSTILE = {
    "float64": lambda: restoring(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "float16": lambda: restoring(torch.get_default_dtype, torch.set_default_dtype, torch.float16),
    "device": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomaly": anomaly,
    "deterministic": deterministic,
    "three threads": lambda: restoring(torch.get_num_threads, torch.set_num_threads, 3),
    "medium precision": lambda: restoring(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "denormals are zero": flushing,
    "errors raise": lambda: np.errstate(all="raise"),
}


def digest(*values):
    """A digest of every bit of tensors, arrays, datasets, figures and plain values."""
    total = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        if isinstance(value, xr.Dataset):
            total.update(digest(*(value[name].values for name in sorted(value.variables))).encode())
        elif isinstance(value, (tuple, list)):
            total.update(digest(*value).encode())
        elif isinstance(value, torch.nn.Module):
            total.update(digest(*value.parameters()).encode())
        else:
            value = np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else value
            total.update(pickle.dumps(value))
    return total.hexdigest()


def networks():
    return [
        MLP((10, 10, 8, 1)).build(3),
        MLP((10, 6, 8, 1), "trained", "sigmoid").build(4),
        CNN(channels=(2, 3), hidden=4).build(5),
    ]


def points():
    draws = [task.sample(stream(7, "data")) for task in (Sinusoid(), TwoClusters(), CorruptedImages(train=8, test=4))]
    return [*draws, Sinusoid().plane(stream(7, "data")), Sinusoid().fresh(stream(7, "data"), stream(7, "fresh"), 5)]


def trained(engine):
    return [bthcheck.run(one, engine=engine, progress=False, threads=1) for one in (TINY, IMAGES)]


def own():
    return [bthcheck.run(OWN, engine=engine, progress=False, threads=1) for engine in ("reference", "stacked")]


def traced(engine):
    traces = [bthcheck.trace(one, one.levels[0], 0, steps=7, engine=engine) for one in (TINY, IMAGES)]
    return [trace.drop_vars("first_weight") for trace in traces]  # an identity


def weights():
    runs = bthcheck.run(TINY, progress=False, threads=1)
    found = [runs.bthcheck.weights(1.0, 0), runs.bthcheck.experiment.to_json(), published.distance_from_first_step(runs)]
    stops = stopping.peak(stopping.bias_gradient_sum(runs), 2, 2)
    return [*found, rivals.measures(runs, 0.2, draws=2), stops, stopping.regret(runs.test_loss, stops)]


def constants():
    found = []
    for network in networks()[:2]:
        x = Run(TINY, 1.0, 0).data().x_train.float()
        found += [lipschitz.local_lipschitz(network, x), lipschitz.first_layer_gradients(network, x)]
        found += [jacobians.local_constants(network, x), jacobians.local_constants(network.first, x)]
        found += [lipschitz.product_bound(network), lipschitz.product_tolerance(network), lipschitz.gamma([x])]
        found += [lipschitz.rounding_tolerance(network, x), lipschitz.active_sigma_min(network, x)]
    return found


def planes():
    run = Run(REGIONS, 0.5, 0)
    axis = np.linspace(-1, 1, 12)
    plane = REGIONS.task.plane(stream(0, "data"))
    network = run.network()
    x_train, _, x_test, _ = run.data()
    found = regions.plane_regions(network, x_train[:30], plane, u=axis, v=axis)
    unchecked = published.unchecked(network.double(), x_train[:30], x_test[:5], 2)
    return [found, regions.plane_grid(network, plane, u=axis, v=axis), unchecked]


def theorems():
    run = Run(THEOREM_3, 0.5, 0)
    x, y, *_ = run.data()
    network = run.network()
    steady = dropout.watch(network, x, y, run.order()[0], 0.01, run.kept()[0])
    epoch = assumption.epoch_after(network, x, y, run.order()[0], 0.01)
    trace = bthcheck.trace(TINY, 0.25, 0, steps=50)
    chains = [trajectory.variance_chain(trace, 3), trajectory.distance_chain(trace), trajectory.deviation_scores(trace)]
    return [steady, epoch, dropout.bound(steady, x), dropout.error(steady.network, x, y), dropout.counterexample(4), chains]


def findings():
    table = xr.DataArray(
        np.random.default_rng(0).normal(size=(10, 4)) + 1e-300, {"seed": range(10), "level": range(4)}, ("seed", "level")
    )
    losses = xr.DataArray(np.full((2, 3, 4), 1e-310), dims=("level", "seed", "epoch"))
    losses = losses.assign_coords(level=[0, 1], seed=[0, 1, 2], epoch=[1, 2, 3, 4])
    found = [trend(table, "level"), inequality([0.0, 1e-310], [0.0, 1.0], 0, quantity="q")]
    found += [fitted(losses, 1.0, quantity="q"), dispersion(table.values.ravel(), quantity="q")]
    found += [distinguishable(table), non_inferiority(table, -table, table), sign_errors(-table, table, 100)]
    search = falsify(
        examples(), lambda e: Comparison(lipschitz.local_lipschitz(*e), np.full(len(e.x), 1e300), np.zeros(len(e.x))), 20
    )
    return [found, search.smaller, covering.cover_box((1.0, 2.0), 0.1), covering.cover_points(table.values, 0.5)]


def attacked():
    """Both sides of cases of every kind."""
    layers = [{"weight": [[1.0, 0.1], [0.3, 2.0], [1.0, 1.0]], "bias": [0.0, 1.0, 0.5]},
              {"weight": [[1.0, -1.0, 2.0]], "bias": [0.5]}]  # fmt: skip
    network = {"layers": layers, "output": "sigmoid", "x": [[1.0, 2.0], [0.1, 0.7]]}
    history = {**network, "kind": "history", "y": [1.0, 0.0], "visits": [0, 1, 1], "rates": [0.1, 0.2, 0.1]}
    cases = {"X1": {**network, "kind": "network", "kept": [[1, 0, 1], [0, 1, 1]]}, "X5": history, "X6": history, "X4": history,
             "X2-repair": {**network, "kind": "network"}, "X8": {**network, "kind": "network"},
             "E10": {"kind": "path", "points": [[0.1], [3.0], [0.2]]}}  # fmt: skip
    return [repr(store.replayed(ATTACKS[id], case)) for id, case in cases.items()]


BATTERY = {
    "networks": networks, "points": points, "weights": weights, "constants": constants, "planes": planes, "theorems": theorems,
    "findings": findings, "own": own, "attacked": attacked,
    **{f"run, {engine}": lambda engine=engine: trained(engine) for engine in ("fused", "reference", "stacked")},
    **{f"trace, {engine}": lambda engine=engine: traced(engine) for engine in ("fused", "reference")},
}  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    """What the battery gives in a state that nobody has changed, each when it is first asked for."""
    found = {}

    def of(name):
        if name not in found:
            found[name] = digest(BATTERY[name]())
        return found[name]

    return of


@pytest.mark.parametrize("state", HOSTILE)
@pytest.mark.parametrize("name", BATTERY)
def test_the_same_bits_in_any_state(name, state, plain):
    expected = plain(name)
    with HOSTILE[state]():
        inside = state_of_the_process()
        got = BATTERY[name]()
        assert state_of_the_process() == inside  # the program's own state is as it was
    assert digest(got) == expected


def state_of_the_process():
    flags = [
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
    ]
    return [setting.read() for setting in settings()], flags, torch.get_default_device(), np.geterr()


def test_a_run_stored_in_another_state_is_the_run(tmp_path):
    """float64 as the default type once drew other weights, and a later session read them from the cache."""
    with HOSTILE["float64"]():
        stored = bthcheck.run(TINY, cache=tmp_path, progress=False)
    xr.testing.assert_identical(bthcheck.run(TINY, cache=tmp_path, progress=False), stored)
    xr.testing.assert_identical(bthcheck.run(TINY, progress=False), stored)


def test_points_made_in_inference_mode_are_points():
    network = networks()[0]
    with torch.inference_mode():
        x = torch.ones(3, 10)
    torch.testing.assert_close(lipschitz.local_lipschitz(network, x), lipschitz.local_lipschitz(network, torch.ones(3, 10)))
    torch.testing.assert_close(
        lipschitz.first_layer_gradients(network, x), lipschitz.first_layer_gradients(network, torch.ones(3, 10))
    )


FLOORS = (
    "geometry.lipschitz", "geometry.jacobians", "geometry.covering", "geometry.float64", "geometry.regions.bounds",
    "geometry.regions.plane",
    "theory.assumption", "theory.capacity", "theory.dropout", "theory.rivals", "theory.sharpness", "theory.stopping",
    "theory.trajectory",
    "theory.published.batches", "theory.published.programs", "theory.published.repeats", "theory.published.steps",
    "training.reference", "training.engines", "training.fused.engine", "training.stacked.engine", "training.stacked.whole",
    "training.fingerprints", "training.remote", "training.trial", "training.views",
    "evidence.trends", "evidence.inequalities", "evidence.conditions", "evidence.probabilities", "evidence.agreement",
    "evidence.beginning", "evidence.exchange", "evidence.measures", "evidence.noninferiority", "evidence.ranking",
    "evidence.shifts",
)  # fmt: skip
COMPUTE_NOTHING = {
    "check_level", "unsupported", "shape", "values_of", "counterexample", "points_of",
    "facts", "code_of", "difference", "trainer", "in_a_line",
}  # fmt: skip


@pytest.mark.parametrize("module", FLOORS)
def test_every_public_function_is_in_the_neutral_state(module):
    """Whatever is added to these modules computes there, too."""
    found = dict(inspect.getmembers(import_module(f"bthcheck.{module}"), inspect.isfunction))
    own = {name: one for name, one in found.items() if one.__module__ == f"bthcheck.{module}" and not name.startswith("_")}
    assert own
    assert {name for name, one in own.items() if not hasattr(one, "__wrapped__")} <= COMPUTE_NOTHING


def test_settings_of_the_process_are_set_back_by_the_last_to_leave():
    inside, leave, gone = threading.Event(), threading.Event(), threading.Event()

    def other():
        with neutral():
            inside.set()
            leave.wait(10)
        gone.set()

    with HOSTILE["float64"]():
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
        with contextlib.suppress(KeyError), neutral():
            assert torch.get_default_dtype() is torch.float32
            raise KeyError
        assert torch.get_default_dtype() is torch.float32  # the other is still inside
        torch.set_default_dtype(torch.float16)  # what the program sets meanwhile is what it finds again
        with neutral():
            assert torch.get_default_dtype() is torch.float32
        leave.set()
        thread.join(10)
        assert gone.is_set()
        assert torch.get_default_dtype() is torch.float16


@pytest.mark.parametrize("allow", ["old names", "new names"])
@pytest.mark.parametrize("engine", ["stacked", "reference"])
def test_no_tf32_while_training_whatever_the_program_chose(engine, allow, monkeypatch):
    backends = torch.backends
    if allow == "new names" and not hasattr(backends, "fp32_precision"):
        pytest.skip("this PyTorch has no new names")
    precision = settings()[3:]
    before = [setting.read() for setting in precision]
    seen = []
    original = Run.network

    def network(self):
        seen.append([setting.read() for setting in precision])
        return original(self)

    monkeypatch.setattr(Run, "network", network)
    try:
        if allow == "old names":
            torch.set_float32_matmul_precision("high")
        else:
            backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "tf32"
        chosen = [setting.read() for setting in precision]
        bthcheck.run(TINY.replace(levels=(0.25,), seeds=(0,), epochs=1), engine=engine, progress=False)
        assert seen[-1] == [setting.neutral for setting in precision] != chosen
        assert [setting.read() for setting in precision] == chosen
    finally:
        torch.set_float32_matmul_precision("highest")
        for setting, value in zip(precision, before, strict=True):
            setting.set(value)


@pytest.mark.parametrize(
    "rc",
    [
        {"text.usetex": True},
        {"font.size": 30, "axes.facecolor": "black"},
        {"svg.fonttype": "none", "savefig.dpi": 20, "savefig.transparent": True},
        {"axes.formatter.use_locale": True, "lines.linewidth": 9},
        {"figure.autolayout": True, "savefig.bbox": "tight"},
    ],
)
def test_a_users_matplotlibrc_changes_no_figure(rc, tmp_path, blocks):
    def draw(name):
        values = blocks(np.arange(1.0, 13).reshape(3, 4))
        figures.save(figures.violins(values, "frequency", log=True), tmp_path / f"{name}.svg")
        found = regions.plane_regions(
            MLP((2, 3, 1), "trained").build(), torch.eye(2), torch.eye(2), u=np.arange(3.0), v=np.arange(3.0)
        )
        figures.save(figures.maps(found, found.output), tmp_path / f"{name}-maps.svg")
        return [(tmp_path / f"{name}{part}.svg").read_bytes() for part in ("", "-maps")]

    plain = draw("plain")
    with matplotlib.rc_context(rc):
        assert draw("other") == plain
        assert all(matplotlib.rcParams[key] == value for key, value in rc.items())
