"""Numba kernels of the two convolutions of `bthcheck.networks.CNN`, for one image at a time.

What makes them fast. Only the outputs that a pool looks at are computed. Of a pooled window only the largest output has a
gradient, so that going back costs a small part of going forward. Channels of one position lie together, positions one after the
other, and all loops run along channels or along what one position of the second convolution sees. The first convolution keeps
nine positions of a register of channels while it goes through the kernel. The second one reads each weight once for three
positions and each position once for three channels, a piece at a time that stays in the nearest cache. Going back reads each
weight once, for the gradient and the update. A pool comes before its bias and ReLU, which changes nothing: both are increasing.
"""

from typing import NamedTuple

import numpy as np

from bthcheck.networks import CNN
from bthcheck.training.fused import first_convolution, second_convolution
from bthcheck.training.fused.compiling import aligned_zeros, leaf, padded, rounded
from bthcheck.training.fused.first_convolution import POSITIONS
from bthcheck.training.fused.vectors import LANES, lanes


class Convolutions(NamedTuple):
    """The convolutional part of a network as the kernels see it. F features enter the affine layers.

    colours, height, width, kernel, pool, channels_1, channels_2 : as in `CNN`
    row : kernel rounded up to whole registers, what a row of a first kernel takes in `theta`; the rest is kept at 0
    rows_1, columns_1 : outputs of the first pool; rows_2, columns_2 : of the second
    pitch : channels_1 rounded up to whole registers
    stretch : entries of `theta` from one kernel of the second convolution to the next
    weight_1, bias_1, weight_2, bias_2 : where they start in `theta`
    vector_shift : (colours · kernel · row / lanes,) the shift of the image that a register of a first kernel is for
    tap_weight, tap_shift : (colours · kernel²,) where a tap of a first kernel stands in its weights, and its shift of the image
    image, image_delta : relu(x + b_1) and ∂s/∂z_1, with room behind them for whole registers
    kernels : (pitch / lanes, taps, lanes) the first kernels, transposed
    sums : (positions, pitch) first convolution, without bias, a position for every pixel where a kernel may begin
    pooled, pooled_delta : (rows_1, columns_1, channels_1) first pool, with room behind it for a whole register, and ∂s/∂ it
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
    row = rounded(cnn.kernel, LANES)
    return (cnn.channels[0], colours, cnn.kernel, row), (cnn.channels[1], padded(cnn.channels[0] * cnn.kernel**2))


def kernel_views(cnn: CNN, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the two convolutions in PyTorch's shapes, as views of blocks of `kernel_shapes`."""
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
    pitch, lane = rounded(cnn.channels[0], LANES), int(lanes(np.empty(0, dtype)))
    positions_1 = rows_1 * cnn.pool * width + POSITIONS
    cells = rows_1 * columns_1 * cnn.channels[0]

    def work(size: int) -> np.ndarray:
        return aligned_zeros(size, dtype)

    return Convolutions(
        colours=colours, height=height, width=width, kernel=kernel, pool=cnn.pool,
        channels_1=cnn.channels[0], channels_2=cnn.channels[1], row=row,
        rows_1=rows_1, columns_1=columns_1, rows_2=rows_2, columns_2=columns_2, pitch=pitch, stretch=stretch,
        weight_1=starts[0], bias_1=starts[1], weight_2=starts[2], bias_2=starts[3],
        vector_shift=np.array([(c * height + y) * width + x for c, y in lines for x in range(0, row, lane)], np.uintp),
        tap_weight=np.array([(c * kernel + y) * row + x for c, y, x in taps], np.uintp),
        tap_shift=np.array([(c * height + y) * width + x for c, y, x in taps], np.uintp),
        image=work(cnn.inputs + row + POSITIONS),
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
    first_convolution.transpose(theta, c)
    first_convolution.convolve(theta, c)
    first_convolution.pool(theta, c)
    second_convolution.gather(c)
    second_convolution.convolve(theta, c)
    second_convolution.pool(theta, c, out)


@leaf
def back(theta, c, bias, delta, scale, target):  # type: ignore[no-untyped-def]
    """Go back from ∂s/∂features in `delta` to ∂s/∂z_1 in ``image_delta``; return ‖∂s/∂z_1‖².

    Subtracts `scale` · ∂s/∂θ from `target`, or from `theta` itself if that is None. A `scale` of None changes nothing.
    """
    second_convolution.convolve_back(theta, c, delta, scale, target)
    second_convolution.scatter(c)
    first_convolution.pool_back(theta, c, scale, target)
    first_convolution.unfold(c)
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
