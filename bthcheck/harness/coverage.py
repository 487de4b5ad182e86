"""Whether a session was asked for all claims of a file: only then is one missing that did not run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

_PARTIAL = ("ignore", "ignore_glob", "lf", "stepwise", "keyword", "markexpr", "deselect")


def asked_for(config: pytest.Config) -> list[Path]:
    """Return the files and folders whose tests a session was to run without exception; none if something was to be left out."""
    if any(getattr(config.option, name, None) for name in _PARTIAL):
        return []
    here = config.invocation_params.dir
    return [(here / argument).resolve() for argument in config.args if "::" not in argument]


def covers(asked: Sequence[Path], file: Path | None) -> bool:
    """Whether a file, which need not be there any more, is one of those or in one of them."""
    if file is None:
        return False
    place = file.resolve()
    return any(place == path or place.is_relative_to(path) for path in asked)
