"""What a reading says of every fact, and that the inequalities it names hold in trainings that it names them for."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.tests.watching import situations
from bthcheck.watching.probing import Probe
from bthcheck.watching.reading import QUANTITIES, SCOPES, reading
from bthcheck.watching.situation import Situation

BEST = Situation("first", "linear", inputs=10, neurons=10, probed=5)


def changed(**facts):
    return reading(dataclasses.replace(BEST, **facts))


def test_the_papers_setting_is_that_of_the_theory():
    best = reading(BEST)
    assert {one.quantity: one.scope for one in best.statements} == dict.fromkeys(QUANTITIES, "theory")
    assert "σ_min · φ ≤ λ(x) ≤ σ_1 · the same (Lemma 1)" in str(best.of("phi"))
    assert "Corollaries 2 and 3" in str(best.of("bias"))
    assert "λ(x) = φ: W_1 = I" in str(changed(kind="identity").of("phi"))
    assert "wider than its input (12 > 10)" in str(changed(neurons=12).of("phi"))


# fact → quantity → scope; "theory" where it changes nothing
EFFECTS = {
    "batch": ({"samples": 32}, {"phi": "one-sided", "bias": "descriptive"}),
    "accumulation": ({"passes": 2}, {"phi": "one-sided", "bias": "descriptive"}),
    "processes": ({"processes": 4, "clipped": None}, {"phi": "one-sided", "bias": "descriptive"}),
    "momentum": ({"plain": False}, {"bias": "descriptive"}),
    "Adam": ({"plain": False, "optimizer": "Adam"}, {"bias": "descriptive"}),
    "decay": ({"decay": 0.1}, {"bias": "descriptive"}),
    "clipping": ({"clipped": True}, {"bias": "descriptive"}),
    "scheduler": ({"rate_changed": True}, {"bias": "descriptive"}),
    "no bias": ({"bias": "none"}, {"phi": "descriptive", "bias": "nothing"}),
    "frozen bias": ({"bias": "frozen"}, {"bias": "nothing"}),
    "bias left out": ({"bias": "left out"}, {"bias": "nothing"}),
    "frozen weights": ({"weights_trained": False}, {}),
    "BatchNorm behind": (
        {"behind": frozenset({"batch normalisation"})},
        {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "BatchNorm before": (
        {"before": frozenset({"batch normalisation"})},
        {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "LayerNorm behind": ({"behind": frozenset({"normalisation"})}, {}),
    "LayerNorm before": (
        {"before": frozenset({"normalisation"})},
        {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "convolution": ({"kind": "convolution"}, {"phi": "one-sided", "gradient_norm": "one-sided", "bias": "descriptive"}),
    "shared": ({"shared": True}, {"phi": "one-sided", "bias": "descriptive"}),
    "embedding": ({"kind": "embedding"}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"}),
    "behind an embedding": (
        {"before": frozenset({"embedding"})}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "outputs": ({"outputs": 10}, {"phi": "one-sided", "gradient_norm": "one-sided", "bias": "descriptive"}),
    "outputs of a wide layer": (
        {"outputs": 10, "neurons": 12}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "outputs of a convolution": (
        {"outputs": 10, "kind": "convolution", "inputs": None, "neurons": None},
        {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"},
    ),
    "another layer": (
        {"kind": "other", "inputs": None}, {"phi": "one-sided", "gradient_norm": "one-sided", "bias": "descriptive"},
    ),
    "probability": ({"probability": True}, {}),
    "Dropout": ({"dropout": True}, {}),
    "attention": ({"attention": True}, {}),
    "autocast": ({"autocast": True}, {}),
    "way around": ({"around": True}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"}),
    "not the input": ({"direct": False}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"}),
    "last": ({"last": True}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"}),
    "calls": ({"calls": 3}, {"phi": "descriptive", "gradient_norm": "descriptive", "bias": "descriptive"}),
    "compiled": ({"compiled": True}, {"gradient_norm": "nothing"}),
    "unmatched": ({"unmatched": 3}, {"gradient_norm": "nothing"}),
    "no probe": ({"probed": 0}, {"lipschitz": "nothing"}),
    "nothing seen": ({"samples": 0}, {"phi": "nothing", "gradient_norm": "nothing", "bias": "nothing"}),
}  # fmt: skip


@pytest.mark.parametrize("name", EFFECTS)
def test_every_fact_has_its_effect_and_no_other(name):
    facts, scopes = EFFECTS[name]
    found = changed(**facts)
    assert {one.quantity: one.scope for one in found.statements} == dict.fromkeys(QUANTITIES, "theory") | scopes
    assert set(facts) <= {field.name for field in dataclasses.fields(Situation)}
    if not scopes:  # then there is something to say of it
        assert set(found.notes) - set(reading(BEST).notes) or str(found) != str(reading(BEST))
    for one in found.statements:
        assert all(reason.endswith(".") for reason in one.reasons), one


def test_the_worst_fact_decides_and_all_are_named():
    behind = frozenset({"batch normalisation"})
    found = changed(samples=8, outputs=10, behind=behind, kind="convolution", inputs=None, optimizer="Adam", plain=False)
    phi = found.of("phi")
    assert phi.scope == "descriptive"
    for words in ("BatchNorm behind", "10 outputs", "batches of up to 8", "on neither side"):
        assert words in str(phi)
    assert SCOPES.index(found.of("bias").scope) == SCOPES.index("descriptive")
    assert "**phi** (descriptive)" in found._repr_markdown_()
    assert str(found).count("\n") == len(found.statements) + len(found.notes) - 1


def watched(make, size=1, probability=False):
    """Train in float64, and return records, the reading, and λ and σ of W_1 before every step, over the samples of the step."""
    torch.manual_seed(2)
    model = make().double()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    constants, sigmas = [], []
    with bthcheck.watch(model, optimizer) as w:
        for x, y in situations.batches(30, size, torch.float64):
            w._recorder.paused = True
            constants.append(Probe(x).constants(model, None).numpy())
            layer = next(module for module in model if kind(module))
            if isinstance(layer, nn.Conv2d):  # as the matrix it is
                columns = torch.eye(12, dtype=torch.float64).unflatten(1, (3, 2, 2))
                matrix = nn.functional.conv2d(columns, layer.weight, padding=layer.padding).flatten(1).T.detach()
            else:
                matrix = layer.weight.detach()
            sigmas.append(torch.linalg.svdvals(matrix).numpy())
            w._recorder.paused = False
            optimizer.zero_grad()
            f = model(x)
            loss = nn.functional.cross_entropy(f, y) if f.shape[1] > 1 else (f[:, 0] - y).square().mean()
            loss.backward()
            optimizer.step()
    return w.dataset(), w.reading(), np.array(constants), np.array(sigmas)


def kind(module):
    return isinstance(module, (nn.Linear, nn.Conv2d))


def scalar(width, *between):
    return lambda: nn.Sequential(nn.Linear(12, width), *between, nn.GELU(), nn.Linear(width, 1))


@pytest.mark.parametrize("width", [6, 12, 20])
def test_where_it_says_theory_lemma_1_holds_at_every_step(width):
    records, said, constants, sigmas = watched(scalar(width, nn.LayerNorm(width)))
    assert said.of("phi").scope == said.of("gradient_norm").scope == "theory"
    phi = records.phi.values
    assert (constants[:, 0] <= sigmas[:, 0] * phi * (1 + 1e-12)).all()
    if width <= 12:
        assert (sigmas[:, -1] * phi <= constants[:, 0] * (1 + 1e-12)).all()
        assert "σ_min" in str(said.of("phi"))
    else:
        assert "σ_min" not in str(said.of("phi"))


def test_a_wide_layer_bounds_nothing_from_below():
    """φ is the norm of the second weight, which lies where the transpose of the first is zero: f is constant."""
    first, second = nn.Linear(3, 5).double(), nn.Linear(5, 1).double()
    with torch.no_grad():
        second.weight.copy_(torch.linalg.svd(first.weight)[0][:, -1:].T)
    model = nn.Sequential(first, second)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    x = torch.randn(1, 3, dtype=torch.float64)
    with bthcheck.watch(model, optimizer, probe=x, probe_every=1) as w:
        model(x).square().sum().backward()
        optimizer.step()
    assert float(w.dataset().phi[0]) == pytest.approx(1)
    assert float(w.dataset().lipschitz_max[0]) < 1e-15
    assert "from below it bounds nothing" in str(w.reading().of("phi"))


def test_where_it_says_one_sided_that_side_holds_and_the_other_does_not():
    records, said, constants, sigmas = watched(scalar(12), size=8)
    assert said.of("phi").scope == "one-sided"
    assert said.of("gradient_norm").scope == "theory"
    assert (records.phi <= records.gradient_norm_max * (1 + 1e-12)).all()
    assert (constants.max(1) <= sigmas[:, 0] * records.gradient_norm_max.values * (1 + 1e-12)).all()
    assert (sigmas[:, 0] * records.phi.values < constants.max(1)).any()
    # Several outputs: from below only.
    records, said, constants, sigmas = watched(lambda: nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 4)))
    assert said.of("gradient_norm").scope == "one-sided"
    assert (sigmas[:, -1] * records.gradient_norm_mean.values <= constants[:, 0] * (1 + 1e-12)).all()
    assert (sigmas[:, 0] * records.gradient_norm_mean.values < constants[:, 0]).any()


def test_a_convolution_is_bounded_by_the_norm_of_its_matrix():
    def make():
        return nn.Sequential(
            nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 5, 2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(45, 1)
        )

    records, said, constants, sigmas = watched(make)
    assert said.of("gradient_norm").scope == "one-sided"
    assert (constants[:, 0] <= sigmas[:, 0] * records.gradient_norm_mean.values * (1 + 1e-12)).all()
    assert (records.phi <= np.sqrt(9) * records.gradient_norm_max * (1 + 1e-12)).all()  # nine positions
    kernel = torch.linalg.matrix_norm(make()[1].weight.detach().flatten(1), ord=2)
    assert sigmas[0, 0] != pytest.approx(float(kernel), rel=0.01)  # which is something else
