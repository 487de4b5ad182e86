"""Numba kernels of the two convolutions of `bthcheck.networks.CNN`, for one image at a time.

What makes them fast. Only the outputs that a pool looks at are computed. Of a pooled window only the largest output has a
gradient, so that going back costs a small part of going forward. An image is convolved as one long row: a tap of the kernel is
a shift of the flattened image, and the few outputs that mix two rows are never looked at. A pool comes before its ReLU, which
changes nothing: both are increasing.
"""

from typing import NamedTuple

import numpy as np

from bthcheck.networks import CNN
from bthcheck.training.fused.compiling import aligned_zeros, leaf, padded

_LANES = 8  # entries that the backward pass of the first convolution handles together


class Convolutions(NamedTuple):
    """The convolutional part of a network as the kernels see it. F features enter the affine layers.

    colours, height, width, kernel, pool, channels_1, channels_2 : as in `CNN`
    row : kernel rounded up to whole groups of lanes, what a row of a first kernel takes in `theta`; the rest is kept at 0
    rows_1, columns_1 : outputs of the first pool; rows_2, columns_2 : of the second
    stretch : entries of `theta` from one kernel of the second convolution to the next
    weight_1, bias_1, weight_2, bias_2 : where they start in `theta`
    tap_weight, tap_shift : (colours · kernel²,) where a tap of a first kernel stands in its weights, and its shift of the image
    image, image_delta : relu(x + b_1) and ∂s/∂z_1, with room behind them for whole lanes
    sums : (channels_1, rows · width) first convolution
    pooled, pooled_delta, pooled_at : (channels_1, rows_1, columns_1) first pool, ∂s/∂ it, and where in `image` its patch starts
    patches, patches_delta : (positions, stretch) what the second convolution sees, ∂s/∂ it
    outputs : (positions,) one channel of the second convolution
    feature_at : (F,) which position the second pool has chosen
    kernel_delta : ∂s/∂ one kernel of the first convolution
    """

    colours: int
    height: int
    width: int
    kernel: int
    pool: int
    channels_1: int
    channels_2: int
    row: int
    rows_1: int
    columns_1: int
    rows_2: int
    columns_2: int
    stretch: int
    weight_1: int
    bias_1: int
    weight_2: int
    bias_2: int
    tap_weight: np.ndarray
    tap_shift: np.ndarray
    image: np.ndarray
    image_delta: np.ndarray
    sums: np.ndarray
    pooled: np.ndarray
    pooled_delta: np.ndarray
    pooled_at: np.ndarray
    patches: np.ndarray
    patches_delta: np.ndarray
    outputs: np.ndarray
    feature_at: np.ndarray
    kernel_delta: np.ndarray


