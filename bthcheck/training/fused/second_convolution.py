"""Numba kernels of the second convolution and its pool, forward and back: three channels and three positions at once."""

import numpy as np

from bthcheck.training.fused.compiling import leaf

_PIECE = 480  # entries of what a position sees that are multiplied before the next: of nine positions and three kernels, 23 kB


@leaf
def gather(c):  # type: ignore[no-untyped-def]
    """Copy what each position of the second convolution sees into a row of `patches`."""
    columns, kernel, stretch, channels = np.uintp(c.columns_1), np.uintp(c.kernel), np.uintp(c.stretch), np.uintp(c.channels_1)
    position = np.uintp(0)
    for y in range(np.uintp(c.rows_2 * c.pool)):
        for x in range(np.uintp(c.columns_2 * c.pool)):
            for i in range(kernel):
                source = ((y + i) * columns + x) * channels
                to = position * stretch + i * kernel * channels
                for j in range(kernel * channels):
                    c.patches[to + j] = c.pooled[source + j]
            position += np.uintp(1)


@leaf
def convolve(theta, c):  # type: ignore[no-untyped-def]
    """Second convolution: three channels and three positions at once share what is loaded."""
    patches, outputs = c.patches, c.outputs
    zero, one, two, three = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3)
    stretch, size = np.uintp(c.stretch), np.uintp(c.channels_1 * c.kernel * c.kernel)
    channels, positions = np.uintp(c.channels_2), np.uintp(c.rows_2 * c.columns_2 * c.pool * c.pool)
    piece = np.uintp(_PIECE)
    nought = theta.dtype.type(0)
    outputs[:] = 0
    for first in range(zero, size, piece):
        length = min(piece, size - first)
        weight = np.uintp(c.weight_2) + first
        for k in range(zero, channels // three * three, three):
            w0 = weight + k * stretch
            w1, w2 = w0 + stretch, w0 + two * stretch
            for q in range(zero, positions // three * three, three):
                p0 = first + q * stretch
                p1, p2 = p0 + stretch, p0 + two * stretch
                s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = nought
                for i in range(length):
                    v0, v1, v2 = theta[w0 + i], theta[w1 + i], theta[w2 + i]
                    u0, u1, u2 = patches[p0 + i], patches[p1 + i], patches[p2 + i]
                    s00 += v0 * u0
                    s01 += v0 * u1
                    s02 += v0 * u2
                    s10 += v1 * u0
                    s11 += v1 * u1
                    s12 += v1 * u2
                    s20 += v2 * u0
                    s21 += v2 * u1
                    s22 += v2 * u2
                z0 = k * positions + q
                z1, z2 = z0 + positions, z0 + two * positions
                outputs[z0] += s00
                outputs[z0 + one] += s01
                outputs[z0 + two] += s02
                outputs[z1] += s10
                outputs[z1 + one] += s11
                outputs[z1 + two] += s12
                outputs[z2] += s20
                outputs[z2 + one] += s21
                outputs[z2 + two] += s22
            for q in range(positions // three * three, positions):
                for other in range(three):
                    outputs[(k + other) * positions + q] += _product(
                        theta, weight + (k + other) * stretch, patches, first + q * stretch, length
                    )
        for k in range(channels // three * three, channels):
            for q in range(positions):
                outputs[k * positions + q] += _product(theta, weight + k * stretch, patches, first + q * stretch, length)


@leaf
def _product(a, i, b, j, length):  # type: ignore[no-untyped-def]
    """Return the inner product of `length` entries of a from i on, and of b from j on."""
    total = a.dtype.type(0)
    for n in range(length):
        total += a[i + n] * b[j + n]
    return total


@leaf
def pool(theta, c, out):  # type: ignore[no-untyped-def]
    """Pool the second convolution, add the bias and apply the ReLU."""
    outputs = c.outputs
    rows, columns, pool = np.uintp(c.rows_2), np.uintp(c.columns_2), np.uintp(c.pool)
    positions = rows * columns * pool * pool
    feature = np.uintp(0)
    for channel in range(np.uintp(c.channels_2)):
        z, bias = channel * positions, theta[np.uintp(c.bias_2) + channel]
        for y in range(rows):
            for x in range(columns):
                corner = y * pool * columns * pool + x * pool
                at, best = corner, outputs[z + corner]
                for i in range(pool):
                    for j in range(pool):
                        here = corner + i * columns * pool + j
                        if outputs[z + here] > best:
                            at, best = here, outputs[z + here]
                out[feature] = max(best + bias, 0)
                c.feature_at[feature] = at
                feature += np.uintp(1)


@leaf
def convolve_back(theta, c, delta, scale, target):  # type: ignore[no-untyped-def]
    """From features to patches. The cells of a channel share its kernel, which changes only when all have read it."""
    updated = theta if target is None else target
    patches, patches_delta = c.patches, c.patches_delta
    stretch, size = np.uintp(c.stretch), np.uintp(c.channels_1 * c.kernel * c.kernel)
    cells = np.uintp(c.rows_2 * c.columns_2)
    patches_delta[:] = 0
    for channel in range(np.uintp(c.channels_2)):
        k = np.uintp(c.weight_2) + channel * stretch
        first = channel * cells
        last = first
        for cell in range(first, first + cells):
            if delta[cell] != 0:
                last = cell  # type: ignore[assignment]
        for cell in range(first, last):
            d = delta[cell]
            if d != 0:
                p = c.feature_at[cell] * stretch
                for i in range(size):
                    patches_delta[p + i] += d * theta[k + i]
        d = delta[last]
        if d == 0:
            continue
        p = c.feature_at[last] * stretch
        if scale is None:
            for i in range(size):
                patches_delta[p + i] += d * theta[k + i]
            continue
        step = scale * d
        updated[np.uintp(c.bias_2) + channel] -= step
        for i in range(size):
            patches_delta[p + i] += d * theta[k + i]
            updated[k + i] -= step * patches[p + i]
        for cell in range(first, last):
            d = delta[cell]
            if d != 0:
                p = c.feature_at[cell] * stretch
                step = scale * d
                updated[np.uintp(c.bias_2) + channel] -= step
                for i in range(size):
                    updated[k + i] -= step * patches[p + i]


@leaf
def scatter(c):  # type: ignore[no-untyped-def]
    """Add the rows of ``patches_delta`` up where they came from, the transpose of `gather`, and go back through the ReLU."""
    columns, kernel, stretch, channels = np.uintp(c.columns_1), np.uintp(c.kernel), np.uintp(c.stretch), np.uintp(c.channels_1)
    pooled, pooled_delta, patches_delta = c.pooled, c.pooled_delta, c.patches_delta
    pooled_delta[:] = 0
    position = np.uintp(0)
    for y in range(np.uintp(c.rows_2 * c.pool)):
        for x in range(np.uintp(c.columns_2 * c.pool)):
            for i in range(kernel):
                to = ((y + i) * columns + x) * channels
                source = position * stretch + i * kernel * channels
                for j in range(kernel * channels):
                    pooled_delta[to + j] += patches_delta[source + j]
            position += np.uintp(1)
    nought = pooled.dtype.type(0)
    for i in range(np.uintp(len(pooled_delta))):
        pooled_delta[i] = pooled_delta[i] if pooled[i] > 0 else nought
