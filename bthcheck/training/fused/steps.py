"""Numba kernels of one step: through the whole network and back, the loss, and what a step measures before its update.

The backward pass starts from ∂s/∂s = 1 at the last affine map s, and updates scale it by α ∂ℓ/∂s. That gives g = ∂f/∂z_1, with
z_1 = W_1 x + b_1, as ∂f/∂s · ∂s/∂z_1 also where ∂ℓ/∂s is 0, and where a sigmoid is 0 or 1 to rounding.

Arguments that may be None (`c`, `scale`, `target`, `descent`, `kept`) are resolved when Numba compiles: each case is its own
program.
"""

import numpy as np

from bthcheck.training.fused import affine, convolutions
from bthcheck.training.fused.compiling import inlined_leaf, leaf, part
from bthcheck.training.fused.descents import descend


@inlined_leaf
def forward(p, c, x, start):  # type: ignore[no-untyped-def]
    """Return the last affine map s at the point that begins at x[start]; leave activations in the work arrays."""
    if c is None:
        affine.first_layer(p, x, start)
    else:
        convolutions.features(p.theta, c, p.biases[0], x, start, p.activation)
    return affine.upper_layers(p)


@inlined_leaf
def backward(p, c, x, start, scale, target):  # type: ignore[no-untyped-def]
    """Go back from the last `forward` and return ‖∂s/∂z_1‖²; leave ∂s/∂z_1 in `delta` or `image_delta`.

    Subtracts `scale` · ∂s/∂θ from `target`, or from θ itself if that is None. A `scale` of None changes nothing.
    """
    affine.upper_layers_back(p, scale, target)
    if c is not None:
        return convolutions.back(p.theta, c, p.biases[0], p.delta, scale, target)
    return affine.first_layer_back(p, x, start, scale, target)


@part
def thin(p, kept):  # type: ignore[no-untyped-def]
    """Switch hidden neurons off behind a forward pass, whose s stays as it is: `backward` then takes them for off.

    kept : a bit a hidden neuron, in the order of the layers, packed as by ``np.packbits``; None keeps all
    """
    if kept is None:
        return
    bit = 0
    for layer in range(1, len(p.widths) - 1):
        a = p.hidden[layer - 1]
        for j in range(p.widths[layer]):
            if not (kept[bit >> 3] >> (7 - (bit & 7))) & 1:
                p.activation[a + j] = 0
            bit += 1
        affine.list_active(p, np.uintp(layer))


@inlined_leaf
def loss_at(sigmoid, factor, s, y):  # type: ignore[no-untyped-def]
    """Return ℓ, ∂ℓ/∂s, ∂f/∂s, ε = |∂ℓ/∂f| and whether the class is wrong (NaN in regression) at the last affine map s.

    ℓ is `factor` times the squared error or cross-entropy.
    """
    if not sigmoid:
        return factor * 0.5 * (s - y) ** 2, factor * (s - y), 1.0, factor * abs(s - y), np.nan
    decay = np.exp(-abs(s))
    larger = 1.0 / (1.0 + decay)  # σ(|s|); σ(−|s|) is decay times that
    smaller = decay * larger
    f = larger if s > 0 else smaller
    against = smaller if s > 0 else larger  # 1 − f, without cancellation
    slope = f if y < 0.5 else -against
    wrong = (s > 0) != (y > 0.5)
    loss = np.log1p(decay) + (abs(s) if wrong else 0.0)
    return factor * loss, factor * slope, larger * smaller, factor * np.exp(loss), 1.0 if wrong else 0.0


@leaf
def gradient_norms(p, c, x, start, kept):  # type: ignore[no-untyped-def]
    """Return ‖g‖ and λ = ‖W_1ᵀ g‖ at a point, through the neurons that `kept` names; the parameters stay as they are."""
    s = np.float64(forward(p, c, x, start))
    thin(p, kept)
    _, _, steep, _, _ = loss_at(p.sigmoid, p.factor, s, 0.0)
    norm = steep * np.sqrt(np.float64(backward(p, c, x, start, None, None)))
    if p.identity:
        return norm, norm
    n_1 = p.widths[1]
    square = 0.0
    for j in range(p.widths[0]):
        row = p.weights[0] + j * p.columns[0]
        component = 0.0
        for i in range(n_1):
            component += p.theta[row + i] * p.delta[i]
        square += component * component
    return norm, steep * np.sqrt(square)


@leaf
def step(p, c, descent, x, y, points, rate, kept):  # type: ignore[no-untyped-def]
    """Make one step on `points`; return φ, mean ε, ‖Δb_1‖/α, Σℓ and the number of errors, all as they were before it.

    A `descent` of None stands for one point by plain SGD, whose update is made while going back. Otherwise that of the batch is
    gathered first. φ = ‖Δb_1‖/(α ε), with ε the batch mean; one point's is ‖g‖ without dividing. `kept` has a row a point, for
    `thin`, or is None.
    """
    theta, pitch = p.theta, np.uintp(p.pitch)
    if descent is None:
        point = np.uintp(points[0])
        s = np.float64(forward(p, c, x, point * pitch))
        thin(p, None if kept is None else kept[0])
        value, slope, steep, epsilon, wrong = loss_at(p.sigmoid, p.factor, s, np.float64(y[point]))
        norm = np.sqrt(np.float64(backward(p, c, x, point * pitch, theta.dtype.type(rate * slope), None)))
        return steep * norm, epsilon, abs(slope) * norm, value, wrong

    update = descent.gathered
    update[:] = 0
    loss, errors, slopes = 0.0, 0.0, 0.0
    for i, point in enumerate(points):
        start = np.uintp(point) * pitch
        s = np.float64(forward(p, c, x, start))
        thin(p, None if kept is None else kept[i])
        value, slope, steep, epsilon, wrong = loss_at(p.sigmoid, p.factor, s, np.float64(y[point]))
        backward(p, c, x, start, theta.dtype.type(slope), update)
        loss += value
        errors += wrong
        slopes += epsilon
    square = 0.0
    for i in range(p.biases[0], p.biases[0] + np.uintp(p.first)):
        square += np.float64(update[i]) ** 2
    norm, size = np.sqrt(square), len(points)
    phi = norm / slopes if slopes > 0 else _mean_gradient(p, c, update, x, y, points, kept)
    if not descent.plain:
        return phi, slopes / size, descend(descent, theta, size, rate, p.biases[0], np.uintp(p.first)), loss, errors
    scale = theta.dtype.type(rate / size)
    for i in range(len(theta)):
        theta[i] += scale * update[i]
    return phi, slopes / size, norm / size, loss, errors


@leaf
def _mean_gradient(p, c, update, x, y, points, kept):  # type: ignore[no-untyped-def]
    """Return ‖mean of ±g‖ over a batch: φ where every ε is 0, as the limit of equal ones. `update` is 0 before and after."""
    bias = p.biases[0]
    for i, point in enumerate(points):
        start = np.uintp(point) * np.uintp(p.pitch)
        s = np.float64(forward(p, c, x, start))
        thin(p, None if kept is None else kept[i])
        _, slope, steep, _, _ = loss_at(p.sigmoid, p.factor, s, np.float64(y[point]))
        backward(p, c, x, start, None, None)
        sign = p.theta.dtype.type(-steep if slope < 0 else steep)
        for j in range(np.uintp(p.first)):
            update[bias + j] += sign * (p.delta[j] if c is None else c.image_delta[j])
    square = 0.0
    for i in range(bias, bias + np.uintp(p.first)):
        square += np.float64(update[i]) ** 2
        update[i] = 0
    return np.sqrt(square) / len(points)
