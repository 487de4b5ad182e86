"""The full data sets in torchvision's layout on disk.

Every file is compared with its checksum before it is opened, so that a download cut short is never used. torchvision is
imported only here and only when needed.
"""

import functools
import hashlib
import os
import shlex
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bthcheck.checks import one_of
from bthcheck.choices import ROOT_VARIABLE
from bthcheck.datasets import CLASSES, Images, freeze

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""Of the unpacked files, which are the ones that are read. torchvision has only those of the compressed ones and, once
unpacked, sees no more than that the files exist."""


class _Split(NamedTuple):
    """images : (m, c, h, w), labels : (m,), those of the original with all ten classes."""

    images: np.ndarray
    labels: np.ndarray


def folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Return `root`, or else the folder that the environment names, or else ``data``."""
    return Path(root if root is not None else os.environ.get(ROOT_VARIABLE) or "data")


def read(dataset: str, classes: tuple[str, str], root: Path) -> Images:
    """Return all images of two classes.

    Raises
    ------
    ValueError
        If torchvision is not installed, or a file is missing, incomplete or altered.
    """
    return _read(dataset, classes, root.absolute(), _command(dataset, root))


def download(dataset: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Fetch a data set with torchvision unless it is there in full, and return its folder.

    Files that are incomplete or altered are fetched again.

    Raises
    ------
    ValueError
        If there is no such data set, torchvision is not installed, or the files cannot be fetched or written.
    """
    one_of("dataset", dataset, CLASSES)
    datasets = _torchvision_datasets()
    path = folder(root)
    if not _first_fault(dataset, path):
        return path
    try:
        if dataset == "cifar10":
            _fetch([datasets.CIFAR10.url], path, datasets.CIFAR10.tgz_md5)
        else:
            raw = path / "MNIST" / "raw"
            for archive, md5 in datasets.MNIST.resources:
                name = archive.removesuffix(".gz")
                if _fault(raw / name, MNIST_MD5[name]):
                    _fetch([mirror + archive for mirror in datasets.MNIST.mirrors], raw, md5)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{dataset} could not be downloaded to {path}: {reason}") from error
    if fault := _first_fault(dataset, path):
        raise ValueError(f"{dataset} was downloaded but {fault}; delete that file's folder and download again")
    return path


def _fetch(mirrors: list[str], path: Path, md5: str) -> None:
    """Download and unpack an archive from the first of its `mirrors` that has it; torchvision checks it first."""
    # Not through the data sets' own download, which leaves some incomplete files as they are.
    from torchvision.datasets.utils import download_and_extract_archive

    for url in mirrors:
        try:
            download_and_extract_archive(url, str(path), filename=url.rpartition("/")[2], md5=md5)
            return
        except (OSError, RuntimeError, HTTPException) as error:
            failure = error
    raise failure


@functools.cache
def _read(dataset: str, classes: tuple[str, str], root: Path, command: str) -> Images:
    _torchvision_datasets()
    if fault := _first_fault(dataset, root):
        raise ValueError(f"the full {dataset} cannot be used because {fault}; fetch it with: {command}")
    parts = []
    for train in (True, False):
        split = _read_cifar10(root, train) if dataset == "cifar10" else _read_mnist(root, train)
        if len(split.images) != len(split.labels):
            raise ValueError(
                f"{'train' if train else 'test'} images of {dataset} must be as many as its labels,"
                f" got {len(split.images)} and {len(split.labels)}"
            )
        labels = [CLASSES[dataset].index(name) for name in classes]
        chosen = np.isin(split.labels, labels)
        parts += [split.images[chosen], (split.labels[chosen] == labels[1]).astype(np.uint8)]
    return freeze(Images(*parts))


def _read_cifar10(root: Path, train: bool) -> _Split:
    data = _torchvision_datasets().CIFAR10(root, train=train)
    return _Split(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)), np.asarray(data.targets))


def _read_mnist(root: Path, train: bool) -> _Split:
    # Not through MNIST(root), which prefers files that an old torchvision converted, where there are any, unchecked.
    _torchvision_datasets()
    from torchvision.datasets.mnist import read_image_file, read_label_file

    raw = root / "MNIST" / "raw"
    images, labels = [raw / name for name in MNIST_MD5][:2] if train else [raw / name for name in MNIST_MD5][2:]
    return _Split(read_image_file(str(images)).numpy()[:, None], read_label_file(str(labels)).numpy())


def _first_fault(dataset: str, root: Path) -> str | None:
    """Return what is wrong with the files below `root`, or None."""
    if dataset == "mnist":
        files = {root / "MNIST" / "raw" / name: md5 for name, md5 in MNIST_MD5.items()}
    else:
        cifar10 = _torchvision_datasets().CIFAR10
        listed = [*cifar10.train_list, *cifar10.test_list, (cifar10.meta["filename"], cifar10.meta["md5"])]
        files = {root / cifar10.base_folder / name: md5 for name, md5 in listed}
    return next((fault for path, md5 in files.items() if (fault := _fault(path, md5))), None)


def _fault(path: Path, md5: str) -> str | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, functools.partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return None if digest == md5 else f"{path} is incomplete or altered (its MD5 differs)"


def _command(dataset: str, root: Path) -> str:
    return f"python -m bthcheck.datasets download {dataset} --data-root {shlex.quote(str(root))}"


def _torchvision_datasets() -> Any:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise ValueError("the full data sets need torchvision; install it with: pip install 'torchvision>=0.21'") from error
    return datasets