def kernel_shapes(cnn: CNN) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Return the shapes that the weights of the two convolutions take in `theta`: padded in the last dimension."""
    colours = cnn.shape[0]
    row = -(-cnn.kernel // _LANES) * _LANES
    return (cnn.channels[0], colours, cnn.kernel, row), (cnn.channels[1], padded(cnn.channels[0] * cnn.kernel**2))


def describe(cnn: CNN, starts: list[int], dtype: np.dtype) -> Convolutions:
    """Lay out the work arrays of a network whose first weight, bias, second weight and bias are at `starts` in `theta`."""
    (_, colours, kernel, row), (_, stretch) = kernel_shapes(cnn)
    _, height, width = cnn.shape
    rows_1, columns_1 = ((side - kernel + 1) // cnn.pool for side in (height, width))
    rows_2, columns_2 = cnn.feature_shape
    taps = [(c, y, x) for c in range(colours) for y in range(kernel) for x in range(kernel)]
    positions = rows_2 * columns_2 * cnn.pool**2

    def work(size: int) -> np.ndarray:
        return aligned_zeros(size, dtype)

    return Convolutions(
        colours=colours, height=height, width=width, kernel=kernel, pool=cnn.pool,
        channels_1=cnn.channels[0], channels_2=cnn.channels[1], row=row,
        rows_1=rows_1, columns_1=columns_1, rows_2=rows_2, columns_2=columns_2, stretch=stretch,
        weight_1=starts[0], bias_1=starts[1], weight_2=starts[2], bias_2=starts[3],
        tap_weight=np.array([(c * kernel + y) * row + x for c, y, x in taps], np.uintp),
        tap_shift=np.array([(c * height + y) * width + x for c, y, x in taps], np.uintp),
        image=work(cnn.inputs + row),
        image_delta=work(cnn.inputs + row),
        sums=work(cnn.channels[0] * padded(rows_1 * cnn.pool * width)),
        pooled=work(cnn.channels[0] * rows_1 * columns_1),
        pooled_delta=work(cnn.channels[0] * rows_1 * columns_1),
        pooled_at=np.zeros(cnn.channels[0] * rows_1 * columns_1, np.uintp),
        patches=work(positions * stretch),
        patches_delta=work(positions * stretch),
        outputs=work(positions),
        feature_at=np.zeros(cnn.channels[1] * rows_2 * columns_2, np.uintp),
        kernel_delta=work(colours * kernel * row),
    )  # fmt: skip


@leaf
def features(theta, c, bias, x, start, out):  # type: ignore[no-untyped-def]
    """Write the features of the image that begins at x[start] to `out`; b_1 begins at theta[bias]."""
    image, inputs = c.image, np.uintp(c.colours * c.height * c.width)
    bias, start = np.uintp(bias), np.uintp(start)
    for i in range(inputs):
        image[i] = max(x[start + i] + theta[bias + i], 0)
    _first(theta, c)
    _first_pool(c)
    _gather(c)
    _second(theta, c, out)


@leaf
def _first(theta, c):  # type: ignore[no-untyped-def]
    """Convolve the image with every first kernel: two channels and four taps at once share what is loaded."""
    one, two, four = np.uintp(1), np.uintp(2), np.uintp(4)
    image, sums = c.image, c.sums
    length = np.uintp(c.rows_1 * c.pool * c.width)
    pitch = np.uintp(len(sums) // c.channels_1)
    size = np.uintp(c.colours * c.kernel * c.row)
    taps, channels = np.uintp(len(c.tap_shift)), np.uintp(c.channels_1)
    weight, bias = np.uintp(c.weight_1), np.uintp(c.bias_1)
    whole = taps // four * four
    for channel in range(np.uintp(0), channels, two):
        # The last of an odd number of channels is computed twice.
        other = min(channel + one, channels - one)
        z0, z1 = channel * pitch, other * pitch
        k0, k1 = weight + channel * size, weight + other * size
        b0, b1 = theta[bias + channel], theta[bias + other]
        for p in range(length):
            sums[z0 + p] = b0
            sums[z1 + p] = b1
        for t in range(np.uintp(0), whole, four):
            s0, s1 = c.tap_shift[t], c.tap_shift[t + one]
            s2, s3 = c.tap_shift[t + two], c.tap_shift[t + np.uintp(3)]
            t0, t1 = c.tap_weight[t], c.tap_weight[t + one]
            t2, t3 = c.tap_weight[t + two], c.tap_weight[t + np.uintp(3)]
            a0, a1, a2, a3 = theta[k0 + t0], theta[k0 + t1], theta[k0 + t2], theta[k0 + t3]
            d0, d1, d2, d3 = theta[k1 + t0], theta[k1 + t1], theta[k1 + t2], theta[k1 + t3]
            for p in range(length):
                h0, h1, h2, h3 = image[s0 + p], image[s1 + p], image[s2 + p], image[s3 + p]
                u = sums[z0 + p] + ((a0 * h0 + a1 * h1) + (a2 * h2 + a3 * h3))
                v = sums[z1 + p] + ((d0 * h0 + d1 * h1) + (d2 * h2 + d3 * h3))
                sums[z0 + p] = u
                sums[z1 + p] = v
        for t in range(whole, taps):
            s0, t0 = c.tap_shift[t], c.tap_weight[t]
            a0, d0 = theta[k0 + t0], theta[k1 + t0]
            for p in range(length):
                u = sums[z0 + p] + a0 * image[s0 + p]
                v = sums[z1 + p] + d0 * image[s0 + p]
                sums[z0 + p] = u
                sums[z1 + p] = v


@leaf
def _first_pool(c):  # type: ignore[no-untyped-def]
    """Pool the first convolution and apply the ReLU."""
    sums = c.sums
    pitch = np.uintp(len(sums) // c.channels_1)
    rows, columns, pool, width = np.uintp(c.rows_1), np.uintp(c.columns_1), np.uintp(c.pool), np.uintp(c.width)
    cell = np.uintp(0)
    for channel in range(np.uintp(c.channels_1)):
        for y in range(rows):
            for x in range(columns):
                corner = y * pool * width + x * pool
                z = channel * pitch
                at, best = corner, sums[z + corner]
                for i in range(pool):
                    for j in range(pool):
                        here = corner + i * width + j
                        value = sums[z + here]
                        if value > best:
                            at, best = here, value
                c.pooled[cell] = max(best, 0)
                c.pooled_at[cell] = at
                cell += np.uintp(1)


@leaf
def _gather(c):  # type: ignore[no-untyped-def]
    """Copy what each position of the second convolution sees into a row of `patches`."""
    rows, columns, kernel, stretch = np.uintp(c.rows_1), np.uintp(c.columns_1), np.uintp(c.kernel), np.uintp(c.stretch)
    position = np.uintp(0)
    for y in range(np.uintp(c.rows_2 * c.pool)):
        for x in range(np.uintp(c.columns_2 * c.pool)):
            to = position * stretch
            for channel in range(np.uintp(c.channels_1)):
                for i in range(kernel):
                    source = (channel * rows + y + i) * columns + x
                    for j in range(kernel):
                        c.patches[to + j] = c.pooled[source + j]
                    to += kernel
            position += np.uintp(1)


@leaf
def _second(theta, c, out):  # type: ignore[no-untyped-def]
    """Second convolution, pool and ReLU, a channel at a time; three positions share a kernel."""
    patches, outputs = c.patches, c.outputs
    zero, one, three = np.uintp(0), np.uintp(1), np.uintp(3)
    stretch, size = np.uintp(c.stretch), np.uintp(c.channels_1 * c.kernel * c.kernel)
    positions = np.uintp(len(outputs))
    rows, columns, pool = np.uintp(c.rows_2), np.uintp(c.columns_2), np.uintp(c.pool)
    nought = theta.dtype.type(0)
    whole = positions // three * three
    feature = zero
    for channel in range(np.uintp(c.channels_2)):
        k = np.uintp(c.weight_2) + channel * stretch
        for q in range(zero, whole, three):
            p0, p1, p2 = q * stretch, (q + one) * stretch, (q + np.uintp(2)) * stretch
            s0, s1, s2 = nought, nought, nought
            for i in range(size):
                s0 += theta[k + i] * patches[p0 + i]
                s1 += theta[k + i] * patches[p1 + i]
                s2 += theta[k + i] * patches[p2 + i]
            outputs[q], outputs[q + one], outputs[q + np.uintp(2)] = s0, s1, s2
        for q in range(whole, positions):
            s0 = nought
            for i in range(size):
                s0 += theta[k + i] * patches[q * stretch + i]
            outputs[q] = s0
        bias = theta[np.uintp(c.bias_2) + channel]
        for y in range(rows):
            for x in range(columns):
                corner = y * pool * columns * pool + x * pool
                at, best = corner, outputs[corner]
                for i in range(pool):
                    for j in range(pool):
                        here = corner + i * columns * pool + j
                        if outputs[here] > best:
                            at, best = here, outputs[here]
                out[feature] = max(best + bias, 0)
                c.feature_at[feature] = at
                feature += one


@leaf
def back(theta, c, bias, delta, scale, target):  # type: ignore[no-untyped-def]
    """Go back from ∂s/∂features in `delta` to ∂s/∂z_1 in ``image_delta``; return ‖∂s/∂z_1‖².

    Subtracts `scale` · ∂s/∂θ from `target`, or from `theta` itself if that is None. A `scale` of None changes nothing.
    """
    _second_back(theta, c, delta, scale, target)
    _scatter(c)
    _first_back(theta, c, scale, target)
    updated = theta if target is None else target
    image, image_delta = c.image, c.image_delta
    bias = np.uintp(bias)
    nought = theta.dtype.type(0)
    square = nought
    for i in range(np.uintp(c.colours * c.height * c.width)):
        g = image_delta[i] if image[i] > 0 else nought
        image_delta[i] = g
        square += g * g
    if scale is not None:
        for i in range(np.uintp(c.colours * c.height * c.width)):
            updated[bias + i] -= scale * image_delta[i]
    return square


@leaf
def _second_back(theta, c, delta, scale, target):  # type: ignore[no-untyped-def]
    """From features to patches."""
    updated = theta if target is None else target
    patches, patches_delta = c.patches, c.patches_delta
    stretch, size = np.uintp(c.stretch), np.uintp(c.channels_1 * c.kernel * c.kernel)
    cells = np.uintp(c.rows_2 * c.columns_2)
    patches_delta[:] = 0
    for channel in range(np.uintp(c.channels_2)):
        k = np.uintp(c.weight_2) + channel * stretch
        for cell in range(cells):
            d = delta[channel * cells + cell]
            if d != 0:
                p = c.feature_at[channel * cells + cell] * stretch
                for i in range(size):
                    patches_delta[p + i] += d * theta[k + i]
        if scale is not None:  # only now: the cells of a channel share its kernel
            for cell in range(cells):
                d = delta[channel * cells + cell]
                if d != 0:
                    p = c.feature_at[channel * cells + cell] * stretch
                    step = scale * d
                    updated[np.uintp(c.bias_2) + channel] -= step
                    for i in range(size):
                        updated[k + i] -= step * patches[p + i]


@leaf
def _scatter(c):  # type: ignore[no-untyped-def]
    """Add the rows of ``patches_delta`` up where they came from: the transpose of `_gather`."""
    rows, columns, kernel, stretch = np.uintp(c.rows_1), np.uintp(c.columns_1), np.uintp(c.kernel), np.uintp(c.stretch)
    c.pooled_delta[:] = 0
    position = np.uintp(0)
    for y in range(np.uintp(c.rows_2 * c.pool)):
        for x in range(np.uintp(c.columns_2 * c.pool)):
            source = position * stretch
            for channel in range(np.uintp(c.channels_1)):
                for i in range(kernel):
                    to = (channel * rows + y + i) * columns + x
                    for j in range(kernel):
                        c.pooled_delta[to + j] += c.patches_delta[source + j]
                    source += kernel
            position += np.uintp(1)


@leaf
def _first_back(theta, c, scale, target):  # type: ignore[no-untyped-def]
    """From the first pool to the image. The entries of a kernel's row beyond its end are 0 and add nothing."""
    updated = theta if target is None else target
    image, image_delta, kernel_delta = c.image, c.image_delta, c.kernel_delta
    lanes = np.uintp(_LANES)
    row, kernel, width = np.uintp(c.row), np.uintp(c.kernel), np.uintp(c.width)
    area = np.uintp(c.height * c.width)
    colours, cells = np.uintp(c.colours), np.uintp(c.rows_1 * c.columns_1)
    size = colours * kernel * row
    image_delta[:] = 0
    nought = theta.dtype.type(0)
    for channel in range(np.uintp(c.channels_1)):
        k = np.uintp(c.weight_1) + channel * size
        kernel_delta[:] = 0
        total = nought
        for cell in range(channel * cells, (channel + np.uintp(1)) * cells):
            d = c.pooled_delta[cell]
            if d == 0 or c.pooled[cell] <= 0:
                continue
            total += d
            at = c.pooled_at[cell]
            w = np.uintp(0)
            for colour in range(colours):
                for y in range(kernel):
                    here = at + colour * area + y * width
                    for group in range(np.uintp(0), row, lanes):
                        for j in range(lanes):
                            kernel_delta[w + group + j] += d * image[here + group + j]
                            image_delta[here + group + j] += d * theta[k + w + group + j]
                    w += row
        if scale is not None:
            updated[np.uintp(c.bias_1) + channel] -= scale * total
            for line in range(np.uintp(0), size, row):
                for j in range(kernel):
                    updated[k + line + j] -= scale * kernel_delta[line + j]
