"""The command ``bthcheck``: thin, every verb calls what a Python user would call, and is imported only when it runs."""

from bthcheck.cli.command import main

__all__ = ["main"]
