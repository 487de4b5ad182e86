"""Cases as JSON: what is drawn comes back the same, and what is no case is refused in a sentence."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bthcheck.evidence.attacks import cases, histories, store, strategies
from bthcheck.evidence.attacks.table import ATTACKS
from bthcheck.geometry import lipschitz

NETWORK = {
    "kind": "network", "output": "identity", "x": [[1.0, 2.0]],
    "layers": [{"weight": [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], "bias": [0.0, 1.0, 0.0]},
               {"weight": [[1.0, -1.0, 2.0]], "bias": [0.5]}],
}  # fmt: skip
HISTORY = {**NETWORK, "kind": "history", "y": [1.0], "visits": [0, 0], "rates": [0.1, 0.1]}
SYMMETRIC = {"kind": "symmetric", "k": 3, "bias": -0.1, "second": [[-1.0, 1.0, 0.1]], "points": [[1.0, 0.0]], "query": 0.5,
             "steps": 2, "seed": 0}  # fmt: skip
CONTENT = {"schema": 1, "claim": "X1", "inequality": "", "smaller": 1.0, "larger": 2.0, "tolerance": 0.0, "case": NETWORK}


def without(case, name):
    return {key: value for key, value in case.items() if key != name}


def test_a_network_is_what_its_numbers_say():
    example, kept, x_train = cases.built(NETWORK)
    assert (kept, x_train) == (None, None)
    assert example.network(example.x).tolist() == [1.0 - 5.0 + 2 * 3.0 + 0.5]
    assert example.x.dtype == torch.float64
    frozen = {**NETWORK, "x": [[1.0, 2.0, 3.0]], "layers": [{"weight": None, "bias": [0.0, 0.0, 1.0]}, NETWORK["layers"][1]]}
    example, *_ = cases.built(frozen)
    assert example.network(example.x).tolist() == [1.0 - 2.0 + 8.0 + 0.5]


@pytest.mark.parametrize("id", ATTACKS)
def test_what_is_drawn_is_json_and_comes_back(id):
    one = ATTACKS[id]

    @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(st_checks()))
    @given(one.strategy())
    def check(case):
        assert case["kind"] == one.kind
        again = json.loads(json.dumps(case, allow_nan=False))
        assert again == case
        first, second = store.replayed(one, case), store.replayed(one, again)
        assert first == second

    check()


def st_checks():
    from hypothesis import HealthCheck

    return HealthCheck


@pytest.mark.parametrize("shape", ["narrow", "wide"])
def test_shapes_are_what_was_asked_for(shape):
    seen = []

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(st_checks()))
    @given(strategies.networks(shape=shape))
    def check(case):
        weight, bias = cases.layers_of(case)[0]
        n = len(bias) if weight is None else weight.shape[1]
        seen.append(len(bias) <= n if shape == "narrow" else len(bias) > n)

    check()
    assert len(seen) >= 20
    assert all(seen)


def test_networks_reach_the_edges():
    """Frozen identities, ties that are exact, dead neurons, scales that differ by many orders, masks and sigmoids."""
    seen = set()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(st_checks()))
    @given(strategies.networks(dropout=True))
    def check(case):
        layers = cases.layers_of(case)
        z = histories.forward(list(layers), np.array(case["x"]))
        hidden = np.concatenate(z[:-1], axis=1)
        sizes = [np.abs(w).max() for w, _ in layers if w is not None and w.any()]
        seen.update({
            "identity": layers[0][0] is None,
            "tied": case["drawn"] != "whole" and (hidden == 0).any(), "dead": (hidden <= 0).all(axis=0).any(),
            "scales": max(sizes) / min(sizes) > 1e6, "mask": "kept" in case, "sigmoid": case["output"] == "sigmoid",
            "deep": len(layers) > 3,
        }.items())  # fmt: skip
        assert np.abs(histories.backward(list(layers), z)[0]).max() > 0

    check()
    assert {name for name, is_so in seen if is_so} == {"identity", "tied", "dead", "scales", "mask", "sigmoid", "deep"}


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(strategies.networks(extreme=False))
def test_numpy_and_autograd_agree_on_gradients(case):
    layers = list(cases.layers_of(case))
    x = np.array(case["x"])
    z = histories.forward(layers, x)
    found = histories.output_slope(z[-1], case["output"] == "sigmoid") * histories.backward(layers, z)[0]
    example, *_ = cases.built(case)
    expected = lipschitz.first_layer_gradients(*example).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ([], "a case must be a JSON object with a kind, got []"),
        ({}, "the kind of a case must be one of 'network', .*, got None"),
        ({**NETWORK, "kind": "thing"}, "the kind of a case must be one of 'network', .*, got 'thing'"),
        ({**NETWORK, "kind": ["network"]}, "the kind of a case must be one of"),
        (without(NETWORK, "x"), "x of a case must be finite numbers of shape .any, 2., and it is missing"),
        ({**NETWORK, "x": [[1.0]]}, r"x of a case must be finite numbers of shape \(any, 2\), got shape \(1, 1\)"),
        ({**NETWORK, "x": []}, "x of a case must be finite numbers of shape"),
        ({**NETWORK, "x": [[1.0, "2"]]}, "x of a case must be finite numbers of shape"),
        ({**NETWORK, "x": [[1.0, 2.0], [1.0]]}, "got rows of different lengths"),
        ({**NETWORK, "x": [[1.0, float("nan")]]}, "got one that is not finite"),
        ({**NETWORK, "x": [[1.0, 10**400]]}, "x of a case must be finite numbers"),
        ({**NETWORK, "x": [[1.0, True]]}, "x of a case must be finite numbers"),
        ({**NETWORK, "output": "softmax"}, "output of a case must be one of 'identity', 'sigmoid', got 'softmax'"),
        ({**NETWORK, "layers": None}, "layers of a case must be at least two, each with a weight and a bias, got None"),
        ({**NETWORK, "layers": NETWORK["layers"][:1]}, "layers of a case must be at least two"),
        (
            {**NETWORK, "layers": [NETWORK["layers"][0]] * 2},
            "in layer 2, weight of a case must be finite numbers of shape .3, 3.",
        ),
        ({**NETWORK, "layers": [NETWORK["layers"][0], {"weight": [[1.0] * 3] * 2, "bias": [0.0] * 2}]}, "one output, got 2"),
        ({**NETWORK, "layers": [NETWORK["layers"][0], {"weight": None, "bias": [0.0]}]}, "in layer 2, weight of a case"),
        ({**NETWORK, "kept": [[1.0, 0.0, 2.0]]}, "kept of a case must be 0 and 1"),
        ({**NETWORK, "kept": [[1.0, 0.0]]}, "kept of a case must be finite numbers of shape .1, 3."),
        ({**HISTORY, "visits": [0, 1]}, "visits of a case must be from 0 to 0"),
        ({**HISTORY, "visits": [0, 0.5]}, "visits of a case must be finite numbers of shape .any,., all whole"),
        ({**HISTORY, "rates": [0.1, 0.0]}, "rates of a case must be above 0"),
        ({**HISTORY, "rates": [0.1]}, "rates of a case must be finite numbers of shape .2,."),
        ({**HISTORY, "output": "sigmoid", "y": [0.5]}, "y of a case with a sigmoid output must be 0 and 1"),
        ({"kind": "path", "points": [1.0]}, "points of a case must be finite numbers of shape"),
        ({"kind": "module", "widths": [2, 3, 1], "activation": "step", "normalisation": "none"}, "activation must be one of"),
        ({"kind": "module", "widths": [2, 10**9, 1]}, "widths of a case must be at most 10000"),
        (
            {"kind": "module", "widths": [2, 3, 1], "activation": "gelu", "normalisation": "none", "state": [1.0]},
            "state of a case",
        ),
        ({**SYMMETRIC, "k": 1}, "a symmetric case must have k from 2 to 512"),
        ({**SYMMETRIC, "k": 2.5}, "k of a case must be finite numbers of shape"),
        ({**SYMMETRIC, "second": [[1.0, 1.0, 1.0]] * 4}, "at most 3 second neurons"),
    ],
)
def test_what_is_no_case_is_refused(case, message):
    with pytest.raises(ValueError, match=message.replace("[]", r"\[\]")):
        cases.built(case)


def test_layers_must_fit_each_other():
    with pytest.raises(ValueError, match=r"in layer 2, weight of a case must be finite numbers of shape .1, 3."):
        cases.layers_of({**NETWORK, "layers": [NETWORK["layers"][0], {"weight": [[1.0, 2.0]], "bias": [0.0]}]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "must be JSON: "),
        ("[]", "must hold a JSON object"),
        ({**CONTENT, "schema": 2}, "must have schema 1, got 2"),
        ({**CONTENT, "schema": True}, "must have schema 1, got True"),
        ({**CONTENT, "claim": "T1"}, "the claim must be one of X1, .*, got 'T1'"),
        ({**CONTENT, "claim": ["X1"]}, "the claim must be one of X1"),
        ({**CONTENT, "smaller": None}, "smaller must be a finite number, got None"),
        (json.dumps({**CONTENT, "larger": float("inf")}), "larger must be a finite number, got inf"),
        ({**CONTENT, "case": HISTORY}, "the case of a counterexample to X1 must have kind 'network', got 'history'"),
        ({**CONTENT, "case": 3}, "must have kind 'network', got 3"),
        ({**CONTENT, "case": {**NETWORK, "x": [[1.0]]}}, "x of a case must be finite numbers"),
        ("[" * 100_000, "must be JSON"),
        (b"\xff\xfe\x00", "must be JSON, and is no text"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_a_counterexample_is_refused(content, message, tmp_path):
    path = tmp_path / "X1.json"
    text = content if isinstance(content, (str, bytes)) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as refused:
        store.read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        store.read(tmp_path / "none.json")
    (tmp_path / "large.json").write_text("{}")
    monkeypatch.setattr(store, "LARGEST_BYTES", 1)
    with pytest.raises(ValueError, match="must have at most"):
        store.read(tmp_path / "large.json")


def test_the_smallest_ratio_of_all_sessions_is_kept(tmp_path):
    def closest(ratio):
        return {"ratio": ratio, "smaller": 1.0, "larger": ratio, "case": NETWORK}

    assert store.kept(tmp_path, "X1")["closest"] is None
    store.keep(tmp_path, "X1", 2, 100, closest(1.5), None)
    store.keep(tmp_path, "X1", 3, 50, closest(1.7), None)
    found = store.kept(tmp_path, "X1")
    assert (found["seeds"], found["examples"], found["closest"]["ratio"]) == (5, 150, 1.5)
    store.keep(tmp_path, "X1", 1, 1, closest(1.25), NETWORK)
    found = store.kept(tmp_path, "X1")
    assert (found["closest"]["ratio"], found["counterexample"]) == (1.25, {"case": NETWORK})
    (row,) = store.tightness(tmp_path)
    assert (row["claim"], row["closest"]["case"]) == ("X1", NETWORK)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 1, "seeds": -1, "closest": {"case": {}}}', '{"schema": 1, "closest": 1}']
)
def test_what_is_kept_and_damaged_is_as_nothing(text, tmp_path):
    folder = tmp_path / store.FOLDER / "X1"
    folder.mkdir(parents=True)
    (folder / store.KEPT).write_text(text)
    assert store.kept(tmp_path, "X1") == {"seeds": 0, "examples": 0, "closest": None, "counterexample": None}


@settings(max_examples=5, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 3))
def test_a_counterexample_is_written_and_read(number):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        case = {**NETWORK, "x": [[0.1 + number, 1 / 3]]}
        said = store.replayed(ATTACKS["X1"], case)
        path = store.write(Path(folder), store.falsified("X1", said, case))
        id, one, again, sides = store.read(path)
        assert (id, one, again) == ("X1", ATTACKS["X1"], case)
        assert sides == {"smaller": said.smaller, "larger": said.larger, "tolerance": said.tolerance}
