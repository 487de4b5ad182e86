"""Numba kernels of the fused engine: the affine layers, the loss, and the loop over steps, with no Python inside.

Layout. All parameters live in one vector. The weight of an affine layer is stored transposed, (n_{l−1}, n_l) in C order, so
that the outgoing weights of one neuron are contiguous: a neuron that is off then costs nothing forward, backward or in the
update, and the rows of four neurons that are on are streamed through the vector units together. Offsets are unsigned integers
because Numba otherwise tests every index for being negative, which stops LLVM from vectorising (a third of the time a step).

The backward pass starts from ∂s/∂s = 1 at the last affine map s, and updates scale it by α ∂ℓ/∂s. That gives g = ∂f/∂z_1, with
z_1 = W_1 x + b_1, as ∂f/∂s · ∂s/∂z_1 also where ∂ℓ/∂s is 0, and where a sigmoid is 0 or 1 to rounding.

Arguments that may be None (`c`, `scale`, `target`, `update`, `kept`) are resolved when Numba compiles: each case is its own
program.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from bthcheck.training.fused import convolutions
from bthcheck.training.fused.compiling import COMPILE, LEAF


class Program(NamedTuple):
    """A network as the kernels see it. With convolutions, the affine layers follow them, and the features stand for layer 1.

    identity : whether W_1 is the frozen identity
    sigmoid : whether the output is σ(s) of the last affine map s, with the cross-entropy for a loss; else s, with (s − y)²/2
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


@njit(**LEAF)
def forward(p, c, x, start):  # type: ignore[no-untyped-def]
    """Return the last affine map s at the point that begins at x[start]; leave activations in the work arrays."""
    if c is None:
        _first_layer(p, x, start)
    else:
        convolutions.features(p.theta, c, p.biases[0], x, start, p.activation)
    return _upper_layers(p)


@njit(**LEAF)
def backward(p, c, x, start, scale, target):  # type: ignore[no-untyped-def]
    """Go back from the last `forward` and return ‖∂s/∂z_1‖²; leave ∂s/∂z_1 in `delta` or `image_delta`.

    Subtracts `scale` · ∂s/∂θ from `target`, or from θ itself if that is None. A `scale` of None changes nothing.
    """
    _upper_layers_back(p, scale, target)
    if c is not None:
        return convolutions.back(p.theta, c, p.biases[0], p.delta, scale, target)
    return _first_layer_back(p, x, start, scale, target)


@njit(**LEAF)
def thin(p, kept):  # type: ignore[no-untyped-def]
    """Switch hidden neurons off behind a forward pass, whose s stays as it is: `backward` then takes them for off.

    kept : a bit a hidden neuron, in the order of the layers, packed as by ``np.packbits``; None keeps all
    """
    if kept is None:
        return
    bit = 0
    for layer in range(1, len(p.widths) - 1):
        a = p.hidden[layer - 1]
        count = np.uintp(0)
        for j in range(p.widths[layer]):
            if not (kept[bit >> 3] >> (7 - (bit & 7))) & 1:
                p.activation[a + j] = 0
            bit += 1
            p.active[a + count] = j
            count += np.uintp(p.activation[a + j] > 0)
        p.counts[layer] = count


@njit(**LEAF)
def _first_layer(p, x, start):  # type: ignore[no-untyped-def]
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


@njit(**LEAF)
def _upper_layers(p):  # type: ignore[no-untyped-def]
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


@njit(**LEAF)
def _upper_layers_back(p, scale, target):  # type: ignore[no-untyped-def]
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


@njit(**LEAF)
def _first_layer_back(p, x, start, scale, target):  # type: ignore[no-untyped-def]
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


@njit(**LEAF)
def loss_at(sigmoid, s, y):  # type: ignore[no-untyped-def]
    """Return ℓ, ∂ℓ/∂s, ∂f/∂s, ε = |∂ℓ/∂f| and whether the class is wrong (NaN in regression) at the last affine map s."""
    if not sigmoid:
        return 0.5 * (s - y) ** 2, s - y, 1.0, abs(s - y), np.nan
    decay = np.exp(-abs(s))
    larger = 1.0 / (1.0 + decay)  # σ(|s|); σ(−|s|) is decay times that
    smaller = decay * larger
    f = larger if s > 0 else smaller
    against = smaller if s > 0 else larger  # 1 − f, without cancellation
    slope = f if y < 0.5 else -against
    wrong = (s > 0) != (y > 0.5)
    loss = np.log1p(decay) + (abs(s) if wrong else 0.0)
    return loss, slope, larger * smaller, np.exp(loss), 1.0 if wrong else 0.0


@njit(**LEAF)
def gradient_norms(p, c, x, start, kept):  # type: ignore[no-untyped-def]
    """Return ‖g‖ and λ = ‖W_1ᵀ g‖ at a point, through the neurons that `kept` names; the parameters stay as they are."""
    s = np.float64(forward(p, c, x, start))
    thin(p, kept)
    _, _, steep, _, _ = loss_at(p.sigmoid, s, 0.0)
    norm = steep * np.sqrt(np.float64(backward(p, c, x, start, None, None)))
    if p.identity:
        return norm, norm
    n_1 = p.widths[1]
    square = 0.0
    for j in range(p.widths[0]):
        row = p.weights[0] + j * n_1
        component = 0.0
        for i in range(n_1):
            component += p.theta[row + i] * p.delta[i]
        square += component * component
    return norm, steep * np.sqrt(square)


