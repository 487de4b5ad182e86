"""Images of one's own: a NumPy archive with the four arrays of `Images`, of any size and any classes.

Images are uint8, (m, c, h, w) as in this package's own files, or (m, h, w, c) or (m, h, w) as others store them; labels are
uint8. A fifth array `classes` may name the labels 0, 1, 2, …; without it their names are "0", "1", "2", …, and where there are
but two labels, 0 and 1, any two names will do, in this order.
"""

import functools
import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bthcheck.datasets import Images, freeze

_FEWEST_COLOURS, _MOST_COLOURS = 1, 4
_MOST_LISTED = 12


class Archive(NamedTuple):
    """images : all there are, channels first, their labels as they are in the file
    classes : the names of the labels 0, 1, 2, …; None if the file has none and its labels are 0 and 1
    sha256 : of the file
    """  # fmt: skip

    images: Images
    classes: tuple[str, ...] | None
    sha256: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.images.train_images.shape[1:]


def open_archive(path: str | os.PathLike[str]) -> Archive:
    """Return what is in an archive, checked; read once as long as the file stays as it is.

    Raises
    ------
    ValueError
        If the file cannot be read, is no archive, or its arrays are missing or not as they should be.
    """
    try:
        facts = Path(path).stat()
    except (OSError, ValueError) as error:
        raise ValueError(f"the images {os.fspath(path)} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):  # reading a pipe would wait for good
        raise ValueError(f"the images {os.fspath(path)} cannot be read: it is no file")
    return _opened(str(Path(path).absolute()), (facts.st_mtime_ns, facts.st_size))


@functools.lru_cache(maxsize=4)
def _opened(path: str, stamp: tuple[int, int]) -> Archive:
    del stamp
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"the images {path} cannot be read: {error.strerror or error}") from error
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError(f"the images {path} are no archive of plain arrays: it is not what np.savez writes, or a part of it")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in (*Images._fields, "classes")}
            odd = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
            if odd:
                raise ValueError(f"{', '.join(odd)} is no array")
    except Exception as error:  # whatever a file holds that somebody else wrote
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"the images {path} are no archive of plain arrays: {why}") from error
    missing = [name for name in Images._fields if name not in arrays]
    if missing:
        wanted = ", ".join(Images._fields)
        raise ValueError(f"the images {path} must have the arrays {wanted}, but {', '.join(missing)} is missing")
    classes = arrays.pop("classes", None)
    return Archive(freeze(_checked(path, arrays)), _names(path, classes, arrays), hashlib.sha256(content).hexdigest())


def _checked(path: str, arrays: dict[str, np.ndarray]) -> Images:
    shapes = []
    for split in ("train", "test"):
        pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or 0 in pixels.shape:
            raise ValueError(
                f"{split} images of {path} must be uint8 of shape (m, c, h, w), (m, h, w, c) or (m, h, w),"
                f" got {pixels.dtype} of shape {pixels.shape}"
            )
        if labels.dtype != np.uint8 or labels.shape != pixels.shape[:1]:
            raise ValueError(
                f"{split} labels of {path} must be {len(pixels)} of uint8, got {labels.dtype} of shape {labels.shape}"
            )
        arrays[f"{split}_images"] = _channels_first(pixels)
        shapes.append(arrays[f"{split}_images"].shape[1:])
    if shapes[0] != shapes[1]:
        raise ValueError(f"train and test images of {path} must be of one size, got {shapes[0]} and {shapes[1]}")
    return Images(**arrays)


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3:
        return pixels[:, None]
    few = [_FEWEST_COLOURS <= pixels.shape[axis] <= _MOST_COLOURS for axis in (1, 3)]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if few == [False, True] else pixels


def _names(path: str, classes: np.ndarray | None, arrays: dict[str, np.ndarray]) -> tuple[str, ...] | None:
    labels = np.unique(np.concatenate([arrays["train_labels"], arrays["test_labels"]])).tolist()
    if classes is None:
        return None if labels == [0, 1] else tuple(str(label) for label in range(max(labels) + 1))
    names = tuple(classes.tolist()) if classes.ndim == 1 and classes.dtype.kind == "U" else ()
    if len(names) != len(set(names)) or len(names) <= max(labels):
        raise ValueError(f"classes of {path} must be a name for each of the labels 0 to {max(labels)}, got {classes.tolist()}")
    return names


def check_pair(path: str, classes: object) -> tuple[str, str]:
    """Return two classes of an archive as a tuple, or raise ``ValueError`` if it has no such classes."""
    there = open_archive(path).classes
    pair = tuple(classes) if isinstance(classes, (tuple, list)) else ()
    known = there is None or all(name in there for name in pair)
    if len(pair) != 2 or pair[0] == pair[1] or not all(isinstance(name, str) for name in pair) or not known:
        some = "two different names" if there is None else f"two different ones of {_listed(there)}"
        raise ValueError(f"classes must be {some} for {path}, got {classes!r}")
    return pair[0], pair[1]


def _listed(names: tuple[str, ...]) -> str:
    shown = names if len(names) <= _MOST_LISTED else names[:_MOST_LISTED]
    return ", ".join(map(repr, shown)) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def read(path: str, classes: tuple[str, str]) -> Images:
    """Return all images of two classes of an archive in their order, the first class as label 0.

    Raises
    ------
    ValueError
        As `open_archive`, and if there are no such classes.
    """
    archive = open_archive(path)
    pair = check_pair(path, classes)
    if archive.classes is None:
        return archive.images
    labels = [archive.classes.index(name) for name in pair]
    parts = []
    for pixels, own in zip(archive.images[::2], archive.images[1::2], strict=True):
        chosen = np.isin(own, labels)
        parts += [pixels[chosen], (own[chosen] == labels[1]).astype(np.uint8)]
    return freeze(Images(*parts))
