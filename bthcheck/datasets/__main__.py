"""Fetch a full data set, or pack pictures of one's own.

``python -m bthcheck.datasets download cifar10 --data-root data`` or ``python -m bthcheck.datasets pack FOLDER OUT.npz``
"""

import argparse
import sys

from bthcheck.checks import positive_int
from bthcheck.choices import ROOT_VARIABLE
from bthcheck.datasets import CLASSES, folders, full


def main(arguments: list[str] | None = None) -> int:
    """Download what the command line names and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bthcheck.datasets", description="Images to learn.")
    commands = parser.add_subparsers(dest="command", required=True)
    download = commands.add_parser("download", help="fetch a data set with torchvision, unless it is there in full")
    download.add_argument("dataset", choices=sorted(CLASSES))
    download.add_argument(
        "--data-root", metavar="DIR", help=f"where to (default: the environment variable {ROOT_VARIABLE}, or else data)"
    )
    packing = commands.add_parser("pack", help="pack a folder of pictures, a folder a class, into an archive of arrays")
    packing.add_argument("folder", help="with CLASS/picture, or with train/CLASS/picture and test/CLASS/picture")
    packing.add_argument("out", metavar="OUT.npz", help="the archive, for CorruptedImages(source=...)")
    packing.add_argument("--size", type=int, metavar="N", help="scale pictures to N × N (default: as they are)")
    packing.add_argument(
        "--test-share", type=float, default=0.2, metavar="X", help="for tests, where the folder does not say (default: 0.2)"
    )
    options = parser.parse_args(arguments)
    if options.command == "pack":
        return _pack(options)
    try:
        path = full.download(options.dataset, options.data_root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.dataset} is in {path}")
    return 0


def _pack(options: argparse.Namespace) -> int:
    try:
        side = None if options.size is None else positive_int("--size", options.size)
        packed = folders.pack(options.folder, options.out, side=side, share=options.test_share)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    size = " × ".join(map(str, packed.shape))
    print(f"{packed.train} pictures to train and {packed.test} to test of {size} are in {options.out}")
    print(f"classes: {', '.join(map(repr, packed.classes))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
