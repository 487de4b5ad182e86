"""Numba kernels of the affine layers, forward and back, for one point at a time.

Layout. All parameters live in one vector. The weight of an affine layer is stored transposed, (n_{l−1}, n_l) in C order, so
that the outgoing weights of one neuron are contiguous: a neuron that is off then costs nothing forward, backward or in the
update, and the rows of four neurons that are on are streamed through the vector units together. Offsets are unsigned integers
because Numba otherwise tests every index for being negative, which stops LLVM from vectorising (a third of the time a step).

"""

from typing import NamedTuple

import numpy as np

from bthcheck.training.fused.compiling import leaf


class Program(NamedTuple):
    """A network as the kernels see it. With convolutions, the affine layers follow them, and the features stand for layer 1.

    identity : whether W_1 is the frozen identity
    sigmoid : whether the output is σ(s) of the last affine map s, with the cross-entropy for a loss; else s, with (s − y)²/2
    factor : what the loss is multiplied with, `Training.loss_factor`
    inputs, first : n and n_1
    widths : (d + 1,) n, n_1 or the number of features, …, 1
    weights, biases : (d,) where each layer starts in `theta`; the first of `biases` is where b_1 does
    hidden : (d − 1,) where each hidden layer starts in the work arrays
    theta : all parameters
    activation, delta : work arrays, one entry a hidden neuron: its value, and ∂s/∂(its pre-activation)
    active, counts : the indices of the neurons that are on, packed at the front of each layer, and how many there are
    """

    identity: bool
    sigmoid: bool
    factor: float
    inputs: int
    first: int
    widths: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    hidden: np.ndarray
    theta: np.ndarray
    activation: np.ndarray
    delta: np.ndarray
    active: np.ndarray
    counts: np.ndarray


@leaf
def first_layer(p, x, start):  # type: ignore[no-untyped-def]
    theta, h = p.theta, p.activation
    n, n_1 = p.widths[0], p.widths[1]
    bias = p.biases[0]
    if p.identity:
        for i in range(n_1):
            h[i] = x[start + i] + theta[bias + i]
    else:
        for i in range(n_1):
            h[i] = theta[bias + i]
        for j in range(n):
            row = p.weights[0] + j * n_1
            for i in range(n_1):
                h[i] += x[start + j] * theta[row + i]
    for i in range(n_1):
        h[i] = max(h[i], 0)


@leaf
def upper_layers(p):  # type: ignore[no-untyped-def]
    """From the activations of layer 1 to s."""
    zero, one, four = np.uintp(0), np.uintp(1), np.uintp(4)
    theta, h, widths = p.theta, p.activation, p.widths
    last = np.uintp(len(widths) - 2)
    for layer in range(one, last):
        inputs, outputs = widths[layer], widths[layer + one]
        a = p.hidden[layer - one]
        count = zero
        for j in range(inputs):  # without a branch: which neurons are on is unpredictable
            p.active[a + count] = j
            count += np.uintp(h[a + j] > 0)
        p.counts[layer] = count
        weight, bias = p.weights[layer], p.biases[layer]
        z = p.hidden[layer]
        for i in range(outputs):
            h[z + i] = theta[bias + i]
        whole = count // four * four
        for k in range(zero, whole, four):
            j0, j1 = p.active[a + k], p.active[a + k + np.uintp(1)]
            j2, j3 = p.active[a + k + np.uintp(2)], p.active[a + k + np.uintp(3)]
            w0, w1 = weight + j0 * outputs, weight + j1 * outputs
            w2, w3 = weight + j2 * outputs, weight + j3 * outputs
            h0, h1, h2, h3 = h[a + j0], h[a + j1], h[a + j2], h[a + j3]
            for i in range(outputs):
                h[z + i] += (h0 * theta[w0 + i] + h1 * theta[w1 + i]) + (h2 * theta[w2 + i] + h3 * theta[w3 + i])
        for k in range(whole, count):
            j0 = p.active[a + k]
            w0, h0 = weight + j0 * outputs, h[a + j0]
            for i in range(outputs):
                h[z + i] += h0 * theta[w0 + i]
        for i in range(outputs):
            h[z + i] = max(h[z + i], 0)
    a, weight = p.hidden[last - one], p.weights[last]
    s = theta[p.biases[last]]
    for j in range(widths[last]):
        s += h[a + j] * theta[weight + j]
    return s


