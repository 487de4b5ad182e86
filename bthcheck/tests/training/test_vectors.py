"""Vectors of eight, compiled, against NumPy."""

import numpy as np
import pytest

from bthcheck.training.fused.compiling import leaf
from bthcheck.training.fused.vectors import LANES, load, multiply_add, spread, store, where_larger


def combine(a, b, scalar, out):
    """Put scalar · a + b where that is above 1/2, −1 elsewhere, behind the first entry of `out`."""
    found = multiply_add(scalar, load(a, np.uintp(2)), load(b, np.uintp(0)))
    store(out, np.uintp(1), where_larger(found, spread(a.dtype.type(0.5)), found, spread(a.dtype.type(-1))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_vectors_do_what_numpy_does(dtype):
    """At places that are no multiple of eight, with what is not a number in the sixth entry, and nothing written beside."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, LANES + 3)).astype(dtype)
    b[5] = np.nan
    compiled, plain = np.full((2, LANES + 3), 7, dtype)
    leaf(combine)(a, b, dtype(1.5), compiled)
    combine(a, b, dtype(1.5), plain)
    sums = dtype(1.5) * a[2 : 2 + LANES] + b[:LANES]
    expected = np.where(sums > 0.5, sums, -1)
    assert expected[5] == -1
    assert 0 < (expected == -1).sum() < LANES
    for out in (compiled, plain):
        np.testing.assert_allclose(out[1:-2], expected, rtol=4 * np.finfo(dtype).eps)
        assert out[0] == out[-1] == out[-2] == 7
