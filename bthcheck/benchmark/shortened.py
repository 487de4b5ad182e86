"""A plugin of pytest under which a session trains for a few epochs on a few points: ``-p bthcheck.benchmark.shortened``.

All else is as in any session, so that what grows with seeds, levels or claims shows in minutes; the verdicts mean nothing.
"""

import dataclasses
import os
from typing import Any

import numpy as np
import pytest

import bthcheck.experiments
from bthcheck.tasks import CorruptedImages

LEVELS = "BTHCHECK_BENCHMARK_LEVELS"
"""The environment variable with the number of frequencies or corruptions; the experiments' own without it."""
EPOCHS, POINTS = 12, 20
_NUMBERED = {"frequency": (0.25, 1.0), "corruption": (0.0, 0.6)}


def shortened(experiment: bthcheck.experiments.Experiment, levels: int | None = None) -> bthcheck.experiments.Experiment:
    """Return an experiment with at most `EPOCHS` epochs and `POINTS` training points, and with as many levels as asked for.

    Only levels that are numbers are changed, where there are several.
    """
    task: Any = experiment.task
    fewer = {"train": min(task.train, POINTS), **({"test": POINTS} if isinstance(task, CorruptedImages) else {})}
    made = experiment.replace(task=dataclasses.replace(task, **fewer), epochs=min(experiment.training.epochs, EPOCHS))
    if levels is None or experiment.vary not in _NUMBERED or len(experiment.levels) < 3:
        return made
    low, high = _NUMBERED[experiment.vary]
    return made.replace(levels=tuple(np.linspace(low, high, levels).round(6).tolist()))


def pytest_configure(config: pytest.Config) -> None:
    """Have every experiment of the session shortened."""
    whole = bthcheck.experiments.at_profile
    levels = int(os.environ[LEVELS]) if LEVELS in os.environ else None
    environment = pytest.MonkeyPatch()
    environment.setattr(bthcheck.experiments, "at_profile", lambda *asked: shortened(whole(*asked), levels))
    config.add_cleanup(environment.undo)
