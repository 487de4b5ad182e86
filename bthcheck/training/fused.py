"""Engine "fused": one Numba kernel trains one MLP run at batch size 1 with all statistics, no Python in the step loop.

Layout. All parameters live in one vector. The weight of layer l is stored transposed, (n_{l−1}, n_l) in C order, so that the
outgoing weights of one neuron are contiguous: a neuron that is off then costs nothing forward, backward or in the update, and
the rows of four neurons that are on are streamed through the vector units together. Offsets are unsigned integers because
Numba otherwise tests every index for being negative, which stops LLVM from vectorising (a third of the time a step).

The backward pass starts from ∂s/∂s = 1 at the last affine map s, and updates scale it by α ∂ℓ/∂s. That gives g = ∂f/∂z_1, with
z_1 = W_1 x + b_1, as ∂f/∂s · ∂s/∂z_1 also where ∂ℓ/∂s is 0, and where a sigmoid is 0 or 1 to rounding.
"""

import time
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from bthcheck.networks import MLP, Network
from bthcheck.training.runs import Run, RunResult, flat_parameters, load_parameters
from bthcheck.training.statistics import STATISTICS, blank_statistics, mark_divergence

NAME = "fused"
DEVICES = ("cpu",)

# Sums may be reordered and products fused; NaN and infinity keep their meaning, or a run that diverges could not be seen.
_COMPILE: dict[str, Any] = {
    "nogil": True,
    "inline": "never",
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
}
_COLUMNS = tuple(STATISTICS)


def unsupported(run: Run) -> str | None:
    """Return why this engine cannot train `run`, or None if it can."""
    if not isinstance(run.setting.network, MLP):
        return f"engine 'fused' trains networks of type MLP, got {type(run.setting.network).__name__}; use engine='stacked'"
    batch_size = run.setting.training.batch_size
    if batch_size != 1:
        return f"engine 'fused' trains at batch size 1, got {batch_size}; use engine='stacked'"
    return None


def train(run: Run, device: str = "cpu") -> RunResult:
    """Train one run and return its epoch statistics."""
    del device
    start = time.perf_counter()
    training = run.setting.training
    network = run.network()
    program = _pack(network)
    table = np.full((training.epochs, len(_COLUMNS)), np.nan)
    x_train, y_train, x_test, y_test = _points(run)
    _train(
        program, x_train, y_train, x_test, y_test, run.order(), np.array(training.learning_rates()),
        training.lipschitz_every, table,
    )  # fmt: skip
    _unpack(program, network)
    statistics = blank_statistics(training.epochs)
    for name, column in zip(_COLUMNS, table.T, strict=True):
        statistics[name] = column.copy()
    return RunResult(
        statistics=statistics,
        parameters=flat_parameters(network),
        diverged=mark_divergence(statistics),
        seconds=time.perf_counter() - start,
    )


def trace(run: Run, steps: int, device: str = "cpu") -> dict[str, np.ndarray]:
    """Train for `steps` steps and return every one of them; see `bthcheck.training.engines.trace` for the arrays."""
    del device
    setting = run.setting
    program = _pack(run.network())
    x_train, y_train, _, _ = _points(run)
    visits = run.order().ravel()[:steps]
    rates = np.repeat(setting.training.learning_rates(), setting.task.train)[:steps]
    n, n_1 = (int(width) for width in program.widths[:2])
    arrays = {
        "phi": np.empty(steps),
        "epsilon": np.empty(steps),
        "bias": np.empty((steps + 1, n_1)),
        "first_weight": np.empty((steps, n_1, n)),
        "gradient_norm": np.empty((steps, setting.task.train)),
        "point_lipschitz": np.empty((steps, setting.task.train)),
    }
    _trace(program, x_train, y_train, visits, rates, *arrays.values())
    arrays["lipschitz"] = arrays["point_lipschitz"][np.arange(steps), visits]
    arrays["learning_rate"] = rates
    return arrays


