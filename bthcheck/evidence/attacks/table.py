"""Which exact claim is attacked, and how: claim id → `Attack`. The one place where attacks are registered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from bthcheck.evidence import measures
from bthcheck.evidence.attacks import histories, strategies, theorem3
from bthcheck.evidence.attacks.cases import Case, Networked
from bthcheck.evidence.search import Comparison

WITHSTANDS, FALLS = "withstands", "falls"


@dataclass(frozen=True)
class Attack:
    """How a claim is attacked.

    inequality : what ought to hold
    kind : of the cases, one of `bthcheck.evidence.attacks.cases.KINDS`
    strategy : makes what cases are drawn from
    measure : of what `bthcheck.evidence.attacks.cases.built` returns, the two sides that are compared
    expected : "withstands", or "falls" for an inequality that the claim says is violated
    """

    inequality: str
    kind: str
    strategy: Callable[[], st.SearchStrategy[Case]]
    measure: Callable[[Any], Comparison]
    expected: str = WITHSTANDS


def _of_example(measure: Callable[[Any], Comparison]) -> Callable[[Networked], Comparison]:
    return lambda one: measure(one.example)


def _lemma_1(one: Networked) -> Comparison:
    if one.kept is not None:
        return measures.above_sigma_1_thinned(one.example, one.kept)
    return measures.above_sigma_1(one.example)


def _theorem_2(one: Networked) -> Comparison:
    x_train = one.example.x if one.x_train is None else one.x_train
    return measures.above_combination(one.example, x_train)


ATTACKS = {
    "X1": Attack("λ ≤ σ₁‖g‖, also under Dropout", "network", lambda: strategies.networks(dropout=True), _lemma_1),
    "X2": Attack(
        "σ_min‖g‖ ≤ λ where n_1 ≤ n", "network",
        lambda: strategies.networks(shape="narrow"), _of_example(measures.below_sigma_min),
    ),
    "X2-counterexample": Attack(
        "σ_min‖g‖ ≤ λ where n_1 > n", "network",
        lambda: strategies.networks(shape="wide", readable=True), _of_example(measures.below_sigma_min), FALLS,
    ),
    "X2-repair": Attack(
        "σ_min(active rows)·‖g‖ ≤ λ", "network", strategies.networks, _of_example(measures.below_active_sigma_min)
    ),
    "X4": Attack("λ_t(x) ≤ σ₁ max‖g‖", "history", strategies.trainings, histories.corollary_1),
    "X5": Attack("Σ(αελ/σ₁)²/4m ≤ Σ‖Δb₁‖²/4m ≤ variance", "history", strategies.trainings, histories.corollary_2),
    "X6": Attack("distance ≤ Σαε‖g‖ ≤ Σαελ/σ_min", "history", strategies.trainings, histories.corollary_3),
    "X7": Attack(
        "λ ≤ ξ Σ|k_i| λ(x_i)", "network", lambda: strategies.networks(extreme=False, training=True), _theorem_2
    ),
    "X8": Attack("λ ≤ Π‖W_l‖", "network", strategies.networks, _of_example(measures.above_product)),
    "X9-counterexample": Attack(
        "λ ≤ λ_steady from two hidden layers on", "symmetric", strategies.alike, theorem3.steady_bound, FALLS
    ),
    "E5-weight": Attack("‖ΔW₁‖ = α ε φ ‖x‖", "history", strategies.trainings, histories.weight_moves),
    "E5-layers": Attack("λ ≤ φ_l Π‖W_k‖ for every l", "network", strategies.networks, _of_example(measures.below_every_layer)),
    "E6": Attack(
        "λ ≤ σ₁‖g‖ with GELU, leaky ReLU and tanh", "module",
        lambda: strategies.modules(activations=("gelu", "leaky_relu", "tanh")), measures.above_sigma_1_of_any,
    ),
    "E7-batch": Attack(
        "‖∂L/∂b₁‖ ≤ 0 with BatchNorm", "module",
        lambda: strategies.modules(activations=("relu",), normalisation="batch"), measures.bias_gradient_of_batch,
    ),
    "E7-counterexample": Attack(
        "λ ≤ σ₁φ with BatchNorm", "module",
        lambda: strategies.modules(activations=("relu",), normalisation="batch"), measures.above_sigma_1_of_batch, FALLS,
    ),
    "E7-layer": Attack(
        "λ ≤ σ₁‖g‖ with LayerNorm", "module",
        lambda: strategies.modules(activations=("relu",), normalisation="layer"), measures.above_sigma_1_of_any,
    ),
    "E10": Attack("minimum spanning tree ≤ Σ‖Δb₁‖", "path", strategies.paths, histories.tree_of_path),
}  # fmt: skip
"""Claim id → how it is attacked. Claims that are not here, and are exact, are of trained networks and say nothing of others."""
EXPLORED = "T1"
"""The trend whose order is tried in generated experiments, without a verdict; see `bthcheck.evidence.attacks.experiments`."""


def attack_of(id: Any) -> Attack:
    """Return how a claim is attacked, or raise ``ValueError`` with one sentence."""
    if not isinstance(id, str) or id not in ATTACKS:
        raise ValueError(f"the claim must be one of {', '.join(ATTACKS)}, which are attacked, got {id!r}")
    return ATTACKS[id]
