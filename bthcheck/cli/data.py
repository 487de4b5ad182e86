"""``bthcheck data``: the full image data sets, and pictures of one's own, as ``python -m bthcheck.datasets``."""

import click

from bthcheck.choices import ROOT_VARIABLE
from bthcheck.cli.errors import failing
from bthcheck.datasets import CLASSES

HELP = """Fetch the full image data sets, which the paper profile needs, or pack pictures of your own.

Small subsets come with bthcheck.

\b
Examples:
  bthcheck data download cifar10 --data-root data
  bthcheck data pack pictures pictures.npz --size 32
"""
DOWNLOAD = """Fetch a data set with torchvision, unless it is there in full.

\b
Example:
  bthcheck data download cifar10 --data-root data
"""
PACK = """Pack a folder of pictures, a folder a class, into an archive of arrays for train --data-file.

FOLDER holds CLASS/picture, or train/CLASS/picture and test/CLASS/picture.

\b
Example:
  bthcheck data pack pictures pictures.npz --size 32
"""


@click.group(help=HELP, short_help="Fetch the full image data sets, or pack pictures.")
def command() -> None:
    """See `HELP`."""


@command.command(help=DOWNLOAD, short_help="Fetch a data set, unless it is there.")
@click.argument("dataset", type=click.Choice(sorted(CLASSES)))
@click.option("--data-root", metavar="DIR", help=f"where to (default: the environment variable {ROOT_VARIABLE}, or else data)")
def download(dataset: str, data_root: str | None) -> None:
    """See `DOWNLOAD`."""
    from bthcheck.datasets import full

    with failing():
        path = full.download(dataset, data_root)
    click.echo(f"{dataset} is in {path}")


@command.command(help=PACK, short_help="Pack a folder of pictures into an archive.")
@click.argument("folder")
@click.argument("out", metavar="OUT.npz")
@click.option("--size", type=click.IntRange(1), metavar="N", help="scale pictures to N × N (default: as they are)")
@click.option(
    "--test-share", type=float, default=0.2, metavar="X", help="for tests, where the folder does not say (default: 0.2)"
)
def pack(folder: str, out: str, size: int | None, test_share: float) -> None:
    """See `PACK`."""
    from bthcheck.datasets import folders

    with failing():
        packed = folders.pack(folder, out, side=size, share=test_share)
    shape = " × ".join(map(str, packed.shape))
    click.echo(f"{packed.train} pictures to train and {packed.test} to test of {shape} are in {out}")
    click.echo(f"classes: {', '.join(map(repr, packed.classes))}")
