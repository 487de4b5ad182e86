"""What the claims beyond the paper train: networks with other activations and normalisations, and the settings they vary.

The paper's sinusoids in minibatches of 32 at 32 times the learning rate, which T8 finds to keep the ordering of T1, with five
of the seeds, are what optimizers are varied on, and whole batches what activations are, which the fused engine does not train.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive_int
from bthcheck.experiments.definition import Experiment
from bthcheck.experiments.paper import SINUSOIDS
from bthcheck.experiments.training import Training
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages

if TYPE_CHECKING:
    from bthcheck.networks import Network

ACTIVATIONS = ("relu", "gelu", "leaky_relu", "tanh")
NORMALISATIONS = ("none", "batch", "layer")


@dataclass(frozen=True)
class ActivatedMLP:
    """A fully connected network with one linear output, any activation, and perhaps a normalisation behind its first layer.

    Parameters
    ----------
    widths : (n, n_1, …, n_{d−1}, 1), as for `bthcheck.networks.MLP`
    activation : of every hidden layer, "relu", "gelu" (exact), "leaky_relu" (slope 0.01 below 0) or "tanh"
    normalisation : right behind the first affine layer, before its activation: "none", "batch" for BatchNorm or "layer" for
        LayerNorm, both as PyTorch has them by default

    Raises
    ------
    ValueError
        If a width is not positive, there is no hidden layer, the output is not 1 wide, or a word is not among those above.
    """

    widths: tuple[int, ...] = (10, 10, 32, 32, 32, 1)
    activation: str = "relu"
    normalisation: str = "none"
    output: str = "identity"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(positive_int("each width", width) for width in self.widths))
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("normalisation", self.normalisation, NORMALISATIONS)
        one_of("output", self.output, ("identity",))
        if len(self.widths) < 3 or self.widths[-1] != 1:
            raise ValueError(f"widths must be an input, at least one hidden width and a last width of 1, got {self.widths}")

    @property
    def inputs(self) -> int:
        """The input dimension n."""
        return self.widths[0]

    @neutral()
    def build(self, seed: int = 0) -> "Network":
        """Return a float32 network, split behind its first layer, with PyTorch's default initialisation, drawn from `seed`."""
        import torch
        from torch import nn

        from bthcheck.modules import Linear, Network

        generator = torch.Generator().manual_seed(seed)
        kinds: dict[str, Callable[[], nn.Module]] = {
            "relu": nn.ReLU, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh
        }  # fmt: skip
        norms: dict[str, list[Any]] = {"none": [], "batch": [nn.BatchNorm1d], "layer": [nn.LayerNorm]}
        first = Linear(self.widths[0], self.widths[1], generator)
        rest: list[nn.Module] = [kind(self.widths[1]) for kind in norms[self.normalisation]]
        for inputs, outputs in pairwise(self.widths[1:]):
            rest += [kinds[self.activation](), Linear(inputs, outputs, generator)]
        return Network(first, nn.Sequential(*rest), sigmoid=False)


_BATCHES = SINUSOIDS.replace(
    name="sinusoids in batches", batch_size=32, learning_rate=0.032, seeds=range(5), lipschitz_every=100, test_every=100
)

MOMENTUM = _BATCHES.replace(name="sinusoids with momentum", momentum=0.9, learning_rate=0.0032, epochs=2600)
"""The sinusoids in minibatches under heavy-ball momentum 0.9, at a tenth of the rate: the same step where gradients agree."""

ADAM = _BATCHES.replace(name="sinusoids with Adam", optimizer="adam", learning_rate=0.001, epochs=1000)
"""The sinusoids in minibatches under Adam, at its default rate."""

SMOOTH = {
    kind: SINUSOIDS.replace(
        name=f"sinusoids with {kind}", network=ActivatedMLP(activation=kind), levels=(0.125, 0.25, 0.375),
        batch_size=100, learning_rate=0.2, epochs=600, seeds=range(5), lipschitz_every=100, test_every=100,
    )
    for kind in ("gelu", "leaky_relu", "tanh")
}  # fmt: skip
"""Activation → sinusoids in whole batches with it in the place of ReLU, and a trained first layer.

With tanh 0.5 is not fit by every seed within 2000 epochs, nor 0.75 within 3000.
"""

LEARNING_RATES = SINUSOIDS.replace(
    name="learning rates", task=SINUSOIDS.at(0.5).task, vary="learning_rate", levels=(0.0005, 0.001, 0.002, 0.004), epochs=2400,
    lipschitz_every=100, test_every=100,
)  # fmt: skip
"""One frequency, 0.5, at four learning rates."""

WIDTHS = SINUSOIDS.replace(
    name="widths",
    task=SINUSOIDS.at(0.5).task,
    vary="network",
    levels=("4", "8", "16", "32", "64", "128"),
    network={str(width): MLP((10, 10, width, width, 1)) for width in (4, 8, 16, 32, 64, 128)},
    lipschitz_every=1000,
    test_every=1000,
)
"""One frequency, 0.5, learned by networks of two hidden layers, from too narrow to fit 100 points to far wider than needed."""

SHAPES = {f"{width}-{depth}": {"width": width, "depth": depth} for width in (16, 32, 64) for depth in (1, 2, 3)}
"""Level of `RIVALS` → width and number of the hidden layers behind its first."""

RIVALS = SINUSOIDS.replace(
    name="rivals",
    task=SINUSOIDS.at(0.5).task,
    vary="network",
    levels=tuple(SHAPES),
    network={name: MLP((10, 10, *[shape["width"]] * shape["depth"], 1)) for name, shape in SHAPES.items()},
    epochs=800,
    seeds=range(12),
    lipschitz_every=800,
    test_every=800,
)
"""One sinusoid, of f = 0.5, learned by nine shapes of networks, each at every one of `RIVAL_RATES`."""

RIVAL_RATES = (0.0025, 0.005, 0.01)
"""Learning rates at which every network of `RIVALS` is trained."""

RIVALS_ON_IMAGES = {
    f"{first}-{second}": Experiment(
        name=f"rivals on images, {first}-{second} channels",
        task=CorruptedImages("mnist", ("3", "6"), train=100, test=1000),
        vary="corruption",
        levels=(0.0, 0.2, 0.4),
        network=CNN((1, 28, 28), (first, second), hidden=32),
        training=Training(epochs=60, lipschitz_every=60, test_every=60),
        seeds=tuple(range(10)),
    )
    for first, second in ((4, 8), (8, 16))
}
"""Channels → a small CNN that learns 100 handwritten digits with labels of three qualities, at each of `RATES_ON_IMAGES`."""

RATES_ON_IMAGES = (0.02, 0.04)
"""Learning rates at which every network of `RIVALS_ON_IMAGES` is trained."""