class _Program(NamedTuple):
    """A network as the kernel sees it.

    identity : whether W_1 is the frozen identity
    sigmoid : whether the output is σ(s) of the last affine map s, with the cross-entropy for a loss; else s, with (s − y)²/2
    widths : (d + 1,) n, n_1, …, 1
    weights, biases : (d,) where each layer starts in `theta`
    hidden : (d − 1,) where each hidden layer starts in the work arrays
    theta : all parameters
    activation, delta : work arrays, one entry a hidden neuron: its value, and ∂f/∂(its pre-activation)
    active, counts : the indices of the neurons that are on, packed at the front of each layer, and how many there are
    """

    identity: bool
    sigmoid: bool
    widths: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    hidden: np.ndarray
    theta: np.ndarray
    activation: np.ndarray
    delta: np.ndarray
    active: np.ndarray
    counts: np.ndarray


def _pack(network: Network) -> _Program:
    layers = [(None if weight is None else weight.numpy(), bias.numpy()) for weight, bias in network.layers()]
    blocks = [block for weight, bias in layers for block in (np.empty((0, 0)) if weight is None else weight.T, bias)]
    starts = np.cumsum([0, *(_padded(block.size) for block in blocks)])
    dtype = layers[0][1].dtype
    theta = _aligned_zeros(int(starts[-1]), dtype)
    for start, block in zip(starts, blocks, strict=False):
        theta[start : start + block.size] = block.ravel()
    n_1 = layers[0][1].size
    first = layers[0][0]
    widths = [n_1 if first is None else first.shape[1], *(bias.size for _, bias in layers)]
    hidden = np.cumsum([0, *map(_padded, widths[1:-1])])
    return _Program(
        identity=first is None,
        sigmoid=network.sigmoid,
        widths=np.array(widths, np.uintp),
        weights=starts[:-1:2].astype(np.uintp),
        biases=starts[1:-1:2].astype(np.uintp),
        hidden=hidden.astype(np.uintp),
        theta=theta,
        activation=_aligned_zeros(int(hidden[-1]), dtype),
        delta=_aligned_zeros(int(hidden[-1]), dtype),
        active=np.zeros(hidden[-1], np.uintp),
        counts=np.zeros(len(widths), np.uintp),
    )


