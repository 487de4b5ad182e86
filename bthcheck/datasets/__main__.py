"""Fetch a full data set: ``python -m bthcheck.datasets download cifar10 --data-root data``."""

import argparse
import sys

from bthcheck.choices import ROOT_VARIABLE
from bthcheck.datasets import CLASSES, full


def main(arguments: list[str] | None = None) -> int:
    """Download what the command line names and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bthcheck.datasets", description="The full image data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    download = commands.add_parser("download", help="fetch a data set with torchvision, unless it is there in full")
    download.add_argument("dataset", choices=sorted(CLASSES))
    download.add_argument(
        "--data-root", metavar="DIR", help=f"where to (default: the environment variable {ROOT_VARIABLE}, or else data)"
    )
    options = parser.parse_args(arguments)
    try:
        path = full.download(options.dataset, options.data_root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.dataset} is in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
