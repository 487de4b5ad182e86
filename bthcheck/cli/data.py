"""``bthcheck data``: the full image data sets, as ``python -m bthcheck.datasets`` fetches them."""

import click

from bthcheck.choices import ROOT_VARIABLE
from bthcheck.cli.errors import failing
from bthcheck.datasets import CLASSES

HELP = """Fetch the full image data sets, which the paper profile needs. Small subsets come with bthcheck.

\b
Example:
  bthcheck data download cifar10 --data-root data
"""
DOWNLOAD = """Fetch a data set with torchvision, unless it is there in full.

\b
Example:
  bthcheck data download cifar10 --data-root data
"""


@click.group(help=HELP, short_help="Fetch the full image data sets.")
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