def _padded(size: int) -> int:
    """Round up to whole cache lines of float32, so that every block starts on one (5 % a step)."""
    return -(-size // 16) * 16


def _aligned_zeros(size: int, dtype: Any) -> np.ndarray:
    """``np.zeros`` starting on a cache line."""
    line = 64
    raw = np.zeros(size * np.dtype(dtype).itemsize + line, np.uint8)
    offset = -raw.ctypes.data % line
    return raw[offset : offset + size * np.dtype(dtype).itemsize].view(dtype)


def _unpack(program: _Program, network: Network) -> None:
    """Write the kernel's parameters back into `network`."""
    pieces = []
    for layer, (inputs, outputs) in enumerate(pairwise(int(width) for width in program.widths)):
        weight, bias = int(program.weights[layer]), int(program.biases[layer])
        if layer > 0 or not program.identity:
            pieces.append(program.theta[weight : weight + inputs * outputs].reshape(inputs, outputs).T.ravel())
        pieces.append(program.theta[bias : bias + outputs])
    load_parameters(network, np.concatenate(pieces))


def _points(run: Run) -> tuple[np.ndarray, ...]:
    """The data as flat arrays in the run's type."""
    return tuple(tensor.to(run.dtype).numpy().ravel() for tensor in run.data())


@njit(**_COMPILE)
def _forward(p, x, start):  # type: ignore[no-untyped-def]
    """Return the last affine map s at the point that begins at x[start]; leave activations in the work arrays."""
    zero, one, four = np.uintp(0), np.uintp(1), np.uintp(4)
    theta, h, widths = p.theta, p.activation, p.widths
    depth = np.uintp(len(widths) - 1)
    n, n_1 = widths[0], widths[1]
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

    last = depth - one
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
    f = theta[p.biases[last]]
    for j in range(widths[last]):
        f += h[a + j] * theta[weight + j]
    return f


@njit(**_COMPILE)
def _backward(p, x, start, scale):  # type: ignore[no-untyped-def]
    """Go back from the last `_forward`: leave ∂s/∂z_1 in ``delta[:n_1]``, subtract `scale` · ∂s/∂θ, return ‖∂s/∂z_1‖².

    Every weight is read once, for the gradient, and written once, for the update. A `scale` of None leaves θ alone; Numba
    compiles that case by itself, without the updates.
    """
    zero, one, four = np.uintp(0), np.uintp(1), np.uintp(4)
    theta, h, delta, widths = p.theta, p.activation, p.delta, p.widths
    nought = theta.dtype.type(0)
    last = np.uintp(len(widths) - 2)
    a, weight = p.hidden[last - one], p.weights[last]
    for j in range(widths[last]):
        delta[a + j] = theta[weight + j] if h[a + j] > 0 else nought
    if scale is not None:
        for j in range(widths[last]):
            theta[weight + j] -= scale * h[a + j]
        theta[p.biases[last]] -= scale

    for back in range(one, last):
        layer = last - back
        inputs, outputs = widths[layer], widths[layer + one]
        a, z = p.hidden[layer - one], p.hidden[layer]
        weight, bias = p.weights[layer], p.biases[layer]
        if scale is not None:
            for i in range(outputs):
                theta[bias + i] -= scale * delta[z + i]
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
                    theta[w0 + i] -= c0 * d
                    theta[w1 + i] -= c1 * d
                    theta[w2 + i] -= c2 * d
                    theta[w3 + i] -= c3 * d
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
                    theta[w0 + i] -= c0 * d
            delta[a + j0] = s0

    n, n_1 = widths[0], widths[1]
    square = nought
    for i in range(n_1):
        square += delta[i] * delta[i]
    if scale is not None:
        bias = p.biases[0]
        for i in range(n_1):
            theta[bias + i] -= scale * delta[i]
        if not p.identity:
            for j in range(n):
                row, c0 = p.weights[0] + j * n_1, scale * x[start + j]
                for i in range(n_1):
                    theta[row + i] -= c0 * delta[i]
    return square


@njit(**_COMPILE)
def _loss(sigmoid, s, y):  # type: ignore[no-untyped-def]
    """Return ℓ, ∂ℓ/∂s, ∂f/∂s and whether the class is wrong (NaN in regression) at the last affine map s, in float64."""
    if not sigmoid:
        return 0.5 * (s - y) ** 2, s - y, 1.0, np.nan
    decay = np.exp(-abs(s))
    larger = 1.0 / (1.0 + decay)  # σ(|s|); σ(−|s|) is decay times that
    smaller = decay * larger
    f = larger if s > 0 else smaller
    against = smaller if s > 0 else larger  # 1 − f, without cancellation
    slope = f if y < 0.5 else -against
    loss = np.log1p(decay) + (abs(s) if (s > 0) != (y > 0.5) else 0.0)
    return loss, slope, larger * smaller, 1.0 if (s > 0) != (y > 0.5) else 0.0


@njit(**_COMPILE)
def _gradient_norms(p, x, start):  # type: ignore[no-untyped-def]
    """Return ‖g‖ and λ = ‖W_1ᵀ g‖ at a point; the parameters stay as they are."""
    s = np.float64(_forward(p, x, start))
    _, _, steep, _ = _loss(p.sigmoid, s, 0.0)
    norm = steep * np.sqrt(np.float64(_backward(p, x, start, None)))
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


@njit(**_COMPILE)
def _train(p, x, y, x_test, y_test, order, rates, lipschitz_every, table):  # type: ignore[no-untyped-def]
    """Train, filling one row of `table` an epoch, columns as in `_COLUMNS`; stop after an epoch that is not finite."""
    theta, n, n_1 = p.theta, p.widths[0], p.widths[1]
    b_1 = theta[p.biases[0] : p.biases[0] + n_1]
    initial = b_1.copy()
    reference = b_1.copy()
    shift = np.zeros(n_1)
    epochs, steps = order.shape
    for epoch in range(epochs):
        rate = rates[epoch]
        length, largest, spread, path, loss, errors = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        # Deviations are taken from the epoch's first bias: subtracting two large sums of squares would cancel.
        for i in range(n_1):
            reference[i] = b_1[i]
            shift[i] = 0.0
        for step in range(steps):
            point = np.uintp(order[epoch, step])
            for i in range(n_1):
                deviation = np.float64(b_1[i] - reference[i])
                shift[i] += deviation
                spread += deviation * deviation
            s = np.float64(_forward(p, x, point * n))
            value, slope, steep, wrong = _loss(p.sigmoid, s, np.float64(y[point]))
            norm = np.sqrt(np.float64(_backward(p, x, point * n, theta.dtype.type(rate * slope))))
            phi = steep * norm
            loss += value
            errors += wrong
            length += phi
            largest = max(largest, phi)
            path += rate * abs(slope) * norm

        drift, distance = 0.0, 0.0
        for i in range(n_1):
            drift += (shift[i] / steps) ** 2
            distance += np.float64(b_1[i] - initial[i]) ** 2
        test_loss, test_errors = 0.0, 0.0
        for k in range(np.uintp(len(y_test))):
            value, _, _, wrong = _loss(p.sigmoid, np.float64(_forward(p, x_test, k * n)), np.float64(y_test[k]))
            test_loss += value
            test_errors += wrong
        row = table[epoch]
        row[0] = length
        row[1] = largest
        row[2] = (spread / steps - drift) / rate**2
        row[3] = np.sqrt(distance)
        row[4] = path
        row[5] = loss / steps
        row[6] = test_loss / len(y_test)
        row[7] = errors / steps
        row[8] = test_errors / len(y_test)
        if (epoch + 1) % lipschitz_every == 0 or epoch + 1 == epochs:
            total, peak = 0.0, 0.0
            for k in range(np.uintp(len(y))):
                _, constant = _gradient_norms(p, x, k * n)
                total += constant
                peak = max(peak, constant)
            row[9] = total / len(y)
            row[10] = peak
        if not np.isfinite(loss + length):
            break


@njit(**_COMPILE)
def _trace(p, x, y, visits, rates, phi, epsilon, bias, first_weight, gradient_norm, point_lipschitz):  # type: ignore[no-untyped-def]
    """Train over `visits`, one point a step, writing what each step saw before its update."""
    n, n_1 = p.widths[0], p.widths[1]
    b_1 = p.theta[p.biases[0] : p.biases[0] + n_1]
    for step in range(len(visits)):
        bias[step] = b_1
        for j in range(n):
            for i in range(n_1):
                first_weight[step, i, j] = (i == j) if p.identity else p.theta[p.weights[0] + j * n_1 + i]
        for k in range(np.uintp(len(y))):
            gradient_norm[step, k], point_lipschitz[step, k] = _gradient_norms(p, x, k * n)
        point = np.uintp(visits[step])
        s = np.float64(_forward(p, x, point * n))
        value, slope, steep, _ = _loss(p.sigmoid, s, np.float64(y[point]))
        square = _backward(p, x, point * n, p.theta.dtype.type(rates[step] * slope))
        phi[step] = steep * np.sqrt(np.float64(square))
        epsilon[step] = np.exp(value) if p.sigmoid else abs(slope)  # 1/|1 − y − f| is the exponential of the cross-entropy
    bias[len(visits)] = b_1
