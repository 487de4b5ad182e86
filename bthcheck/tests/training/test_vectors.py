"""Rows of numbers side by side: what Numba compiles is what NumPy says of them."""

import numpy as np
import pytest

from bthcheck.training.fused import vectors
from bthcheck.training.fused.compiling import leaf
from bthcheck.training.fused.vectors import (
    lanes,
    load,
    load_like,
    load_tile,
    noughts,
    positive,
    spread,
    store,
    total,
    totals,
    where_larger,
    where_positive,
)


def each(numbers, out):
    """Put what every function makes of `numbers` one after another into `out`."""
    one = lanes(numbers)
    at = np.uintp(0)
    a, b, c = load(numbers, one), load(numbers, one + np.uintp(3)), load(numbers, np.uintp(5))
    tile = load_tile(numbers, np.uintp(1))
    for row in (a + b, a - b, a * b, numbers[2] * a, positive(a), where_positive(b, a), noughts(b), load_like(a, numbers, at)):
        store(out, at, row)
        at += one
    for row in (spread(a, numbers[3]), where_larger(a, b, c, a * c)):
        store(out, at, row)
        at += one
    store(out, at, tile + load_like(tile, numbers, np.uintp(6)))
    at += np.uintp(vectors.TILE) * one
    out[at] = total(a)
    out[at + np.uintp(1)], out[at + np.uintp(2)], out[at + np.uintp(3)], out[at + np.uintp(4)] = totals(a, b, c, a * c)
    return at + np.uintp(5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_functions_do_what_they_mean(dtype):
    numbers = np.random.default_rng(0).normal(size=100).astype(dtype)
    got, meant = np.zeros(200, dtype), np.zeros(200, dtype)
    size = leaf(each)(numbers, got)
    assert size == each(numbers, meant)
    np.testing.assert_allclose(got, meant, rtol=20 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)
    assert np.count_nonzero(got[:size]) > 0.7 * size
    assert not got[size:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_register_has_32_bytes(dtype):
    count = leaf(lambda array: lanes(array))(np.zeros(1, dtype))
    assert count == lanes(np.zeros(1, dtype)) == 32 // np.dtype(dtype).itemsize


def test_nan_stays_nan_and_what_is_off_is_0():
    """A run that diverges is seen by its NaN."""
    numbers = np.array([np.nan, -1, 2, np.inf, -np.inf, 0, 3, -3])

    def rectified(numbers, out):
        store(out, np.uintp(0), positive(load(numbers, np.uintp(0))))
        first, second = load(numbers, np.uintp(0)), load(numbers, np.uintp(4))
        store(out, np.uintp(4), where_positive(second, first))
        store(out, np.uintp(8), where_larger(first, second, first, second))
        store(out, np.uintp(12), where_larger(second, first, first, second))

    expected = [np.nan, 0, 2, np.inf, 0, 0, 2, 0, -np.inf, 0, 3, np.inf, -np.inf, -1, 2, -3]
    for function in (leaf(rectified), rectified):
        out = np.full(16, 7.0)
        function(numbers, out)
        np.testing.assert_array_equal(out, expected)


def test_products_are_added_in_the_order_written():
    """Otherwise bits would depend on how a compiler sees the rest of a program."""

    def summed(numbers, out):
        a, b, c = load(numbers, np.uintp(0)), load(numbers, np.uintp(4)), load(numbers, np.uintp(8))
        store(out, np.uintp(0), (a + b) + c)

    numbers = np.repeat([1.0, 2.0**-53, 2.0**-53], 4)
    out = np.zeros(4)
    leaf(summed)(numbers, out)
    assert (out == 1).all()
