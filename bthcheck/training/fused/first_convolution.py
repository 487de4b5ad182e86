"""Numba kernels of the first convolution and its pool, forward and back: nine positions of eight channels at once."""

import numpy as np

from bthcheck.training.fused.compiling import leaf
from bthcheck.training.fused.vectors import LANES, load, multiply_add, spread, store, where_larger

POSITIONS = 9
"""Of a row, that are computed together: with as many vectors and what these are multiplied with, all registers."""


@leaf
def transpose(theta, c):  # type: ignore[no-untyped-def]
    """Copy the first kernels to `kernels`, eight channels of a tap together."""
    lanes, taps = np.uintp(LANES), np.uintp(len(c.tap_weight))
    size = np.uintp(c.colours * c.kernel * c.row)
    for channel in range(np.uintp(c.channels_1)):
        k = np.uintp(c.weight_1) + channel * size
        to = channel // lanes * lanes * taps + channel % lanes
        for t in range(taps):
            c.kernels[to + t * lanes] = theta[k + c.tap_weight[t]]


@leaf
def convolve(theta, c):  # type: ignore[no-untyped-def]
    """Convolve the image with the first kernels: nine positions of a row and eight channels at once."""
    zero, one, lanes = np.uintp(0), np.uintp(1), np.uintp(LANES)
    image, sums, kernels, shifts = c.image, c.sums, c.kernels, c.tap_shift
    width, columns = np.uintp(c.width), np.uintp(c.columns_1 * c.pool)
    pitch, together = np.uintp(c.pitch), np.uintp(POSITIONS)
    taps, size = np.uintp(len(shifts)), np.uintp(len(shifts)) * lanes
    nought = spread(theta.dtype.type(0))
    for y in range(np.uintp(c.rows_1 * c.pool)):
        for first in range(zero, columns, together):
            # The last nine of a row overlap those before. Where a row has fewer, the next one overwrites what is too much.
            x = first if first + together <= columns else max(columns, together) - together
            at = y * width + x
            for group in range(zero, pitch, lanes):
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = nought
                k = group // lanes * size
                for t in range(taps):
                    w = load(kernels, k + t * lanes)
                    p = at + shifts[t]
                    a0 = multiply_add(image[p], w, a0)
                    a1 = multiply_add(image[p + one], w, a1)
                    a2 = multiply_add(image[p + np.uintp(2)], w, a2)
                    a3 = multiply_add(image[p + np.uintp(3)], w, a3)
                    a4 = multiply_add(image[p + np.uintp(4)], w, a4)
                    a5 = multiply_add(image[p + np.uintp(5)], w, a5)
                    a6 = multiply_add(image[p + np.uintp(6)], w, a6)
                    a7 = multiply_add(image[p + np.uintp(7)], w, a7)
                    a8 = multiply_add(image[p + np.uintp(8)], w, a8)
                z = at * pitch + group
                for a in (a0, a1, a2, a3, a4, a5, a6, a7, a8):
                    store(sums, z, a)
                    z += pitch


@leaf
def pool(theta, c):  # type: ignore[no-untyped-def]
    """Pool, add the bias and apply the ReLU. What is written behind the channels of a cell, the next one overwrites."""
    zero, lanes = np.uintp(0), np.uintp(LANES)
    sums = c.sums
    columns, pool, width, pitch = np.uintp(c.columns_1), np.uintp(c.pool), np.uintp(c.width), np.uintp(c.pitch)
    bias, number = np.uintp(c.bias_1), theta.dtype.type
    one, nought = number(1), spread(number(0))
    cell = zero
    for y in range(np.uintp(c.rows_1)):
        for x in range(columns):
            corner = y * pool * width + x * pool
            for group in range(zero, pitch, lanes):
                best, at = load(sums, corner * pitch + group), spread(number(corner))
                for i in range(pool):
                    for j in range(pool):
                        here = corner + i * width + j
                        value = load(sums, here * pitch + group)
                        at = where_larger(value, best, spread(number(here)), at)
                        best = where_larger(value, best, value, best)
                z = multiply_add(one, load(theta, bias + group), best)
                store(c.pooled, cell + group, where_larger(nought, z, nought, z))  # what is not a number stays that
                store(c.pooled_at, cell + group, at)
            cell += np.uintp(c.channels_1)


@leaf
def pool_back(theta, c, scale, target):  # type: ignore[no-untyped-def]
    """From the first pool to what each position sees. The entries of a kernel's row beyond its end are 0 and add nothing."""
    updated = theta if target is None else target
    image, seen_delta, kernel_delta = c.image, c.seen_delta, c.kernel_delta
    zero, lanes = np.uintp(0), np.uintp(LANES)
    row, kernel = np.uintp(c.row), np.uintp(c.kernel)
    channels, cells = np.uintp(c.channels_1), np.uintp(len(c.pooled_delta))
    shifts, vectors = c.vector_shift, np.uintp(len(c.vector_shift))
    size = vectors * lanes
    nought = theta.dtype.type(0)
    for channel in range(channels):
        k = np.uintp(c.weight_1) + channel * size
        kernel_delta[:] = 0
        total = nought
        for cell in range(channel, cells, channels):
            d = c.pooled_delta[cell]
            if d == 0:
                continue
            total += d
            at = np.uintp(np.intp(c.pooled_at[cell]))
            seen = at * size
            c.touched[at] = True
            for number in range(vectors):
                g, here = number * lanes, at + shifts[number]
                s = seen + g
                store(kernel_delta, g, multiply_add(d, load(image, here), load(kernel_delta, g)))
                store(seen_delta, s, multiply_add(d, load(theta, k + g), load(seen_delta, s)))
        if scale is not None:
            updated[np.uintp(c.bias_1) + channel] -= scale * total
            for start in range(zero, size, row):
                for j in range(kernel):
                    updated[k + start + j] -= scale * kernel_delta[start + j]


@leaf
def unfold(c):  # type: ignore[no-untyped-def]
    """Add up in ``image_delta`` what the positions have in ``seen_delta``, and set that to 0."""
    row, kernel, width = np.uintp(c.row), np.uintp(c.kernel), np.uintp(c.width)
    colours, area = np.uintp(c.colours), np.uintp(c.height * c.width)
    size = colours * kernel * row
    image_delta, seen_delta = c.image_delta, c.seen_delta
    image_delta[:] = 0
    for at in range(np.uintp(len(c.touched))):
        if not c.touched[at]:
            continue
        c.touched[at] = False
        seen = at * size
        for colour in range(colours):
            for y in range(kernel):
                here = at + colour * area + y * width
                for j in range(kernel):
                    image_delta[here + j] += seen_delta[seen + j]
                for j in range(row):
                    seen_delta[seen + j] = 0
                seen += row
