"""Folders of pictures, one folder a class as torchvision's ``ImageFolder`` has them, packed into one archive of arrays."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bthcheck.datasets import Images
from bthcheck.files import write_whole

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Of pictures, as torchvision has them."""
_MOST_CLASSES = 256
_SPLITS = {"train": ("train",), "test": ("test", "val")}


class Packed(NamedTuple):
    """What was packed: the names of the classes, the numbers of pictures, and (c, h, w)."""

    classes: tuple[str, ...]
    train: int
    test: int
    shape: tuple[int, int, int]


def pack(folder: str | os.PathLike[str], out: str | os.PathLike[str], *, side: int | None = None, share: float = 0.2) -> Packed:
    """Pack pictures into an archive that `CorruptedImages` takes as its `source`.

    Parameters
    ----------
    folder : with ``train/CLASS/picture`` and ``test/CLASS/picture`` (or ``val/…``), or with ``CLASS/picture`` alone
    out : the archive, a file that ends in .npz
    side : to which pictures are scaled, squares; None leaves them as they are, and then they must be of one size
    share : of the pictures of each class that are for tests, the last by name, if the folder does not say which are

    Raises
    ------
    ValueError
        If there are no two classes, a picture cannot be read or is of another size, or the archive cannot be written.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix != ".npz":
        raise ValueError(f"the archive must be a file that ends in .npz, got {out}")
    if not 0 < share < 1:
        raise ValueError(f"the share of pictures for tests must be a number between 0 and 1, got {share!r}")
    try:
        files = _split(folder, share)
    except OSError as error:
        raise ValueError(f"the folder {error.filename} cannot be read: {error.strerror}") from error
    classes = tuple(files["train"])
    if not 2 <= len(classes) <= _MOST_CLASSES or tuple(files["test"]) != classes:
        found = {split: list(named) for split, named in files.items()}
        raise ValueError(
            f"{folder} must hold a folder of pictures for each of 2 to {_MOST_CLASSES} classes, the same to train and to test,"
            f" got {found['train']} and {found['test']}"
        )
    mode = _mode([path for named in files.values() for paths in named.values() for path in paths])
    arrays = {}
    for split, named in files.items():
        arrays[f"{split}_images"] = _stacked([path for paths in named.values() for path in paths], mode, side)
        counts = [len(paths) for paths in named.values()]
        arrays[f"{split}_labels"] = np.repeat(np.arange(len(classes), dtype=np.uint8), counts)
    shapes = {split: arrays[f"{split}_images"].shape[1:] for split in files}
    if shapes["train"] != shapes["test"]:
        sizes = f"{shapes['train']} to train and {shapes['test']} to test"
        raise ValueError(f"pictures must be of one size, got {sizes}; give a size")
    content = io.BytesIO()
    np.savez(content, classes=np.array(classes), **Images(**arrays)._asdict())
    try:
        write_whole(out, content.getvalue())
    except OSError as error:
        raise ValueError(f"the archive {out} cannot be written: {error.strerror}") from error
    return Packed(classes, len(arrays["train_labels"]), len(arrays["test_labels"]), shapes["train"])


def _split(folder: Path, share: float) -> dict[str, dict[str, list[Path]]]:
    """Return split → class → its pictures, sorted by name; classes without pictures are left out."""
    there = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    places = {split: next((name for name in names if name in there), None) for split, names in _SPLITS.items()}
    if None not in places.values():
        return {split: _classes(folder / str(name)) for split, name in places.items()}
    whole = _classes(folder)
    cut = {name: len(paths) - max(1, round(share * len(paths))) for name, paths in whole.items()}
    return {
        "train": {name: paths[: cut[name]] for name, paths in whole.items() if cut[name]},
        "test": {name: paths[cut[name] :] for name, paths in whole.items()},
    }


def _classes(folder: Path) -> dict[str, list[Path]]:
    found = {
        entry.name: sorted(path for path in entry.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
        for entry in sorted(folder.iterdir()) if entry.is_dir()
    }  # fmt: skip
    return {name: paths for name, paths in found.items() if paths}


def _mode(paths: Sequence[Path]) -> str:
    """Return "L" if all pictures are grey, else "RGB"."""
    from PIL import Image

    for path in paths:
        try:
            with Image.open(path) as picture:
                if picture.mode not in ("L", "1"):
                    return "RGB"
        except OSError as error:  # which what is no picture is, too
            raise ValueError(f"{path} cannot be read as a picture") from error
    return "L"


def _stacked(paths: Sequence[Path], mode: str, side: int | None) -> np.ndarray:
    """Return pictures as (m, c, h, w)."""
    from PIL import Image

    found: list[np.ndarray] = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                converted = picture.convert(mode)
        except OSError as error:
            raise ValueError(f"{path} cannot be read as a picture") from error
        if side is not None:
            converted = converted.resize((side, side), Image.Resampling.BILINEAR)
        pixels = np.asarray(converted, np.uint8)
        if found and pixels.shape != found[0].shape:
            size, first = (f"{array.shape[0]} × {array.shape[1]}" for array in (pixels, found[0]))
            raise ValueError(f"pictures must be of one size, got {path} of {size} and {paths[0]} of {first}; give a size")
        found.append(pixels)
    array = np.stack(found)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array[:, None])
