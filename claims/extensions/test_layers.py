"""E5: the bias of any layer, not only the first, sees the slope; and the first weight moves as far as its bias, times ‖x‖."""

from functools import partial

import numpy as np

import bthcheck
from bthcheck import claim, figures
from bthcheck.evidence.measures import below_every_layer
from bthcheck.evidence.search import Search, examples, falsify
from bthcheck.experiments import SINUSOIDS
from bthcheck.geometry.preactivations import layer_gradients
from bthcheck.networks import MLP
from bthcheck.training.runs import Run

STEPS = 300
TRAINED = MLP((10, 16, 32, 32, 1), "trained")


def search(measure, max_examples) -> Search:
    """What a search finds among generated networks."""
    return falsify(examples(), measure, max_examples)


def first_layer_moves():
    """Of every step but the last of a training: ‖ΔW₁‖ and α ε φ ‖x‖, and what rounding adds to their difference."""
    experiment = SINUSOIDS.replace(network=TRAINED, dtype="float64", epochs=4, learning_rate=0.01)
    trace = bthcheck.trace(experiment, level=0.5, seed=0, steps=STEPS)
    run = Run(experiment, 0.5, 0)
    x = np.linalg.norm(run.data().x_train.numpy(), axis=1)[run.order().ravel()[:STEPS]]
    weight = trace.first_weight.values
    moved = np.linalg.norm(np.diff(weight, axis=0), axis=(1, 2))
    said = (trace.learning_rate * trace.epsilon * trace.phi).values * x
    rounding = 4 * np.finfo(float).eps * np.linalg.norm(weight, axis=(1, 2)) + 200 * np.finfo(float).eps * said
    return moved, said[:-1], rounding[:-1]


def slopes_behind_layers(runs):
    """Mean of φ_l over the training points at the end of training, (frequency, seed, hidden layer)."""
    experiment = runs.bthcheck.experiment

    def means(level, seed):
        network, x = runs.bthcheck.weights(level, seed), Run(experiment, level, seed).data().x_train
        return [float(gradient.norm(dim=1).mean()) for gradient in layer_gradients(network.double(), x)[:-1]]

    return np.array([[means(level, seed) for seed in experiment.seeds] for level in experiment.levels])


@claim(
    "E5-weight",
    kind="exact",
    family="extensions",
    source="Section 4 of the paper, of W₁ (open there)",
    statement="A step moves the first weight as far as the first bias times the norm of the point: ‖ΔW₁‖ = α ε φ ‖x‖",
    scope="batch size 1, plain SGD, W₁ trained; MLP 10-16-32-32-1 in float64, first 299 steps at α = 0.01",
)
def test_weight_moves_with_the_bias(evidence, kept):
    moved, said, rounding = kept(first_layer_moves)
    evidence.at_most(moved, said, rounding, quantity="‖ΔW₁‖ ≤ α ε φ ‖x‖")
    evidence.at_most(said, moved, rounding, quantity="α ε φ ‖x‖ ≤ ‖ΔW₁‖")


@claim(
    "E5-layers",
    kind="exact",
    family="extensions",
    source="Lemma 1 for deeper biases (not in the paper)",
    statement="The local Lipschitz constant is at most φ_l Π‖W_k‖ over k ≤ l, with φ_l of the bias of any layer l",
    scope="fully connected ReLU networks, batch size 1",
)
def test_every_bias_bounds_the_slope(evidence, kept, max_examples):
    found = kept(search, below_every_layer, max_examples)
    evidence.withstands(found, "λ ≤ φ_l Π‖W_k‖ for every l in generated networks")
    steep = found.smaller > 0
    evidence.figure(
        partial(figures.looseness, {"any layer": found.larger[steep] / found.smaller[steep]}, xlabel="φ_l Π‖W_k‖ / λ"),
        "How loose the bound is in generated networks, all layers together.",
    )


@claim(
    "E5-trend",
    family="extensions",
    source="Fig. 1b for deeper biases (not in the paper)",
    statement="A higher frequency makes a longer normalised trajectory of every bias, not only of the first",
    scope="mean of φ_l over the training points after the last epoch, hidden layers 1 to 4; with W₁ = I, φ_1 is λ",
)
def test_longer_trajectory_of_every_bias(sinusoids, evidence, kept):
    table = kept(slopes_behind_layers, sinusoids)
    final = sinusoids.lipschitz_mean.isel(epoch=-1)
    for layer in range(table.shape[-1]):
        phi = final.transpose("frequency", "seed").copy(data=table[..., layer])
        evidence.increases(phi, "frequency", quantity=f"mean φ_{layer + 1} at the training points")
    deepest = final.transpose("frequency", "seed").copy(data=table[..., -1])
    evidence.figure(
        partial(figures.violins, deepest, "frequency", ylabel=f"mean φ_{table.shape[-1]} over X"),
        "The slope behind the last hidden layer's bias: every seed is a line.",
    )
