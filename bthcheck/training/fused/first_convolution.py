"""Numba kernels of the first convolution and its pool, forward and back: nine positions of a register of channels at once."""

import numpy as np

from bthcheck.training.fused.compiling import leaf
from bthcheck.training.fused.vectors import lanes, load, noughts, positive, spread, store, where_larger

POSITIONS = 9
"""Of a row, that are computed together: with as many sums, all registers are in use."""


@leaf
def transpose(theta, c):  # type: ignore[no-untyped-def]
    """Copy the first kernels to `kernels`, the channels of a register together, tap after tap."""
    lane, taps = lanes(theta), np.uintp(len(c.tap_weight))
    size = np.uintp(c.colours * c.kernel * c.row)
    for channel in range(np.uintp(c.channels_1)):
        k = np.uintp(c.weight_1) + channel * size
        to = channel // lane * lane * taps + channel % lane
        for t in range(taps):
            c.kernels[to + t * lane] = theta[k + c.tap_weight[t]]


@leaf
def convolve(theta, c):  # type: ignore[no-untyped-def]
    """Convolve the image with the first kernels."""
    zero, one, lane = np.uintp(0), np.uintp(1), lanes(theta)
    image, sums, kernels, shifts = c.image, c.sums, c.kernels, c.tap_shift
    width, columns = np.uintp(c.width), np.uintp(c.columns_1 * c.pool)
    pitch, together, taps = np.uintp(c.pitch), np.uintp(POSITIONS), np.uintp(len(shifts))
    nought = noughts(load(kernels, zero))
    for y in range(np.uintp(c.rows_1 * c.pool)):
        for first in range(zero, columns, together):
            # The last nine of a row overlap those before. Where a row has fewer, the next one overwrites what is too much.
            x = first if first + together <= columns else max(columns, together) - together
            at = y * width + x
            for group in range(zero, pitch, lane):
                a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = nought
                k = group * taps
                for t in range(taps):
                    w = load(kernels, k + t * lane)
                    p = at + shifts[t]
                    a0 = a0 + image[p] * w
                    a1 = a1 + image[p + one] * w
                    a2 = a2 + image[p + np.uintp(2)] * w
                    a3 = a3 + image[p + np.uintp(3)] * w
                    a4 = a4 + image[p + np.uintp(4)] * w
                    a5 = a5 + image[p + np.uintp(5)] * w
                    a6 = a6 + image[p + np.uintp(6)] * w
                    a7 = a7 + image[p + np.uintp(7)] * w
                    a8 = a8 + image[p + np.uintp(8)] * w
                z = at * pitch + group
                for a in (a0, a1, a2, a3, a4, a5, a6, a7, a8):
                    store(sums, z, a)
                    z += pitch


@leaf
def pool(theta, c):  # type: ignore[no-untyped-def]
    """Pool, add the bias and apply the ReLU. What is written behind the channels of a cell, the next one overwrites."""
    zero, lane = np.uintp(0), lanes(theta)
    sums, number = c.sums, theta.dtype.type
    columns, pool, width, pitch = np.uintp(c.columns_1), np.uintp(c.pool), np.uintp(c.width), np.uintp(c.pitch)
    bias = np.uintp(c.bias_1)
    cell = zero
    for y in range(np.uintp(c.rows_1)):
        for x in range(columns):
            corner = y * pool * width + x * pool
            for group in range(zero, pitch, lane):
                best = load(sums, corner * pitch + group)
                at = spread(best, number(corner))
                for i in range(pool):
                    for j in range(pool):
                        here = corner + i * width + j
                        value = load(sums, here * pitch + group)
                        at = where_larger(value, best, spread(best, number(here)), at)
                        best = where_larger(value, best, value, best)
                store(c.pooled, cell + group, positive(best + load(theta, bias + group)))
                store(c.pooled_at, cell + group, at)
            cell += np.uintp(c.channels_1)


@leaf
def pool_back(theta, c, scale, target):  # type: ignore[no-untyped-def]
    """From the first pool to what each position sees. The entries of a kernel's row beyond its end are 0 and add nothing."""
    updated = theta if target is None else target
    image, seen_delta, kernel_delta = c.image, c.seen_delta, c.kernel_delta
    zero, lane = np.uintp(0), lanes(theta)
    row, kernel = np.uintp(c.row), np.uintp(c.kernel)
    channels, cells = np.uintp(c.channels_1), np.uintp(len(c.pooled_delta))
    shifts, vectors = c.vector_shift, np.uintp(len(c.vector_shift))
    size = vectors * lane
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
                g, here = number * lane, at + shifts[number]
                s = seen + g
                store(kernel_delta, g, load(kernel_delta, g) + d * load(image, here))
                store(seen_delta, s, load(seen_delta, s) + d * load(theta, k + g))
        if scale is not None:
            updated[np.uintp(c.bias_1) + channel] -= scale * total
            for start in range(zero, size, row):
                for j in range(kernel):
                    updated[k + start + j] -= scale * kernel_delta[start + j]


@leaf
def unfold(c):  # type: ignore[no-untyped-def]
    """Add up in ``image_delta`` what the positions have in ``seen_delta``, and set that to 0."""
    zero, lane, shifts = np.uintp(0), lanes(c.image), c.vector_shift
    image_delta, seen_delta = c.image_delta, c.seen_delta
    vectors = np.uintp(len(shifts))
    nought = noughts(load(seen_delta, zero))
    image_delta[:] = 0
    for at in range(np.uintp(len(c.touched))):
        if not c.touched[at]:
            continue
        c.touched[at] = False
        for number in range(vectors):
            seen, here = (at * vectors + number) * lane, at + shifts[number]
            store(image_delta, here, load(image_delta, here) + load(seen_delta, seen))
            store(seen_delta, seen, nought)
