"""Numba kernels of the affine layers, forward and back, for one point at a time.

Layout. All parameters live in one vector. The weight of an affine layer is stored transposed, (n_{l−1}, n_l) in C order, so
that the outgoing weights of one neuron are contiguous: the rows of four neurons are read side by side, and in a wide layer a
neuron that is off costs nothing forward, backward or in the update. Rows are padded with zeros to whole registers, and their
number to a multiple of four: nothing is left over then, and what pads stays 0. Offsets are unsigned integers because Numba
otherwise tests every index for being negative.

"""

from typing import NamedTuple

import numpy as np

from bthcheck.training.fused.compiling import part
from bthcheck.training.fused.vectors import (
    TILE,
    lanes,
    load,
    load_like,
    load_tile,
    noughts,
    positive,
    store,
    total,
    totals,
    where_positive,
)

NARROW = 64  # layers with as many inputs at most go through all of them: finding those that are on would take longer

LONG = 256  # rows of as many numbers at least are read from end to end


class Program(NamedTuple):
    """A network as the kernels see it. With convolutions, the affine layers follow them, and the features stand for layer 1.

    identity : whether W_1 is the frozen identity
    sigmoid : whether the output is σ(s) of the last affine map s, with the cross-entropy for a loss; else s, with (s − y)²/2
    factor : what the loss is multiplied with, `Training.loss_factor`
    inputs, first : n and n_1
    pitch : entries from one point to the next, n rounded up to whole registers
    widths : (d + 1,) n, n_1 or the number of features, …, 1
    columns : (d,) what a row of each weight takes in `theta`: n_l rounded up to whole registers
    weights, biases : (d,) where each layer starts in `theta`; the first of `biases` is where b_1 does
    hidden : (d − 1,) where each hidden layer starts in the work arrays
    lists : (d,) where the list of each layer's inputs starts in `active`
    theta : all parameters
    activation, delta : work arrays, one entry a hidden neuron: its value, and ∂s/∂(its pre-activation)
    active, counts : the inputs of each layer to go through, and how many: those that are on, or all; whole fours of them
    """

    identity: bool
    sigmoid: bool
    factor: float
    inputs: int
    first: int
    pitch: int
    widths: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    hidden: np.ndarray
    lists: np.ndarray
    theta: np.ndarray
    activation: np.ndarray
    delta: np.ndarray
    active: np.ndarray
    counts: np.ndarray


@part
def weighted(sums, theta, weight, columns, h, a, active, at, count):  # type: ignore[no-untyped-def]
    """Return `sums` plus h_j times the weights of neuron j, beginning at theta[weight + j · columns], over those in a list."""
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    others = noughts(sums)  # two sums at once, because a product waits for the one before
    for k in range(at, at + count, four):
        j0, j1, j2, j3 = active[k], active[k + one], active[k + two], active[k + three]
        sums = sums + h[a + j0] * load_like(sums, theta, weight + j0 * columns)
        others = others + h[a + j1] * load_like(sums, theta, weight + j1 * columns)
        sums = sums + h[a + j2] * load_like(sums, theta, weight + j2 * columns)
        others = others + h[a + j3] * load_like(sums, theta, weight + j3 * columns)
    return sums + others


@part
def layer_up(p, layer, bias, h, a, z):  # type: ignore[no-untyped-def]
    """Write the activations of a hidden layer to `z` of the work array; its inputs begin at h[a]."""
    theta, active, columns = p.theta, p.active, p.columns[layer]
    weight, at, count = p.weights[layer], p.lists[layer], p.counts[layer]
    if columns >= LONG:
        long_rows_up(p, layer, bias, h, a, z)
        return
    narrow = lanes(theta)
    wide = narrow * np.uintp(TILE)
    whole = columns // wide * wide
    for i in range(np.uintp(0), whole, wide):
        sums = load_tile(theta, bias + i)
        store(p.activation, z + i, positive(weighted(sums, theta, weight + i, columns, h, a, active, at, count)))
    for i in range(whole, columns, narrow):
        sums = load(theta, bias + i)
        store(p.activation, z + i, positive(weighted(sums, theta, weight + i, columns, h, a, active, at, count)))


@part
def long_rows_up(p, layer, bias, h, a, z):  # type: ignore[no-untyped-def]
    """Do as `layer_up` does, reading rows from end to end: memory is slow where only a piece of each is read."""
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    theta, out, active, columns = p.theta, p.activation, p.active, p.columns[layer]
    weight, at, count = p.weights[layer], p.lists[layer], p.counts[layer]
    lane = lanes(theta)
    for i in range(np.uintp(0), columns, lane):
        store(out, z + i, load(theta, bias + i))
    for k in range(at, at + count, four):
        j0, j1, j2, j3 = active[k], active[k + one], active[k + two], active[k + three]
        w0, w1, w2, w3 = weight + j0 * columns, weight + j1 * columns, weight + j2 * columns, weight + j3 * columns
        h0, h1, h2, h3 = h[a + j0], h[a + j1], h[a + j2], h[a + j3]
        for i in range(np.uintp(0), columns, lane):
            low = h0 * load(theta, w0 + i) + h1 * load(theta, w1 + i)
            high = h2 * load(theta, w2 + i) + h3 * load(theta, w3 + i)
            store(out, z + i, load(out, z + i) + (low + high))
    for i in range(np.uintp(0), columns, lane):
        store(out, z + i, positive(load(out, z + i)))


@part
def first_layer(p, x, start):  # type: ignore[no-untyped-def]
    theta, bias = p.theta, p.biases[0]
    if p.identity:
        for i in range(np.uintp(0), p.columns[0], lanes(theta)):
            store(p.activation, i, positive(load(x, start + i) + load(theta, bias + i)))
    else:
        layer_up(p, np.uintp(0), bias, x, start, np.uintp(0))


