"""Images of two classes: the subsets in this package, the full data sets as torchvision stores them, or a file of one's own.

Nothing is ever downloaded by loading; see ``python -m bthcheck.datasets download``.
"""

import os
from typing import NamedTuple

import numpy as np

from bthcheck.checks import one_of

CLASSES = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "mnist": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
}
"""The names of the classes of every data set, in the order of its own labels."""

SHAPES = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28)}
"""Channels, height and width of an image."""

SOURCES = ("embedded", "full")


class Images(NamedTuple):
    """Images of two classes in the order of the original distribution, read-only uint8 arrays.

    train_images : (m, c, h, w), train_labels : (m,), test_images : (k, c, h, w), test_labels : (k,)

    Label 0 is the first class named and 1 the second.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load(
    dataset: str, classes: tuple[str, str], source: str = "embedded", root: str | os.PathLike[str] | None = None
) -> Images:
    """Return all images there are of two classes.

    Parameters
    ----------
    dataset : "cifar10" or "mnist"
    classes : two names of `CLASSES`
    source : "embedded" for the subset in this package, "full" for torchvision's files, or the name of a file that ends in .npz,
        see `bthcheck.datasets.archives`; the classes are then those of the file, and `dataset` says nothing
    root : folder of torchvision's files; by default the environment variable BTHCHECK_DATA_ROOT or else ``data``, which is
        torchvision's usual place. The embedded subsets have no use for it.

    Raises
    ------
    ValueError
        If a word is not among those above, the source has no such classes, or its files are missing, incomplete or altered.
    """
    from bthcheck.datasets import archives, embedded, full

    if check_source(source) not in SOURCES:
        return archives.read(source, classes)
    classes = check_classes(dataset, classes)
    images = embedded.read(dataset, classes) if source == "embedded" else full.read(dataset, classes, full.folder(root))
    return check_images(images, dataset)


def check_source(source: object) -> str:
    """Return a source as text, or raise ``ValueError`` unless it is a word of `SOURCES` or the name of an archive."""
    text = os.fspath(source) if isinstance(source, os.PathLike) else source
    if not isinstance(text, str) or (text not in SOURCES and not text.endswith(".npz")):
        raise ValueError(f"source must be one of 'embedded', 'full' or the name of a file that ends in .npz, got {source!r}")
    return text


def check_classes(dataset: str, classes: tuple[str, str]) -> tuple[str, str]:
    """Return `classes` as a tuple, or raise ``ValueError`` unless they are two different classes of `dataset`."""
    one_of("dataset", dataset, CLASSES)
    names = CLASSES[dataset]
    pair = tuple(classes) if isinstance(classes, (tuple, list)) else ()
    if len(pair) != 2 or pair[0] == pair[1] or not all(isinstance(name, str) and name in names for name in pair):
        raise ValueError(f"classes must be two different ones of {', '.join(map(repr, names))} for {dataset}, got {classes!r}")
    return pair[0], pair[1]


def check_images(images: Images, dataset: str) -> Images:
    """Return `images`, or raise ``ValueError`` unless they are of the type and size that `dataset` has."""
    shape = SHAPES[dataset]
    for split in ("train", "test"):
        pixels, labels = getattr(images, f"{split}_images"), getattr(images, f"{split}_labels")
        if pixels.dtype != np.uint8 or pixels.shape[1:] != shape:
            raise ValueError(
                f"{split} images of {dataset} must be uint8 of shape (m, {', '.join(map(str, shape))}),"
                f" got {pixels.dtype} of shape {pixels.shape}"
            )
        if labels.dtype != np.uint8 or labels.shape != pixels.shape[:1] or not np.isin(labels, (0, 1)).all():
            raise ValueError(
                f"{split} labels of {dataset} must be {len(pixels)} of uint8, 0 or 1,"
                f" got {labels.dtype} of shape {labels.shape} with values {np.unique(labels).tolist()}"
            )
    return images


def first_of_each_class(name: str, labels: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the first `count` images of each class, ascending: the original order, classes mixed.

    `name` says in an error what they are, e.g. "train".

    Raises
    ------
    ValueError
        If a class has fewer.
    """
    indices = [np.flatnonzero(labels == label) for label in (0, 1)]
    available = min(map(len, indices))
    if count > available:
        raise ValueError(f"{name} must be at most {2 * available} images, half of each class, got {2 * count}")
    return np.sort(np.concatenate([found[:count] for found in indices]))


def freeze(images: Images) -> Images:
    """Mark the arrays read-only, because those who load the same images share them."""
    for array in images:
        array.flags.writeable = False
    return images
