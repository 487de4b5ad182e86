"""What is learned. A task draws its training and test points from a random stream.

The points depend on the stream alone, never on the level, so that one seed compares the same points at every level.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.checks import one_of, positive, positive_int
from bthcheck.datasets import SHAPES, SOURCES, Images, archives, check_classes, check_source, first_of_each_class, load
from bthcheck.datasets.embedded import check_subset

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = faces.Later("torch")


class Data(NamedTuple):
    """Points and targets: float32 for images, else float64.

    x_train : (m, n), y_train : (m,), x_test : (k, n), y_test : (k,)
    """

    x_train: "Tensor"
    y_train: "Tensor"
    x_test: "Tensor"
    y_test: "Tensor"


@dataclass(frozen=True)
class Sinusoid:
    """Regress ``cos(2πfu)·cos(2πfv)`` on (u, v) drawn uniformly from [−1, 1]² (section 6.1 of the paper).

    The plane is embedded in `inputs` dimensions by zero-padding and a uniformly random orthogonal matrix times `scale`.

    Parameters
    ----------
    frequency : f, in cycles per unit of u and v
    train, test : number of points
    inputs : dimension n of the embedding, at least 2
    scale : length of an embedded unit vector

    Raises
    ------
    ValueError
        If a parameter is not positive or `inputs` is below 2.
    """

    output: ClassVar[str] = "identity"
    """The output that a network for this task must have."""

    frequency: float = 0.5
    train: int = 100
    test: int = 30
    inputs: int = 10
    scale: float = 10.0

    def __post_init__(self) -> None:
        positive("frequency", self.frequency)
        positive("scale", self.scale)
        for name in ("train", "test", "inputs"):
            positive_int(name, getattr(self, name))
        if self.inputs < 2:
            raise ValueError(f"inputs must be at least 2 to hold the plane (u, v), got {self.inputs}")

    @neutral()
    def sample(self, generator: np.random.Generator) -> Data:
        """Draw the training and test points."""
        uv, frame = self._draw(generator)
        x = torch.from_numpy(uv @ frame.T)
        y = torch.from_numpy(self.target(uv))
        return Data(x[: self.train], y[: self.train], x[self.train :], y[self.train :])

    @neutral()
    def plane(self, generator: np.random.Generator) -> "Tensor":
        """Return the embedding of (u, v) that `sample` draws from this stream, (n, 2): orthogonal columns of length `scale`."""
        return torch.from_numpy(self._draw(generator)[1])

    @neutral()
    def target(self, uv: np.ndarray) -> np.ndarray:
        """Return what is to be learned at (u, v), (…, 2) to (…)."""
        return np.cos(2 * np.pi * self.frequency * uv).prod(axis=-1)

    @neutral()
    def fresh(self, generator: np.random.Generator, other: np.random.Generator, count: int) -> "tuple[Tensor, Tensor]":
        """Draw `count` more points from `other`, in the plane that `sample` draws from `generator`: (count, n), (count,)."""
        uv = other.uniform(-1.0, 1.0, (count, 2))
        return torch.from_numpy(uv) @ self.plane(generator).T, torch.from_numpy(self.target(uv))

    def _draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        uv = generator.uniform(-1.0, 1.0, (self.train + self.test, 2))
        return uv, self.scale * _random_orthogonal(self.inputs, generator)[:, :2]


@dataclass(frozen=True)
class SinusoidSign(Sinusoid):
    """Tell where the sinusoid of `Sinusoid` is positive: the squares of a chessboard of side 1/(2f), labels 0 and 1."""

    output: ClassVar[str] = "sigmoid"
    """The output that a network for this task must have."""

    @neutral()
    def target(self, uv: np.ndarray) -> np.ndarray:
        """Return the label at (u, v), (…, 2) to (…)."""
        return (super().target(uv) > 0).astype(float)


@dataclass(frozen=True)
class TwoClusters:
    """Tell two balls apart, of `radius` around centres a `distance` apart: each point uniform in one of them, by a fair coin.

    Parameters
    ----------
    distance, radius : of the centres, on a random axis through 0, and of the balls around them, which must not overlap
    train, test : number of points
    inputs : dimension n

    Raises
    ------
    ValueError
        If a parameter is not positive or the balls overlap.
    """

    output: ClassVar[str] = "sigmoid"
    """The output that a network for this task must have."""

    distance: float = 20.0
    radius: float = 0.05
    train: int = 100
    test: int = 100
    inputs: int = 2

    def __post_init__(self) -> None:
        for name in ("distance", "radius"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        for name in ("train", "test", "inputs"):
            object.__setattr__(self, name, positive_int(name, getattr(self, name)))
        if 2 * self.radius >= self.distance:
            raise ValueError(f"radius must be below half the distance {self.distance:g}, got {self.radius:g}")

    @neutral()
    def sample(self, generator: np.random.Generator) -> Data:
        """Draw the training and test points."""
        axis = self._axis(generator)
        x, y = self._draw(axis, generator, self.train + self.test)
        return Data(x[: self.train], y[: self.train], x[self.train :], y[self.train :])

    @neutral()
    def fresh(self, generator: np.random.Generator, other: np.random.Generator, count: int) -> "tuple[Tensor, Tensor]":
        """Draw `count` more points from `other`, around the centres that `sample` draws from `generator`."""
        return self._draw(self._axis(generator), other, count)

    def _axis(self, generator: np.random.Generator) -> np.ndarray:
        return _random_orthogonal(self.inputs, generator)[0]

    def _draw(self, axis: np.ndarray, generator: np.random.Generator, count: int) -> "tuple[Tensor, Tensor]":
        y = generator.integers(0, 2, count)
        ball = generator.standard_normal((count, self.inputs))
        ball *= (generator.random(count) ** (1 / self.inputs) / np.linalg.norm(ball, axis=1))[:, None]
        x = (y[:, None] - 0.5) * self.distance * axis + self.radius * ball
        return torch.from_numpy(x), torch.from_numpy(y.astype(float))


class Labels(NamedTuple):
    """The labels of the training images, all of shape (m,).

    clean : uint8, the true ones
    redrawn : bool, which were drawn anew; about half of these keep their label by chance
    used : uint8, those to train with
    """

    clean: np.ndarray
    redrawn: np.ndarray
    used: np.ndarray


@dataclass(frozen=True)
class CorruptedImages:
    """Tell two classes of images apart, a fraction of the training labels redrawn uniformly (Figures 1d–f of the paper).

    The images are the first of each class, in the order of the original distribution, with the classes mixed as they come
    there. They are the same for every stream and level: the stream decides which labels are redrawn, and to what. What is
    redrawn at one level is redrawn to the same label at every higher level. Test labels are never redrawn.

    Parameters
    ----------
    dataset : "cifar10" or "mnist"; says nothing where `source` is a file
    classes : two names of `bthcheck.datasets.CLASSES`, or of the file's; the first is label 0
    corruption : fraction of the training labels that is redrawn, in [0, 1]; half of it flips on average
    train, test : numbers of images, even, half of each class
    source : "embedded" for the subset in this package, "full" for torchvision's files, or the name of a file that ends in .npz
        with images of any size and any classes, see `bthcheck.datasets.archives`. Runs are kept by what is in the file.

    Raises
    ------
    ValueError
        If a parameter is not among those above or the source has no such classes or fewer images.
    """

    output: ClassVar[str] = "sigmoid"
    """The output that a network for this task must have."""

    dataset: str = "cifar10"
    classes: tuple[str, str] = ("airplane", "dog")
    corruption: float = 0.0
    train: int = 1000
    test: int = 500
    source: str = "embedded"

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", check_source(self.source))
        in_file = self.source not in SOURCES
        pair = archives.check_pair(self.source, self.classes) if in_file else check_classes(self.dataset, self.classes)
        object.__setattr__(self, "classes", pair)
        object.__setattr__(self, "corruption", _fraction("corruption", self.corruption))
        for name in ("train", "test"):
            object.__setattr__(self, name, positive_int(name, getattr(self, name)))
            if getattr(self, name) % 2:
                raise ValueError(f"{name} must be even, half of each class, got {getattr(self, name)}")
        if in_file:
            images = archives.read(self.source, self.classes)
            for name, labels in (("train", images.train_labels), ("test", images.test_labels)):
                try:
                    first_of_each_class(name, labels, getattr(self, name) // 2)
                except ValueError as error:
                    raise ValueError(f"{error} from {self.source}") from error
        if self.source == "embedded":  # whose size is known, so that a mistake shows before anything is trained
            subset = check_subset(self.dataset, self.classes)
            for name, count in (("train", subset.train), ("test", subset.test)):
                if getattr(self, name) > 2 * count:
                    raise ValueError(
                        f"{name} must be at most {2 * count} for the embedded subset of {self.dataset},"
                        f" got {getattr(self, name)}; source='full' has more"
                    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return SHAPES[self.dataset] if self.source in SOURCES else archives.open_archive(self.source).shape

    @property
    def content(self) -> str | None:
        """SHA-256 of the file of the images, by which runs are kept; None where `source` is a word."""
        return None if self.source in SOURCES else archives.open_archive(self.source).sha256

    @property
    def inputs(self) -> int:
        """The input dimension, c·h·w."""
        return math.prod(self.shape)

    @neutral()
    def sample(self, generator: np.random.Generator) -> Data:
        """Return the images, flattened channel by channel with pixels scaled to [−1, 1], and the labels 0 and 1.

        Raises
        ------
        ValueError
            If the images are missing, incomplete, altered or fewer than asked for.
        """
        images = self._images()
        train = torch.from_numpy(self._redraw(images.train_labels, generator).used).float()
        test = torch.from_numpy(images.test_labels).float()
        return Data(_scaled(images.train_images), train, _scaled(images.test_images), test)

    def images(self) -> np.ndarray:
        """Return the training images as they are stored, (m, c, h, w) uint8, in the order of `labels`."""
        return self._images().train_images

    @neutral()
    def labels(self, generator: np.random.Generator) -> Labels:
        """Return the training labels that `sample` uses with the same stream, and which of them are redrawn."""
        return self._redraw(self._images().train_labels, generator)

    def _images(self) -> Images:
        images = load(self.dataset, self.classes, self.source)
        train = first_of_each_class("train", images.train_labels, self.train // 2)
        test = first_of_each_class("test", images.test_labels, self.test // 2)
        return Images(
            images.train_images[train], images.train_labels[train], images.test_images[test], images.test_labels[test]
        )

    def _redraw(self, clean: np.ndarray, generator: np.random.Generator) -> Labels:
        # Drawn for every image at every level, so that the sets are nested and the stream moves on alike.
        order = np.argsort(generator.random(len(clean)), kind="stable")
        coins = generator.integers(0, 2, len(clean), dtype=np.uint8)
        redrawn = np.zeros(len(clean), bool)
        redrawn[order[: round(self.corruption * len(clean))]] = True
        return Labels(clean, redrawn, np.where(redrawn, coins, clean))


def _random_orthogonal(n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw an n × n orthogonal matrix from the Haar measure: QR with the signs of R's diagonal taken out."""
    q, r = np.linalg.qr(generator.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def _scaled(images: np.ndarray) -> "Tensor":
    """Map uint8 images (m, c, h, w) to float32 points (m, c·h·w) in [−1, 1]."""
    return torch.from_numpy(images.reshape(len(images), -1)).float() / 127.5 - 1


Task = Sinusoid | TwoClusters | CorruptedImages


def task_of(name: str, fields: dict[str, Any]) -> Task:
    """Return the task of a type that ``dataclasses.asdict`` made `fields` of, possibly by way of JSON."""
    types = {kind.__name__: kind for kind in (Sinusoid, SinusoidSign, TwoClusters, CorruptedImages)}
    one_of("the type of the task", name, types)
    return types[name](**fields)


def _fraction(name: str, value: float) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")
    return float(value)