@njit(**LEAF)
def step(p, c, update, x, y, points, rate, kept):  # type: ignore[no-untyped-def]
    """Make one step on `points`; return φ, mean ε, ‖Δb_1‖/α, Σℓ and the number of errors, all as they were before it.

    An `update` of None stands for one point, whose update is made while going back. Otherwise that of the batch is collected
    there first. φ = ‖Δb_1‖/(α ε), with ε the batch mean; one point's is ‖g‖ without dividing. `kept` has a row a point, for
    `thin`, or is None.
    """
    theta, n = p.theta, np.uintp(p.inputs)
    if update is None:
        point = np.uintp(points[0])
        s = np.float64(forward(p, c, x, point * n))
        thin(p, None if kept is None else kept[0])
        value, slope, steep, epsilon, wrong = loss_at(p.sigmoid, s, np.float64(y[point]))
        norm = np.sqrt(np.float64(backward(p, c, x, point * n, theta.dtype.type(rate * slope), None)))
        return steep * norm, epsilon, abs(slope) * norm, value, wrong

    update[:] = 0
    loss, errors, slopes = 0.0, 0.0, 0.0
    for i, point in enumerate(points):
        start = np.uintp(point) * n
        s = np.float64(forward(p, c, x, start))
        thin(p, None if kept is None else kept[i])
        value, slope, steep, epsilon, wrong = loss_at(p.sigmoid, s, np.float64(y[point]))
        backward(p, c, x, start, theta.dtype.type(slope), update)
        loss += value
        errors += wrong
        slopes += epsilon
    square = 0.0
    for i in range(p.biases[0], p.biases[0] + np.uintp(p.first)):
        square += np.float64(update[i]) ** 2
    norm, size = np.sqrt(square), len(points)
    phi = norm / slopes if slopes > 0 else _mean_gradient(p, c, update, x, y, points, kept)
    scale = theta.dtype.type(rate / size)
    for i in range(len(theta)):
        theta[i] += scale * update[i]
    return phi, slopes / size, norm / size, loss, errors


@njit(**LEAF)
def _mean_gradient(p, c, update, x, y, points, kept):  # type: ignore[no-untyped-def]
    """Return ‖mean of ±g‖ over a batch: φ where every ε is 0, as the limit of equal ones. `update` is 0 before and after."""
    bias = p.biases[0]
    for i, point in enumerate(points):
        start = np.uintp(point) * np.uintp(p.inputs)
        s = np.float64(forward(p, c, x, start))
        thin(p, None if kept is None else kept[i])
        _, slope, steep, _, _ = loss_at(p.sigmoid, s, np.float64(y[point]))
        backward(p, c, x, start, None, None)
        sign = p.theta.dtype.type(-steep if slope < 0 else steep)
        for j in range(np.uintp(p.first)):
            update[bias + j] += sign * (p.delta[j] if c is None else c.image_delta[j])
    square = 0.0
    for i in range(bias, bias + np.uintp(p.first)):
        square += np.float64(update[i]) ** 2
        update[i] = 0
    return np.sqrt(square) / len(points)


@njit(**COMPILE)
def train(p, c, update, x, y, x_test, y_test, order, kept, batch, rates, tested, probed, table):  # type: ignore[no-untyped-def]
    """Train, filling one row of `table` a row of `order`, columns as in `STATISTICS`; stop after a row that is not finite.

    update : room for the update of a batch, or None at batch size 1
    kept : (rows, points, bytes) what Dropout keeps at each visit of `order`, or None
    tested, probed : after which rows to look at the test points, and to evaluate the local Lipschitz constants
    """
    theta, n, n_1 = p.theta, np.uintp(p.inputs), np.uintp(p.first)
    b_1 = theta[p.biases[0] : p.biases[0] + n_1]
    initial = b_1.copy()
    reference = b_1.copy()
    shift = np.zeros(n_1)
    rows, points = order.shape
    for epoch in range(rows):
        rate = rates[epoch]
        length, largest, spread, path, loss, errors, published = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        # Deviations are taken from the row's first bias: subtracting two large sums of squares would cancel.
        for i in range(n_1):
            reference[i] = b_1[i]
            shift[i] = 0.0
        steps = 0
        for first in range(0, points, batch):
            for i in range(n_1):
                deviation = np.float64(b_1[i] - reference[i])
                shift[i] += deviation
                spread += deviation * deviation
            last = min(first + batch, points)
            thinned = None if kept is None else kept[epoch, first:last]
            phi, epsilon, moved, value, wrong = step(p, c, update, x, y, order[epoch, first:last], rate, thinned)
            loss += value
            errors += wrong
            length += phi
            largest = max(largest, phi)
            path += rate * moved
            published += moved * epsilon
            steps += 1

        drift, distance = 0.0, 0.0
        for i in range(n_1):
            drift += (shift[i] / steps) ** 2
            distance += np.float64(b_1[i] - initial[i]) ** 2
        row = table[epoch]
        row[0] = length
        row[1] = largest
        row[2] = (spread / steps - drift) / rate**2
        row[3] = np.sqrt(distance)
        row[4] = path
        row[5] = loss / points
        row[7] = errors / points
        if tested[epoch]:
            test_loss, test_errors = 0.0, 0.0
            for k in range(np.uintp(len(y_test))):
                value, _, _, _, wrong = loss_at(p.sigmoid, np.float64(forward(p, c, x_test, k * n)), np.float64(y_test[k]))
                test_loss += value
                test_errors += wrong
            row[6] = test_loss / len(y_test)
            row[8] = test_errors / len(y_test)
        if probed[epoch]:
            total, peak = 0.0, 0.0
            for k in range(np.uintp(len(y))):
                _, constant = gradient_norms(p, c, x, k * n, None)
                total += constant
                peak = max(peak, constant)
            row[9] = total / len(y)
            row[10] = peak
        if p.sigmoid:
            row[11] = published
        if not np.isfinite(loss + length):
            break


