"""The subsets of real images in this package; PROVENANCE.md says where they come from."""

import functools
import hashlib
import io
from importlib import resources
from typing import NamedTuple

import numpy as np

from bthcheck.checks import one_of
from bthcheck.datasets import Images, freeze

FOLDER = resources.files("bthcheck.datasets")


class Subset(NamedTuple):
    """A file of this package: the first `train` and `test` images of each of two classes, in the original order."""

    filename: str
    classes: tuple[str, str]
    train: int
    test: int
    sha256: str


SUBSETS = {
    "cifar10": Subset(
        filename="cifar10-airplane-dog.npz",
        classes=("airplane", "dog"),
        train=500,
        test=250,
        sha256="0de1b2e3591be9caa3f586b8dfa678a5e98eb4a8feb8d0241d99a28f62c4f64b",
    ),
    "mnist": Subset(
        filename="mnist-3-6.npz",
        classes=("3", "6"),
        train=100,
        test=900,
        sha256="dd3573d354795eaf8062aff377ebc01e98ef5f64c9f145a500e35f5040f39c92",
    ),
}


def check_subset(dataset: str, classes: tuple[str, str]) -> Subset:
    """Return the subset of `dataset`, or raise ``ValueError`` if `classes` are not its two, in either order."""
    subset = SUBSETS[one_of("dataset", dataset, SUBSETS)]
    if set(classes) != set(subset.classes):
        raise ValueError(
            f"the embedded subset of {dataset} has the classes {' and '.join(map(repr, subset.classes))},"
            f" got {' and '.join(map(repr, classes))}; other classes need source='full'"
        )
    return subset


def read(dataset: str, classes: tuple[str, str]) -> Images:
    """Return the subset of `dataset`, with the first of `classes` as label 0.

    Raises
    ------
    ValueError
        If `classes` are not the subset's, or its file is missing or altered.
    """
    subset = check_subset(dataset, classes)
    images = _read(subset)
    if classes == subset.classes:
        return images
    return freeze(images._replace(train_labels=1 - images.train_labels, test_labels=1 - images.test_labels))


@functools.cache
def _read(subset: Subset) -> Images:
    try:
        content = FOLDER.joinpath(subset.filename).read_bytes()
    except OSError as error:
        raise ValueError(
            f"{subset.filename} of this package cannot be read ({error.strerror}); install bthcheck anew"
        ) from error
    if hashlib.sha256(content).hexdigest() != subset.sha256:
        raise ValueError(f"{subset.filename} of this package is altered (its SHA-256 differs); install bthcheck anew")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return freeze(Images(**{name: archive[name] for name in Images._fields}))
