"""How the command ends: exit statuses, and sentences instead of tracebacks."""

import contextlib
from collections.abc import Iterator

import click

STATUSES = {
    0: "done; of verify, every claim came out supported or as on record; of compare and replay, nothing differs that counts",
    1: "what was asked for could not be done; of verify, a claim did not come out so; of compare and replay, something differs",
    2: "the command line is wrong, or asks for something that there is not",
    130: "interrupted by Ctrl-C; finished runs are in the cache",
}
"""Exit status → what it means. Those of verify are pytest's, which has more, and of a replay that ends early."""
INTERRUPTED = 130


class Refused(click.UsageError):
    """What was typed is wrong: one sentence that names it and what is allowed, below a line on the usage of the verb."""


class Failed(click.ClickException):
    """What was typed is right, but cannot be done: one sentence that says why."""


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Say what a ``ValueError`` says of what was typed, and end with status 2."""
    try:
        yield
    except ValueError as error:
        raise Refused(str(error), click.get_current_context(silent=True)) from error


@contextlib.contextmanager
def failing(consequence: str = "") -> Iterator[None]:
    """Say what could not be read or written, or is not there, and end with status 1.

    `consequence` stands before it, as "the results are not saved".
    """
    before = f"{consequence}: " if consequence else ""
    try:
        yield
    except OSError as error:
        where = f"{error.filename} cannot be used: " if error.filename else ""
        raise Failed(f"{before}{where}{error.strerror or error}") from error
    except (ValueError, MemoryError) as error:
        raise Failed(f"{before}{error}") from error
