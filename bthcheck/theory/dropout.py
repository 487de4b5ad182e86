"""Theorem 3: what steady training with Dropout says of the whole function a classifier has learned, and of its errors.

Let a network with a sigmoid output be trained with the cross-entropy and 1/2-Dropout. Over the steps t ≥ τ let

    φ       be the largest ‖Δb_1‖/(α ε), so that training is (τ, φ)-steady (Definition 1),
    β, μ    bound σ_1(W_1) ≤ β and μ ≤ f(x) ≤ 1 − μ at the points that are visited,
    γ       be the smallest with λ_t(x) ≤ (1 + γ) λ_t'(x) at every training point, while patterns stay put (Assumption 1),
    p_min   the smallest share of the training points at which a hidden neuron is on, before Dropout.

If s(x) ≤ Σ_i s(x_i) everywhere, entry by entry, then with c = (1 + γ) β (1 + o(1)) / (μ (1 − μ) p_min) the theorem approximates
the Lipschitz constant of f by λ_steady = (φ c / 4) log Σ n_l, and with r = min_i |1 − 2 f(x_i)| / (c φ log Σ n_l)

    |empirical − expected error| ≤ sqrt((4 log 2 · N(X; ℓ_2, r) + 2 log(1/δ)) / N)      with probability 1 − δ − o(1),

where N(X; ℓ_2, r) balls of radius r cover the data and N is the number of training points. The o(1) terms are not known and
are left out here. Everything is computed in float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import positive_int
from bthcheck.geometry.float64 import float64_copy, in_float64
from bthcheck.geometry.regions import activation_patterns, hidden_widths, kronecker, unpacked
from bthcheck.geometry.regions.patterns import chunks
from bthcheck.networks import MLP
from bthcheck.training import fused
from bthcheck.training.runs import load_parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bthcheck.networks import Network
else:
    torch = faces.Later("torch")


class Steady(NamedTuple):
    """What Theorem 3 asks of the steps t ≥ τ.

    network : after them, float64
    phi : φ, the largest normalised bias update
    beta : β, the largest σ_1(W_1)
    mu : μ, the smallest of f(x_t) and 1 − f(x_t) at the visited points
    gamma : γ, the largest relative change of λ at a training point; infinite if one was 0 at times
    changed : (m,) bool, at which training points the activation pattern was not always the same
    """

    network: Network
    phi: float
    beta: float
    mu: float
    gamma: float
    changed: np.ndarray


class Bound(NamedTuple):
    """Theorem 3 at the end of the steps that were watched, with o(1) = 0.

    c : (1 + γ) β / (μ (1 − μ) p_min); infinite where μ or p_min is 0
    p_min : over the neurons that are on at some training point
    neurons : how many these are: Σ n_l without those that are never on
    never : hidden neurons that are on at no training point
    margin : min_i |1 − 2 f(x_i)|
    lipschitz : λ_steady, which is to bound λ
    radius : r(X)
    """

    c: float
    p_min: float
    neurons: int
    never: int
    margin: float
    lipschitz: float
    radius: float


@neutral()
def watch(
    network: Network, x: Tensor, y: Tensor, visits: np.ndarray, rate: float, kept: np.ndarray, loss_factor: float = 1.0
) -> Steady:
    """Train a copy of a network on with Dropout, one point a step, and measure what Theorem 3 asks of these steps.

    Parameters
    ----------
    network : fully connected with a sigmoid output, as trained up to τ; it stays as it is
    x, y : (m, n) training points and (m,) labels
    visits : (T,) which point each step visits
    rate : the learning rate α
    kept : (T, bytes) which hidden neurons each step keeps, packed as by `bthcheck.training.streams.kept_neurons`
    loss_factor : what the loss is multiplied with, as in `Training`

    Raises
    ------
    ValueError
        If the network is not fully connected or has no sigmoid, or there is no step.
    """
    _check_classifier(network)
    if not len(visits):
        raise ValueError("there must be at least one step to watch, got none")
    network = float64_copy(network)
    seen = fused.watch(network, x.double().numpy(), y.double().numpy(), visits, kept, rate, loss_factor)
    lowest, highest = seen["lowest"], seen["highest"]
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = float(np.where(highest == lowest, 0.0, highest / lowest - 1).max())
    frozen = network.layers()[0][0] is None
    beta = 1.0 if frozen else float(np.linalg.norm(seen["first_weight"], ord=2, axis=(1, 2)).max())
    confident = float(np.abs(seen["logit"]).max())
    return Steady(network, float(seen["phi"].max()), beta, 1 / (1 + math.exp(min(confident, 700))), gamma, seen["changed"])


@neutral()
def activity(network: Network, x: Tensor) -> np.ndarray:
    """Return the share of points x (m, n) at which each hidden neuron is on, (Σ n_l,), in the order of the layers."""
    return np.concatenate([on.mean(axis=0) for on in unpacked(activation_patterns(network, x), hidden_widths(network))])


@neutral()
def bound(steady: Steady, x_train: Tensor) -> Bound:
    """Evaluate Theorem 3 from what was watched.

    A neuron that is on at no training point makes the printed p_min 0 and the bound infinite. The paper says that it can be
    taken out without harm, which is right wherever s(x) ≤ Σ s(x_i): such neurons count neither in p_min nor in Σ n_l here.

    Raises
    ------
    ValueError
        If the network is not a fully connected classifier.
    """
    network, x_train = steady.network, x_train.double()
    _check_classifier(network)
    shares = activity(network, x_train)
    on = shares[shares > 0]
    p_min = float(on.min()) if len(on) else 0.0
    divisor = steady.mu * (1 - steady.mu) * p_min
    c = (1 + steady.gamma) * steady.beta / divisor if divisor else math.inf
    logarithm = math.log(len(on)) if len(on) else 0.0
    margin = float(np.tanh(np.abs(_logits(network, x_train)) / 2).min())  # |1 − 2σ(s)|
    scale = steady.phi * c * logarithm if steady.phi and logarithm else 0.0  # a flat network, whatever c is
    radius = margin / scale if scale else math.inf
    return Bound(c, p_min, len(on), len(shares) - len(on), margin, scale / 4, radius)


@neutral()
def covered(network: Network, x_train: Tensor, patterns: np.ndarray) -> np.ndarray:
    """Return where the condition of Theorem 3 holds, s(x) ≤ Σ_i s(x_i) entry by entry, for r activation patterns: (r,) bool.

    In words: every combination of neurons, one a layer, that is on at x is on at some training point. Note that every neuron
    on its own being on somewhere is not enough.

    Parameters
    ----------
    x_train : (m, n) training points
    patterns : (r, bytes) of `bthcheck.geometry.regions.activation_patterns`

    Raises
    ------
    ValueError
        If the network is not fully connected or s has too many entries; see `bthcheck.geometry.regions.kronecker`.
    """
    widths = hidden_widths(network)
    network, x_train = in_float64(network), x_train.double()
    known = np.unique(activation_patterns(network, x_train), axis=0)
    missing = ~kronecker(known, widths).any(axis=0)
    held = np.zeros(len(patterns), bool)
    for part in chunks(np.arange(len(patterns)), math.prod(widths)):
        held[part] = ~kronecker(patterns[part], widths)[:, missing].any(axis=1)
    return held


@neutral()
def error_bound(balls: float, points: int, delta: float = 0.05) -> float:
    """Return sqrt((4 log 2 · N(X; ℓ_2, r) + 2 log(1/δ)) / N), which bounds |empirical − expected error|; vacuous from 1 on.

    Parameters
    ----------
    balls : N(X; ℓ_2, r), or a bound on it
    points : N, the number of training points
    delta : δ, the probability of being wrong

    Raises
    ------
    ValueError
        If there is no ball or point, or δ is not between 0 and 1.
    """
    if not balls >= 1:
        raise ValueError(f"balls must be at least 1, got {balls!r}")
    if not 0 < delta < 1:
        raise ValueError(f"delta must be between 0 and 1, got {delta!r}")
    return math.sqrt((4 * math.log(2) * balls + 2 * math.log(1 / delta)) / positive_int("points", points))


@neutral()
def error(network: Network, x: Tensor, y: Tensor) -> float:
    """Return the share of points x (m, n) whose label y (m,) is not 1[f(x) > 1/2]."""
    return float(((_logits(network, x) > 0) != (y.numpy() > 0.5)).mean())


class Counterexample(NamedTuple):
    """A network, 2k training points (2k, k) with labels (2k,), and a query (1, k) where λ exceeds λ_steady."""

    network: Network
    x_train: Tensor
    y_train: Tensor
    query: Tensor


@neutral()
def counterexample(k: int, slope: float = 0.01) -> Counterexample:
    """Return a network with two hidden layers that satisfies the conditions of Theorem 3 and exceeds its λ_steady for large k.

    W_1 = I and b_1 is a hair below 0, so that no neuron sits on its edge. The second layer is one neuron relu(1 − Σ h_i / k),
    whose weight in the output is `slope`. Half of the training points are one-hot, half have all entries 2. At a one-hot point
    one neuron of the first layer and the neuron of the second are on, so that ‖g‖ is about slope/4k; at the others all of the
    first are on and that of the second is off. Every neuron is on at half of the points, and every pair at some point. At the
    query, (1/2, …, 1/2), all are on at once and λ is about slope/4√k: √k times as steep, where λ_steady grows by log(k + 1).

    Raises
    ------
    ValueError
        If k is below 2.
    """
    if positive_int("k", k) < 2:
        raise ValueError(f"k must be at least 2, got {k}")
    network = MLP((k, k, 1, 1), output="sigmoid").build().double()
    load_parameters(network, np.concatenate([np.full(k, -0.001), np.full(k, -1 / k), [1.0, slope, 0.0]]))
    x_train = torch.cat([torch.eye(k, dtype=torch.float64), torch.full((k, k), 2.0, dtype=torch.float64)])
    y_train = (torch.arange(2 * k) % 2).double()
    return Counterexample(network, x_train, y_train, torch.full((1, k), 0.5, dtype=torch.float64))


def _check_classifier(network: Network) -> None:
    if not network.sigmoid:
        raise ValueError("Theorem 3 is about classifiers: the network must have output='sigmoid', got 'identity'")
    hidden_widths(network)


def _logits(network: Network, x: Tensor) -> np.ndarray:
    with torch.no_grad():
        return network.logit(network.first(x)).double().numpy()
