"""Make the embedded subsets: ``python -m bthcheck.datasets.make_subsets FOLDER``.

FOLDER holds an archive for each data set with all images of the two classes: the arrays of `Images`, uint8, in the order of
the original distribution, but (m, 32, 32, 3) for CIFAR-10 and (m, 28, 28) for MNIST. PROVENANCE.md says more.
"""

import argparse
import hashlib
import io
import sys
from pathlib import Path

import numpy as np

from bthcheck.datasets import Images, check_images, first_of_each_class
from bthcheck.datasets.embedded import SUBSETS

ARCHIVES = {
    "cifar10": ("cifar10-airplane-dog.npz", "8e840b06d498b198093e05dd8e5a40675e2767e634c2ea5935438c66ea057528"),
    "mnist": ("mnist-3-6.npz", "8cf98f1e507a86b2f14e604e9119e4ce8ecb6ec48d6194158117a9aaafd597a7"),
}
"""File name and SHA-256 of every archive."""


def make_subset(dataset: str, archives: Path) -> bytes:
    """Return the content of an embedded file.

    The same archive always gives the same bytes: nothing is compressed, because compressors differ between versions.

    Raises
    ------
    ValueError
        If the archive is missing or not the one that is expected.
    """
    filename, sha256 = ARCHIVES[dataset]
    try:
        content = (archives / filename).read_bytes()
    except OSError as error:
        raise ValueError(f"the archive {archives / filename} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the archive {archives / filename} is not the one expected: its SHA-256 is not {sha256}")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        whole = Images(**{name: archive[name] for name in Images._fields})
    subset = SUBSETS[dataset]
    train = first_of_each_class("train", whole.train_labels, subset.train)
    test = first_of_each_class("test", whole.test_labels, subset.test)
    images = Images(
        _channels_first(whole.train_images[train]),
        whole.train_labels[train],
        _channels_first(whole.test_images[test]),
        whole.test_labels[test],
    )
    file = io.BytesIO()
    np.savez(file, **check_images(images, dataset)._asdict())
    return file.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Write the files that the command line asks for and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bthcheck.datasets.make_subsets", description="Make the embedded subsets.")
    parser.add_argument("archives", type=Path, help="folder of the archives")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="where to (default: this package)")
    options = parser.parse_args(arguments)
    try:
        contents = {subset.filename: make_subset(dataset, options.archives) for dataset, subset in SUBSETS.items()}
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for filename, content in contents.items():
        (options.output / filename).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {filename}")
    return 0


def _channels_first(images: np.ndarray) -> np.ndarray:
    channels_last = images if images.ndim == 4 else images[..., None]
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


if __name__ == "__main__":
    sys.exit(main())