@njit(**COMPILE)
def trace(  # type: ignore[no-untyped-def]
    p, c, update, x, y, visits, kept, sizes, rates, phi, epsilon, bias, first_weight, gradient_norm, point_lipschitz, lipschitz
):
    """Train over `visits`, as many points a step as `sizes` says, writing what each step saw before its update."""
    n, n_1 = np.uintp(p.inputs), np.uintp(p.first)
    b_1 = p.theta[p.biases[0] : p.biases[0] + n_1]
    first = 0
    for number, size in enumerate(sizes):
        bias[number] = b_1
        if not p.identity:
            for j in range(n):
                for i in range(n_1):
                    first_weight[number, i, j] = p.theta[p.weights[0] + j * n_1 + i]
        for k in range(np.uintp(len(y))):
            gradient_norm[number, k], point_lipschitz[number, k] = gradient_norms(p, c, x, k * n, None)
        visited = visits[first : first + size]
        thinned = None if kept is None else kept[first : first + size]
        first += size
        for i, point in enumerate(visited):
            _, constant = gradient_norms(p, c, x, np.uintp(point) * n, None if thinned is None else thinned[i])
            lipschitz[number] = max(lipschitz[number], constant)
        phi[number], epsilon[number], _, _, _ = step(p, c, update, x, y, visited, rates[number], thinned)
    bias[len(sizes)] = b_1


@njit(**COMPILE)
def follow(p, c, x, y, visits, rate, phi, epsilon, gradient, after):  # type: ignore[no-untyped-def]
    """Train over `visits`, one point a step, writing φ, ε and ∂ℓ/∂b_1 of every step and λ at its point after its update."""
    for number, point in enumerate(visits):
        start = np.uintp(point) * np.uintp(p.inputs)
        s = np.float64(forward(p, c, x, start))
        _, slope, steep, epsilon[number], _ = loss_at(p.sigmoid, s, np.float64(y[point]))
        phi[number] = steep * np.sqrt(np.float64(backward(p, c, x, start, p.theta.dtype.type(rate * slope), None)))
        for i in range(p.first):
            gradient[number, i] = slope * (p.delta[i] if c is None else c.image_delta[i])
        _, after[number] = gradient_norms(p, c, x, start, None)


@njit(**COMPILE)
def watch(p, x, y, visits, kept, rate, phi, logit, first_weight, on, changed, lowest, highest):  # type: ignore[no-untyped-def]
    """Train over `visits` with Dropout, one point a step, writing φ and s of every step before its update.

    Before the first step and after every one, all training points are looked at: `changed` is set where a hidden neuron is
    not as in `on`, (points, Σ n_l), which the first look fills; `lowest` and `highest` are the extremes of λ.
    """
    n, n_1 = np.uintp(p.inputs), np.uintp(p.first)
    for number in range(len(visits) + 1):
        for k in range(np.uintp(len(y))):
            _, constant = gradient_norms(p, None, x, k * n, None)
            lowest[k] = min(lowest[k], constant)
            highest[k] = max(highest[k], constant)
            neuron, differ = np.uintp(0), 0
            for layer in range(1, len(p.widths) - 1):
                a = p.hidden[layer - 1]
                for j in range(p.widths[layer]):
                    active = p.activation[a + j] > 0
                    if number == 0:
                        on[k, neuron + j] = active
                    differ += on[k, neuron + j] != active
                neuron += p.widths[layer]
            changed[k] |= differ > 0
        if not p.identity:
            for j in range(n):
                for i in range(n_1):
                    first_weight[number, i, j] = p.theta[p.weights[0] + j * n_1 + i]
        if number < len(visits):
            logit[number] = forward(p, None, x, np.uintp(visits[number]) * n)
            one = slice(number, number + 1)
            phi[number], _, _, _, _ = step(p, None, None, x, y, visits[one], rate, kept[one])
