"""How the numbers of runs moved between a record and a new session, and whether chance explains it.

A run on another processor ends elsewhere, because training amplifies the last digit, but no more often higher than lower.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy

from bthcheck.ambient import neutral
from bthcheck.evidence.exchange import MOST_ARRANGEMENTS, any_of, arrangements, beyond, shares, two_samples
from bthcheck.evidence.findings import CONFIDENCE

MARGIN = 0.01
"""Of the spread between seeds: what a run has to move by for its move to count. Another order of summation, or float64 in the
place of float32, moves all runs by a little in one direction; a test of signs alone would call that a change."""
ROUNDING = 1e-8
"""Relative difference that a record of nine digits cannot tell from none."""


class Part(NamedTuple):
    """The comparison of one quantity.

    p, smallest : of the hypothesis that nothing but chance moved it, and the smallest that could have come out
    sentence : what was and what is, where it shows most; without p
    effect, interval : shift in units of the spread between seeds, with its 95 % interval; None where there is no spread
    """

    p: float
    smallest: float
    sentence: str
    effect: float | None
    interval: tuple[float, float] | None


class _Shift(NamedTuple):
    """How finite numbers moved, and of the column that shows it most, what they were and are; None if there are none."""

    p: float
    smallest: float
    column: int | None = None
    before: float = math.nan
    after: float = math.nan
    effect: float | None = None
    interval: tuple[float, float] | None = None


@neutral()
def moved(old: np.ndarray, now: np.ndarray, columns: list[str], *, quantity: str, paired: bool) -> Part:
    """Compare one quantity: what is finite, and if not all is, how much is.

    Parameters
    ----------
    old, now : (seeds, levels) numbers, NaN where a run has none
    columns : (levels,) what the numbers of each are, and `quantity` what all are, for the sentence
    paired : whether rows are of the same seeds
    """
    # In units of the largest number of each column, or squares of large ones overflow.
    size = np.abs(np.nan_to_num(np.concatenate([old, now]))).max(axis=0, initial=np.finfo(float).tiny)
    shift = _paired(old / size, now / size) if paired else _unpaired(old / size, now / size)
    if shift.column is not None:
        before, after = (float(number * size[shift.column]) for number in (shift.before, shift.after))
        shift = shift._replace(before=before, after=after)
    infinite = [int(np.isnan(values).sum()) for values in (old, now)]
    if not any(infinite):
        return Part(shift.p, shift.smallest, _sentence(shift, columns), shift.effect, shift.interval)
    if paired:
        lost, found = int((np.isnan(now) & ~np.isnan(old)).sum()), int((np.isnan(old) & ~np.isnan(now)).sum())
        p = float(scipy.stats.binomtest(lost, lost + found).pvalue) if lost + found else 1.0
    else:  # runs of one seed share its points, so that seeds count and not runs
        bad = [int(np.isnan(values).any(axis=1).sum()) for values in (old, now)]
        p = shares(bad[0], len(old), bad[1], len(now))
    if shift.column is None or p < shift.p:
        sentence = (
            f"{quantity}: {infinite[1]} of {now.size} numbers are not finite, as those of diverged runs are,"
            f" on record {infinite[0]} of {old.size}"
        )
        effect, interval = None, None
    else:
        sentence, effect, interval = _sentence(shift, columns), shift.effect, shift.interval
    return Part(min(1.0, 2 * min(shift.p, p)), min(1.0, 2 * shift.smallest), sentence, effect, interval)


def _paired(old: np.ndarray, now: np.ndarray) -> _Shift:
    """Compare runs with themselves."""
    ps, cells, margins, found = [], [], [], []
    for j in range(old.shape[1]):
        use = np.isfinite(old[:, j]) & np.isfinite(now[:, j])
        if use.sum() < 2:
            continue
        moved, middle = (now - old)[use, j], (now + old)[use, j] / 2
        spread = float(middle.std(ddof=1))  # of what does not depend on which of the two is called new
        rounding = ROUNDING * np.abs(middle)
        unit = spread + rounding.mean() or 1.0
        cells.append(moved / unit)
        margins.append((MARGIN * spread + rounding) / unit)
        ps.append(beyond(cells[-1], margins[-1]))
        found.append((j, old[use, j].mean(), now[use, j].mean(), *_in_units(moved, spread)))
    if not ps:
        return _Shift(1.0, 1.0)
    p, smallest = ps[0], _smallest(len(cells[0]))
    if len(ps) > 1:  # all in one direction, or each column in its own
        p = min(1.0, 2 * min(beyond(np.concatenate(cells), np.concatenate(margins)), any_of(ps)))
        each = [_smallest(len(cell)) for cell in cells]
        smallest = min(1.0, 2 * min(_smallest(sum(map(len, cells))), any_of(each)))
    clearest = min(range(len(ps)), key=lambda i: (ps[i], -_size(found[i])))
    return _Shift(p, smallest, *found[clearest])


def _unpaired(old: np.ndarray, now: np.ndarray) -> _Shift:
    """Compare the runs of some seeds with those of others."""
    old, now = (values[np.isfinite(values).all(axis=1)] for values in (old, now))
    if min(len(old), len(now)) < 2:
        return _Shift(1.0, 1.0)
    p = two_samples(old, now)
    smallest = min(1.0, (2 if len(old) == len(now) else 1) / min(arrangements(len(old), len(now)), MOST_ARRANGEMENTS))
    found = []
    for j in range(old.shape[1]):
        first, second = old[:, j], now[:, j]
        freedom = len(first) + len(second) - 2
        spread = math.sqrt((first.var() * len(first) + second.var() * len(second)) / freedom)
        effect = interval = None
        if spread > 0:
            effect = float(second.mean() - first.mean()) / spread
            half = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(1 / len(first) + 1 / len(second))
            interval = (effect - half, effect + half)
        found.append((j, first.mean(), second.mean(), effect, interval))
    return _Shift(p, smallest, *max(found, key=_size))


def _in_units(moved: np.ndarray, spread: float) -> tuple[float | None, tuple[float, float] | None]:
    """Return the mean of differences in units of a spread with its interval by Student's t, None if there is no spread."""
    if spread == 0:
        return None, None
    scaled = moved / spread
    half = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(scaled) - 1) * scaled.std(ddof=1)) / math.sqrt(len(scaled))
    return float(scaled.mean()), (float(scaled.mean()) - half, float(scaled.mean()) + half)


def _size(found: tuple[int, float, float, float | None, tuple[float, float] | None]) -> float:
    """Return how large the effect of a column is."""
    return math.inf if found[3] is None and found[1] != found[2] else abs(found[3] or 0)


def _smallest(count: int) -> float:
    """Return the smallest two-sided p of so many signs."""
    return min(1.0, 2.0 ** (1 - count))


def _sentence(shift: _Shift, columns: list[str]) -> str:
    """Return what became of the column that shows the difference most."""
    if shift.column is None:
        return "there are too few numbers to compare"
    change = (shift.after - shift.before) / abs(shift.before) if shift.before else math.nan
    word = "more" if shift.after >= shift.before else "less"
    percent = 100 * abs(change)
    how = f"{percent:.{0 if percent >= 10 else 2}{'f' if percent >= 10 else 'g'}} % {word}" if percent < 1000 else word
    if shift.effect is not None:
        how += f", {abs(shift.effect):.2g} of the spread between seeds"
    return f"{columns[shift.column]} was {shift.before:.4g} on average, now {shift.after:.4g} ({how})"
