"""Numba programs of the fused engine: the loops over steps that train, trace, follow and watch, with no Python inside."""

import numpy as np

from bthcheck.training.fused.compiling import program
from bthcheck.training.fused.steps import backward, forward, gradient_norms, loss_at, step


@program
def train(p, c, descent, x, y, x_test, y_test, order, kept, batch, rates, tested, probed, table, stop):  # type: ignore[no-untyped-def]
    """Train, filling one row of `table` a row of `order`, columns as in `STATISTICS`; stop after a row that is not finite.

    descent : how the gradient of a batch is gathered and followed, or None at batch size 1 by plain SGD
    kept : (rows, points, bytes) what Dropout keeps at each visit of `order`, or None
    tested, probed : after which rows to look at the test points, and to evaluate the local Lipschitz constants
    stop : one number, on which another thread puts 1 to end this
    """
    theta, pitch, n_1 = p.theta, np.uintp(p.pitch), np.uintp(p.first)
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
            if stop[0]:
                return
            for i in range(n_1):
                deviation = np.float64(b_1[i] - reference[i])
                shift[i] += deviation
                spread += deviation * deviation
            last = min(first + batch, points)
            thinned = None if kept is None else kept[epoch, first:last]
            phi, epsilon, moved, value, wrong = step(p, c, descent, x, y, order[epoch, first:last], rate, thinned)
            loss += value
            errors += wrong
            length += phi
            largest = max(largest, phi)
            path += rate * moved
            published += moved * epsilon / p.factor  # the published ε knows nothing of the factor
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
                s = np.float64(forward(p, c, x_test, k * pitch))
                value, _, _, _, wrong = loss_at(p.sigmoid, p.factor, s, np.float64(y_test[k]))
                test_loss += value
                test_errors += wrong
            row[6] = test_loss / len(y_test)
            row[8] = test_errors / len(y_test)
        if probed[epoch]:
            total, peak = 0.0, 0.0
            for k in range(np.uintp(len(y))):
                _, constant = gradient_norms(p, c, x, k * pitch, None)
                total += constant
                peak = max(peak, constant)
            row[9] = total / len(y)
            row[10] = peak
        if p.sigmoid:
            row[11] = published
        if not np.isfinite(loss + length):
            break


@program
def trace(  # type: ignore[no-untyped-def]
    p,
    c,
    descent,
    x,
    y,
    visits,
    kept,
    sizes,
    rates,
    phi,
    epsilon,
    bias,
    first_weight,
    gradient_norm,
    point_lipschitz,
    lipschitz,
    stop,
):
    """Train over `visits`, as many points a step as `sizes` says, writing what each step saw before its update."""
    n, n_1, pitch = np.uintp(p.inputs), np.uintp(p.first), np.uintp(p.pitch)
    b_1 = p.theta[p.biases[0] : p.biases[0] + n_1]
    first = 0
    for number, size in enumerate(sizes):
        if stop[0]:
            return
        bias[number] = b_1
        if not p.identity:
            for j in range(n):
                for i in range(n_1):
                    first_weight[number, i, j] = p.theta[p.weights[0] + j * p.columns[0] + i]
        for k in range(np.uintp(len(y))):
            gradient_norm[number, k], point_lipschitz[number, k] = gradient_norms(p, c, x, k * pitch, None)
        visited = visits[first : first + size]
        thinned = None if kept is None else kept[first : first + size]
        first += size
        for i, point in enumerate(visited):
            _, constant = gradient_norms(p, c, x, np.uintp(point) * pitch, None if thinned is None else thinned[i])
            lipschitz[number] = max(lipschitz[number], constant)
        phi[number], epsilon[number], _, _, _ = step(p, c, descent, x, y, visited, rates[number], thinned)
    bias[len(sizes)] = b_1


@program
def follow(p, c, x, y, visits, rates, phi, epsilon, gradient, after, stop):  # type: ignore[no-untyped-def]
    """Train over `visits`, one point a step, writing φ, ε and ∂ℓ/∂b_1 of every step and λ at its point after its update."""
    for number, point in enumerate(visits):
        if stop[0]:
            return
        start = np.uintp(point) * np.uintp(p.pitch)
        s = np.float64(forward(p, c, x, start))
        _, slope, steep, epsilon[number], _ = loss_at(p.sigmoid, p.factor, s, np.float64(y[point]))
        phi[number] = steep * np.sqrt(np.float64(backward(p, c, x, start, p.theta.dtype.type(rates[number] * slope), None)))
        for i in range(p.first):
            gradient[number, i] = slope * (p.delta[i] if c is None else c.image_delta[i])
        _, after[number] = gradient_norms(p, c, x, start, None)


@program
def visits(p, c, x, y, order, rates, phi, epsilon, loss, logit, stop):  # type: ignore[no-untyped-def]
    """Train over `order`, (rows, points), one point a step, writing what each visit saw before its step, as `VISIT` has it."""
    for row in range(order.shape[0]):
        rate = rates[row]
        for number in range(order.shape[1]):
            if stop[0]:
                return
            start = np.uintp(order[row, number]) * np.uintp(p.pitch)
            s = np.float64(forward(p, c, x, start))
            value, slope, steep, eps, _ = loss_at(p.sigmoid, p.factor, s, np.float64(y[order[row, number]]))
            scale = p.theta.dtype.type(rate * slope)
            phi[row, number] = steep * np.sqrt(np.float64(backward(p, c, x, start, scale, None)))
            epsilon[row, number] = eps
            loss[row, number] = value
            logit[row, number] = s


@program
def watch(p, x, y, visits, kept, rate, phi, logit, first_weight, on, changed, lowest, highest, stop):  # type: ignore[no-untyped-def]
    """Train over `visits` with Dropout, one point a step, writing φ and s of every step before its update.

    Before the first step and after every one, all training points are looked at: `changed` is set where a hidden neuron is
    not as in `on`, (points, Σ n_l), which the first look fills; `lowest` and `highest` are the extremes of λ.
    """
    n, n_1, pitch = np.uintp(p.inputs), np.uintp(p.first), np.uintp(p.pitch)
    for number in range(len(visits) + 1):
        if stop[0]:
            return
        for k in range(np.uintp(len(y))):
            _, constant = gradient_norms(p, None, x, k * pitch, None)
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
                    first_weight[number, i, j] = p.theta[p.weights[0] + j * p.columns[0] + i]
        if number < len(visits):
            logit[number] = forward(p, None, x, np.uintp(visits[number]) * pitch)
            one = slice(number, number + 1)
            phi[number], _, _, _, _ = step(p, None, None, x, y, visits[one], rate, kept[one])