@leaf
def upper_layers_back(p, scale, target):  # type: ignore[no-untyped-def]
    """From s to ∂s/∂(pre-activations of layer 1) in `delta`.

    Updating θ in place, every weight is read once, for the gradient, and written once, for the update.
    """
    zero, one, four = np.uintp(0), np.uintp(1), np.uintp(4)
    theta, h, delta, widths = p.theta, p.activation, p.delta, p.widths
    nought = theta.dtype.type(0)
    updated = theta if target is None else target
    last = np.uintp(len(widths) - 2)
    a, weight = p.hidden[last - one], p.weights[last]
    for j in range(widths[last]):
        delta[a + j] = theta[weight + j] if h[a + j] > 0 else nought
    if scale is not None:
        for j in range(widths[last]):
            updated[weight + j] -= scale * h[a + j]
        updated[p.biases[last]] -= scale

    for back in range(one, last):
        layer = last - back
        inputs, outputs = widths[layer], widths[layer + one]
        a, z = p.hidden[layer - one], p.hidden[layer]
        weight, bias = p.weights[layer], p.biases[layer]
        if scale is not None:
            for i in range(outputs):
                updated[bias + i] -= scale * delta[z + i]
        for j in range(inputs):
            delta[a + j] = nought
        count = p.counts[layer]
        whole = count // four * four
        for k in range(zero, whole, four):
            j0, j1 = p.active[a + k], p.active[a + k + np.uintp(1)]
            j2, j3 = p.active[a + k + np.uintp(2)], p.active[a + k + np.uintp(3)]
            w0, w1 = weight + j0 * outputs, weight + j1 * outputs
            w2, w3 = weight + j2 * outputs, weight + j3 * outputs
            s0, s1, s2, s3 = nought, nought, nought, nought
            if scale is not None:
                c0, c1, c2, c3 = scale * h[a + j0], scale * h[a + j1], scale * h[a + j2], scale * h[a + j3]
            for i in range(outputs):
                d = delta[z + i]
                s0 += theta[w0 + i] * d
                s1 += theta[w1 + i] * d
                s2 += theta[w2 + i] * d
                s3 += theta[w3 + i] * d
                if scale is not None:
                    updated[w0 + i] -= c0 * d
                    updated[w1 + i] -= c1 * d
                    updated[w2 + i] -= c2 * d
                    updated[w3 + i] -= c3 * d
            delta[a + j0], delta[a + j1], delta[a + j2], delta[a + j3] = s0, s1, s2, s3
        for k in range(whole, count):
            j0 = p.active[a + k]
            w0, s0 = weight + j0 * outputs, nought
            if scale is not None:
                c0 = scale * h[a + j0]
            for i in range(outputs):
                d = delta[z + i]
                s0 += theta[w0 + i] * d
                if scale is not None:
                    updated[w0 + i] -= c0 * d
            delta[a + j0] = s0


@leaf
def first_layer_back(p, x, start, scale, target):  # type: ignore[no-untyped-def]
    theta, delta = p.theta, p.delta
    n, n_1 = p.widths[0], p.widths[1]
    updated = theta if target is None else target
    square = theta.dtype.type(0)
    for i in range(n_1):
        square += delta[i] * delta[i]
    if scale is not None:
        bias = p.biases[0]
        for i in range(n_1):
            updated[bias + i] -= scale * delta[i]
        if not p.identity:
            for j in range(n):
                row, c0 = p.weights[0] + j * n_1, scale * x[start + j]
                for i in range(n_1):
                    updated[row + i] -= c0 * delta[i]
    return square
