"""Runs on workers: against a simulation second by second, closed forms, and the best schedule there is."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bthcheck.benchmark.scheduling import Costs, bounds, curve, drawn, finished, useful

SMALL = st.lists(st.integers(0, 9), min_size=1, max_size=7)


def second_by_second(times, workers, start=0, overhead=0):
    """The same with a clock that ticks: at every second, free workers take the next run each."""
    waiting, busy, now = list(times), {}, start
    while True:
        busy = {worker: end for worker, end in busy.items() if end > now}
        for worker in range(workers):
            while waiting and worker not in busy:
                end = now + overhead + waiting.pop(0)
                if end > now:
                    busy[worker] = end
        if not waiting and not busy:
            return now
        now += 1


@given(SMALL, st.integers(1, 4), st.integers(0, 3), st.integers(0, 2))
def test_runs_end_when_a_clock_that_ticks_says_so(times, workers, start, overhead):
    assert finished(times, workers, Costs(start, overhead)) == second_by_second(times, workers, start, overhead)


@pytest.mark.parametrize(("runs", "workers"), [(1, 1), (7, 3), (32, 32), (32, 33), (33, 32), (3200, 1000)])
def test_equal_runs_take_as_many_rounds_as_there_are(runs, workers):
    assert finished([2.0] * runs, workers) == 2.0 * -(-runs // workers)
    assert finished([2.0] * runs, workers, Costs(5.0, 0.5)) == 5.0 + 2.5 * -(-runs // workers)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3))
def test_the_best_schedule_is_between_the_bounds_and_grahams(times, workers):
    best = min(
        max(sum(time for time, worker in zip(times, chosen, strict=True) if worker == one) for one in range(workers))
        for chosen in product(range(workers), repeat=len(times))
    )
    end = finished(times, workers)
    assert max(sum(times) / workers, max(times)) <= best <= end <= (2 - 1 / workers) * best
    assert bounds(times, workers) == (sum(times) / workers, max(times))
    assert bounds(times, workers).larger == max(sum(times) / workers, max(times))
    assert bounds(times, workers, Costs(3, 1)) == (3 + (sum(times) + len(times)) / workers, 4 + max(times))


def test_grahams_bound_is_met():
    """Workers (workers − 1) short runs and a long one behind them: the worst order there is."""
    for workers in (2, 3, 5, 8):
        times = [1] * (workers * (workers - 1)) + [workers]
        assert finished(times, workers) == 2 * workers - 1
        assert finished(times[::-1], workers) == workers  # the best


@given(SMALL)
def test_more_workers_than_useful_change_nothing(times):
    least = finished(times, len(times))
    assert useful(times) == min(workers for workers in range(1, len(times) + 1) if finished(times, workers) == least)
    assert least == max(times)
    assert finished(times, 1000) == least


def test_times_are_drawn_with_the_spread_and_the_mean_that_is_asked_for():
    measured = [1.0, 2.0, 3.0, 6.0]
    times = drawn(measured, 600.0, 4000)
    assert set(times) == {200.0, 400.0, 600.0, 1200.0}
    assert times.mean() == pytest.approx(600, rel=0.03)
    assert times.std() / times.mean() == pytest.approx(np.std(measured) / 3, rel=0.05)
    assert (drawn(measured, 600.0, 5) == times[:5]).all()
    assert list(curve(times[:9], (1, 9, 50)).items()) == [(1, sum(times[:9])), (9, max(times[:9])), (50, max(times[:9]))]


@pytest.mark.parametrize(
    ("times", "workers", "said"),
    [([1.0], 0, "workers must be at least 1, got 0"), ([-1.0], 1, "at least 0"), ([float("nan")], 1, "finite")],
)
def test_what_is_no_schedule_is_refused(times, workers, said):
    for function in (finished, bounds):
        with pytest.raises(ValueError, match=said):
            function(times, workers)