@part
def list_active(p, layer):  # type: ignore[no-untyped-def]
    """List which inputs of a layer are on, if it is wide, filled up to whole fours with one that is off."""
    zero, one, four = np.uintp(0), np.uintp(1), np.uintp(4)
    inputs = p.widths[layer]
    if inputs <= NARROW:
        return
    h, active, a, at = p.activation, p.active, p.hidden[layer - one], p.lists[layer]
    count, off = zero, inputs  # behind the last there is a row of zeros, unless their number is a multiple of four
    for j in range(inputs):  # without a branch: which neurons are on is unpredictable
        active[at + count] = j
        on = h[a + j] > 0
        count += np.uintp(on)
        off = off if on else j
    for k in range(np.uintp(3)):
        active[at + count + k] = off
    p.counts[layer] = (count + np.uintp(3)) // four * four


@part
def upper_layers(p):  # type: ignore[no-untyped-def]
    """From the activations of layer 1 to s."""
    one = np.uintp(1)
    theta, h, hidden = p.theta, p.activation, p.hidden
    last = np.uintp(len(p.widths) - 2)
    for layer in range(one, last):
        list_active(p, layer)
        layer_up(p, layer, p.biases[layer], h, hidden[layer - one], hidden[layer])
    a, weight = hidden[last - one], p.weights[last]
    s = load(h, a) * load(theta, weight)
    for j in range(lanes(theta), p.columns[last - one], lanes(theta)):
        s = s + load(h, a + j) * load(theta, weight + j)
    return theta[p.biases[last]] + total(s)


@part
def subtract(target, at, columns, scale, row, start):  # type: ignore[no-untyped-def]
    """Subtract `scale` times the numbers from row[start] on from those of target[at] on."""
    for i in range(np.uintp(0), columns, lanes(target)):
        store(target, at + i, load(target, at + i) - scale * load(row, start + i))


@part
def upper_layers_back(p, scale, target):  # type: ignore[no-untyped-def]
    """From s to ∂s/∂(pre-activations of layer 1) in `delta`.

    Updating θ in place, every weight is read once, for the gradient, and written once, for the update.
    """
    zero, one, two, three, four = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    theta, h, delta, active, hidden = p.theta, p.activation, p.delta, p.active, p.hidden
    nought = theta.dtype.type(0)
    updated = theta if target is None else target
    lane = lanes(theta)
    last = np.uintp(len(p.widths) - 2)
    a, weight = hidden[last - one], p.weights[last]
    for j in range(zero, p.columns[last - one], lane):
        store(delta, a + j, where_positive(load(h, a + j), load(theta, weight + j)))
    if scale is not None:
        subtract(updated, weight, p.columns[last - one], scale, h, a)
        updated[p.biases[last]] -= scale

    for back in range(one, last):
        layer = last - back
        columns, weight = p.columns[layer], p.weights[layer]
        a, z, at, count = hidden[layer - one], hidden[layer], p.lists[layer], p.counts[layer]
        if scale is not None:
            subtract(updated, p.biases[layer], columns, scale, delta, z)
        if p.widths[layer] > NARROW:
            for j in range(p.columns[layer - one]):
                delta[a + j] = nought
        for k in range(at, at + count, four):
            j0, j1, j2, j3 = active[k], active[k + one], active[k + two], active[k + three]
            w0, w1, w2, w3 = weight + j0 * columns, weight + j1 * columns, weight + j2 * columns, weight + j3 * columns
            h0, h1, h2, h3 = h[a + j0], h[a + j1], h[a + j2], h[a + j3]
            s0 = noughts(load(delta, z))
            s1, s2, s3 = s0, s0, s0
            for i in range(zero, columns, lane):
                d = load(delta, z + i)
                u0, u1, u2, u3 = load(theta, w0 + i), load(theta, w1 + i), load(theta, w2 + i), load(theta, w3 + i)
                s0, s1, s2, s3 = s0 + u0 * d, s1 + u1 * d, s2 + u2 * d, s3 + u3 * d
                if scale is not None:
                    if target is not None:
                        u0, u1 = load(target, w0 + i), load(target, w1 + i)
                        u2, u3 = load(target, w2 + i), load(target, w3 + i)
                    store(updated, w0 + i, u0 - (scale * h0) * d)
                    store(updated, w1 + i, u1 - (scale * h1) * d)
                    store(updated, w2 + i, u2 - (scale * h2) * d)
                    store(updated, w3 + i, u3 - (scale * h3) * d)
            t0, t1, t2, t3 = totals(s0, s1, s2, s3)
            delta[a + j0] = t0 if h0 > 0 else nought
            delta[a + j1] = t1 if h1 > 0 else nought
            delta[a + j2] = t2 if h2 > 0 else nought
            delta[a + j3] = t3 if h3 > 0 else nought


@part
def first_layer_back(p, x, start, scale, target):  # type: ignore[no-untyped-def]
    delta, columns = p.delta, p.columns[0]
    updated = p.theta if target is None else target
    square = load(delta, np.uintp(0)) * load(delta, np.uintp(0))
    for i in range(lanes(delta), columns, lanes(delta)):
        square = square + load(delta, i) * load(delta, i)
    if scale is not None:
        subtract(updated, p.biases[0], columns, scale, delta, np.uintp(0))
        if not p.identity:
            for j in range(p.widths[0]):
                subtract(updated, p.weights[0] + j * columns, columns, scale * x[start + j], delta, np.uintp(0))
    return total(square)
