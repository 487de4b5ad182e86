"""Numba kernels of the two convolutions of `bthcheck.networks.CNN`, for one image at a time.

What makes them fast. Only the outputs that a pool looks at are computed. Of a pooled window only the largest output has a
gradient, so that going back costs a small part of going forward. What the channels of one position have in common lies together,
positions one after the other: then all loops run along channels, or along what one position of the second convolution sees. The
first convolution keeps nine positions of eight channels in registers while it goes through the kernel. The second one reads each
weight once for three positions and each position once for three channels, a piece at a time that stays in the nearest cache, and
going back reads each of its weights once, for the gradient and the update. A pool comes before its bias and ReLU, which changes
nothing: both are increasing.
"""

from typing import NamedTuple

import numpy as np

from bthcheck.networks import CNN
from bthcheck.training.fused.compiling import aligned_zeros, leaf, padded
from bthcheck.training.fused.vectors import LANES, load, multiply_add, spread, store, where_larger

_POSITIONS = 9  # of a row that the first convolution computes together
_PIECE = 480  # entries of what a position sees that are multiplied before the next: of nine positions and three kernels, 23 kB


class Convolutions(NamedTuple):
    """The convolutional part of a network as the kernels see it. F features enter the affine layers.

    colours, height, width, kernel, pool, channels_1, channels_2 : as in `CNN`
    row : kernel rounded up to whole vectors, what a row of a first kernel takes in `theta`; the rest is kept at 0
    rows_1, columns_1 : outputs of the first pool; rows_2, columns_2 : of the second
    pitch : channels_1 rounded up to whole vectors
    stretch : entries of `theta` from one kernel of the second convolution to the next
    weight_1, bias_1, weight_2, bias_2 : where they start in `theta`
    vector_shift : (colours · kernel · row / 8,) the shift of the image that a vector of a first kernel is for
    tap_weight, tap_shift : (colours · kernel²,) where a tap of a first kernel stands in its weights, and its shift of the image
    image, image_delta : relu(x + b_1) and ∂s/∂z_1, with room behind them for whole vectors
    kernels : (pitch / 8, taps, 8) the first kernels, transposed
    sums : (positions, pitch) first convolution, without bias, a position for every pixel where a kernel may begin
    pooled, pooled_delta : (rows_1, columns_1, channels_1) first pool, with room behind it for a whole vector, and ∂s/∂ it
    pooled_at : (rows_1, columns_1, channels_1) which position of `sums` the first pool has chosen, as a number of the same type
    patches, patches_delta : (positions, stretch) what the second convolution sees, ∂s/∂ it: (kernel, kernel, channels_1)
    outputs : (channels_2, positions) second convolution, without bias
    feature_at : (F,) which position the second pool has chosen
    kernel_delta : ∂s/∂ one kernel of the first convolution
    seen_delta : (positions, colours · kernel · row) ∂s/∂ what a position of the first convolution sees; 0 between two steps
    touched : (positions,) whether there is any
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
    pitch: int
    stretch: int
    weight_1: int
    bias_1: int
    weight_2: int
    bias_2: int
    vector_shift: np.ndarray
    tap_weight: np.ndarray
    tap_shift: np.ndarray
    image: np.ndarray
    image_delta: np.ndarray
    kernels: np.ndarray
    sums: np.ndarray
    pooled: np.ndarray
    pooled_delta: np.ndarray
    pooled_at: np.ndarray
    patches: np.ndarray
    patches_delta: np.ndarray
    outputs: np.ndarray
    feature_at: np.ndarray
    kernel_delta: np.ndarray
    seen_delta: np.ndarray
    touched: np.ndarray


def kernel_shapes(cnn: CNN) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Return the shapes that the weights of the two convolutions take in `theta`: padded in the last dimension."""
    colours = cnn.shape[0]
    row = -(-cnn.kernel // LANES) * LANES
    return (cnn.channels[0], colours, cnn.kernel, row), (cnn.channels[1], padded(cnn.channels[0] * cnn.kernel**2))


def kernel_views(cnn: CNN, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the two convolutions in the shapes that PyTorch gives them, as views of blocks of `kernel_shapes`."""
    kernel, channels = cnn.kernel, cnn.channels
    dense = second[:, : channels[0] * kernel**2].reshape(channels[1], kernel, kernel, channels[0])
    return first[..., :kernel], dense.transpose(0, 3, 1, 2)


def describe(cnn: CNN, starts: list[int], dtype: np.dtype) -> Convolutions:
    """Lay out the work arrays of a network whose first weight, bias, second weight and bias are at `starts` in `theta`."""
    (_, colours, kernel, row), (_, stretch) = kernel_shapes(cnn)
    _, height, width = cnn.shape
    rows_1, columns_1 = ((side - kernel + 1) // cnn.pool for side in (height, width))
    rows_2, columns_2 = cnn.feature_shape
    lines = [(c, y) for c in range(colours) for y in range(kernel)]
    taps = [(c, y, x) for c, y in lines for x in range(kernel)]
    positions = rows_2 * columns_2 * cnn.pool**2
    pitch = -(-cnn.channels[0] // LANES) * LANES
    positions_1 = rows_1 * cnn.pool * width + _POSITIONS
    cells = rows_1 * columns_1 * cnn.channels[0]

    def work(size: int) -> np.ndarray:
        return aligned_zeros(size, dtype)

    return Convolutions(
        colours=colours, height=height, width=width, kernel=kernel, pool=cnn.pool,
        channels_1=cnn.channels[0], channels_2=cnn.channels[1], row=row,
        rows_1=rows_1, columns_1=columns_1, rows_2=rows_2, columns_2=columns_2, pitch=pitch, stretch=stretch,
        weight_1=starts[0], bias_1=starts[1], weight_2=starts[2], bias_2=starts[3],
        vector_shift=np.array([(c * height + y) * width + x for c, y in lines for x in range(0, kernel, LANES)], np.uintp),
        tap_weight=np.array([(c * kernel + y) * row + x for c, y, x in taps], np.uintp),
        tap_shift=np.array([(c * height + y) * width + x for c, y, x in taps], np.uintp),
        image=work(cnn.inputs + row + _POSITIONS),
        image_delta=work(cnn.inputs + row),
        kernels=work(pitch * len(taps)),
        sums=work(positions_1 * pitch),
        pooled=work(cells + LANES),
        pooled_delta=work(cells),
        pooled_at=work(cells + LANES),
        patches=work(positions * stretch),
        patches_delta=work(positions * stretch),
        outputs=work(cnn.channels[1] * positions),
        feature_at=np.zeros(cnn.channels[1] * rows_2 * columns_2, np.uintp),
        kernel_delta=work(colours * kernel * row),
        seen_delta=work(positions_1 * colours * kernel * row),
        touched=np.zeros(positions_1, np.bool_),
    )  # fmt: skip


@leaf
def features(theta, c, bias, x, start, out):  # type: ignore[no-untyped-def]
    """Write the features of the image that begins at x[start] to `out`; b_1 begins at theta[bias]."""
    image, inputs = c.image, np.uintp(c.colours * c.height * c.width)
    bias, start = np.uintp(bias), np.uintp(start)
    for i in range(inputs):
        image[i] = max(x[start + i] + theta[bias + i], 0)
    _transpose(theta, c)
    _first(theta, c)
    _first_pool(theta, c)
    _gather(c)
    _second(theta, c)
    _second_pool(theta, c, out)


@leaf
def _transpose(theta, c):  # type: ignore[no-untyped-def]
    """Copy the first kernels to `kernels`, eight channels of a tap together."""
    lanes, taps = np.uintp(LANES), np.uintp(len(c.tap_weight))
    size = np.uintp(c.colours * c.kernel * c.row)
    for channel in range(np.uintp(c.channels_1)):
        k = np.uintp(c.weight_1) + channel * size
        to = channel // lanes * lanes * taps + channel % lanes
        for t in range(taps):
            c.kernels[to + t * lanes] = theta[k + c.tap_weight[t]]


@leaf
def _first(theta, c):  # type: ignore[no-untyped-def]
    """Convolve the image with the first kernels: nine positions of a row and eight channels at once."""
    zero, one, lanes = np.uintp(0), np.uintp(1), np.uintp(LANES)
    image, sums, kernels, shifts = c.image, c.sums, c.kernels, c.tap_shift
    width, columns = np.uintp(c.width), np.uintp(c.columns_1 * c.pool)
    pitch, together = np.uintp(c.pitch), np.uintp(_POSITIONS)
    taps, size = np.uintp(len(shifts)), np.uintp(len(shifts)) * lanes
    nought = spread(theta.dtype.type(0))
    for y in range(np.uintp(c.rows_1 * c.pool)):
        for first in range(zero, columns, together):
            # The last nine of a row overlap those before. Where a row has fewer, the next one overwrites what is too much.
            at = y * width + min(first, max(columns, together) - together)
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
def _first_pool(theta, c):  # type: ignore[no-untyped-def]
    """Pool the first convolution, add the bias and apply the ReLU. What is written behind a cell's channels, the next overwrites."""
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
def _gather(c):  # type: ignore[no-untyped-def]
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
def _second(theta, c):  # type: ignore[no-untyped-def]
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
def _second_pool(theta, c, out):  # type: ignore[no-untyped-def]
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
def back(theta, c, bias, delta, scale, target):  # type: ignore[no-untyped-def]
    """Go back from ∂s/∂features in `delta` to ∂s/∂z_1 in ``image_delta``; return ‖∂s/∂z_1‖².

    Subtracts `scale` · ∂s/∂θ from `target`, or from `theta` itself if that is None. A `scale` of None changes nothing.
    """
    _second_back(theta, c, delta, scale, target)
    _scatter(c)
    _first_back(theta, c, scale, target)
    _unfold(c)
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
                last = cell
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
def _scatter(c):  # type: ignore[no-untyped-def]
    """Add the rows of ``patches_delta`` up where they came from, the transpose of `_gather`, and go back through the ReLU."""
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


@leaf
def _first_back(theta, c, scale, target):  # type: ignore[no-untyped-def]
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
def _unfold(c):  # type: ignore[no-untyped-def]
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
