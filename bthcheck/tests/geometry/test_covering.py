"""Covering numbers: against coverings that are known, and against coverings and packings that are made."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bthcheck.geometry.covering import cover_box, cover_points, cover_separate_balls


@pytest.mark.parametrize(("length", "radius", "exact"), [(1.0, 0.5, 1), (1.0, 0.25, 2), (3.0, 0.5, 3), (1.0, 0.07, 8)])
def test_of_an_interval_both_bounds_are_exact(length, radius, exact):
    assert cover_box((length,), radius) == (exact, exact)


@pytest.mark.parametrize("radius", [0.1, 0.3, 1 / 3, 0.7, 1.1e-3])
def test_rounding_does_not_add_a_ball_to_a_lower_bound(radius):
    for balls in range(1, 200):
        assert cover_box((2 * radius * balls,), radius).lower == balls


def test_of_a_unit_square_the_known_numbers_lie_between():
    """The smallest radius with which a few discs cover a unit square (Heppes and Melissen, 1997)."""
    for count, radius in ((1, math.sqrt(0.5)), (2, 0.559017), (3, 0.503892), (4, math.sqrt(0.125)), (7, 0.274292)):
        lower, upper = cover_box((1, 1), radius * 1.00001)
        assert lower <= count <= upper


def test_of_a_square_the_volume_is_the_limit():
    lower, upper = cover_box((20.0, 20.0), 1e-3)
    assert lower == pytest.approx(400 / (math.pi * 1e-6), rel=1e-6)
    assert upper == pytest.approx(lower * math.pi / 2, rel=1e-3)


@given(sides=st.lists(st.floats(0.5, 3), min_size=1, max_size=3), radius=st.floats(0.2, 3), seed=st.integers(0, 99))
def test_the_cubes_of_the_upper_bound_fit_into_balls_and_cover(sides, radius, seed):
    """Centres of the grid that `upper` counts: every point of the box is within the radius of one."""
    counts = [max(1, math.ceil(side * math.sqrt(len(sides)) / (2 * radius))) for side in sides]
    assert cover_box(tuple(sides), radius).upper == math.prod(counts)
    x = np.random.default_rng(seed).uniform(0, 1, (200, len(sides))) * sides
    cell = np.array(sides) / counts
    centres = (np.minimum(np.floor(x / cell), np.array(counts) - 1) + 0.5) * cell
    assert (np.linalg.norm(x - centres, axis=1) <= radius * (1 + 1e-9)).all()


@given(sides=st.tuples(st.floats(0.5, 3), st.floats(0.5, 3)), radius=st.floats(0.1, 3))
def test_any_covering_that_is_found_has_at_least_as_many_balls_as_the_lower_bound(sides, radius):
    lattice = np.stack(np.meshgrid(*(np.linspace(0, side, 25) for side in sides)), axis=-1).reshape(-1, 2)
    gap = math.hypot(*(side / 24 for side in sides)) / 2  # a covering of the lattice by balls this much smaller covers the box
    if radius > gap * 1.5:
        assert cover_box(sides, radius).lower <= cover_points(lattice, radius - gap).upper
    lower, upper = cover_box(sides, radius)
    assert 1 <= lower <= upper
    assert cover_points(lattice, radius).lower <= upper  # the lattice lies in the box


def test_of_points_both_bounds_are_exact_where_they_are_far_apart_or_close():
    points = np.array([[0.0, 0], [0.1, 0], [5, 0], [5, 0.1], [0, 7]])
    assert cover_points(points, 0.2) == (3, 3)
    assert cover_points(points, 0.01) == (5, 5)
    assert cover_points(points, 10) == (1, 1)
    assert cover_points(points, 0) == (5, 5)


@given(seed=st.integers(0, 99), radius=st.floats(0.05, 2))
def test_of_points_the_bounds_hold_by_brute_force(seed, radius):
    """Balls around the points themselves: the smallest such covering has between `lower` and `upper` balls."""
    points = np.random.default_rng(seed).uniform(0, 2, (7, 2))
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= radius
    best = min(
        bin(chosen).count("1") for chosen in range(1, 2**7) if near[[bool(chosen >> i & 1) for i in range(7)]].any(axis=0).all()
    )
    lower, upper = cover_points(points, radius)
    assert lower <= best <= upper


def test_separate_balls():
    assert cover_separate_balls(2, 0.01, 20, 2, 0.01) == (2, 2)
    assert cover_separate_balls(2, 0.01, 20, 2, 5) == (2, 2)
    assert cover_separate_balls(2, 0.01, 20, 2, 10) == (1, 2)  # one ball reaches both
    lower, upper = cover_separate_balls(3, 1.0, 9, 2, 0.1)
    assert lower == 3 * 100  # areas
    assert upper == 3 * cover_box((2, 2), 0.1).upper
    assert cover_separate_balls(2, 1, 9, 2, 0) == (math.inf, math.inf)


def test_a_radius_that_is_tiny_or_nothing():
    assert cover_box((20, 20), 0) == (math.inf, math.inf)
    lower, upper = cover_box((20, 20), 1e-120)
    assert 1e240 < lower < upper < math.inf
    assert cover_box((20, 20), math.inf) == (1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cover_box((1, 0), 1), "each side must be a finite number above 0"),
        (lambda: cover_box((1, 1), -1), "radius must be a number of at least 0, got -1"),
        (lambda: cover_box((1, 1), math.nan), "radius must be a number of at least 0, got nan"),
        (lambda: cover_separate_balls(2, 1, 1.5, 2, 1), "balls of radius 1 whose centres are 1.5 apart overlap"),
        (lambda: cover_separate_balls(0, 1, 3, 2, 1), "count must be a whole number of at least 1, got 0"),
        (lambda: cover_points(np.empty((0, 2)), 1), "points must be a table"),
        (lambda: cover_points(np.array([[np.nan]]), 1), "points must be a table"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
