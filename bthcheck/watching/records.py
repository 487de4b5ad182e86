"""From what hooks kept to numbers a step, in float64 and NumPy, and the records of a whole training in bounded memory."""

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from bthcheck.watching.observed import Step

QUANTITIES = {
    "phi": ("φ = ‖Σ ∂L/∂z_i‖ / Σ |∂L/∂f_i| of the step's samples, z the first layer's output", "output / input"),
    "gradient_norm_mean": ("mean over the step's samples of ‖g‖ = ‖∂L/∂z_i‖ / |∂L/∂f_i|", "output / input"),
    "gradient_norm_max": ("largest ‖g‖ of the step's samples", "output / input"),
    "update": ("‖Δb_1‖, by which the optimizer moved the first bias", "input"),
    "distance_to_init": ("‖b_1 − its initial value‖ after the step", "input"),
    "bias_variance": ("mean over the epoch's steps so far of ‖b_1 − its mean‖², divided by α²", "(loss / input)²"),
    "learning_rate": ("learning rate α of the first bias", "input² / loss"),
    "train_loss": ("loss of the step, as it was given, before its update", "loss"),
    "samples": ("samples of the step", "1"),
    "passes": ("backward passes of the step", "1"),
    "lipschitz_mean": (
        "mean local Lipschitz constant over the probe after the step; NaN where not evaluated",
        "output / input",
    ),
    "lipschitz_max": (
        "largest local Lipschitz constant over the probe after the step; NaN where not evaluated",
        "output / input",
    ),
}
"""Every quantity of a watched step: name → (long_name, units)."""

Block = dict[str, np.ndarray]


class EpochPath:
    """The bias within an epoch so far: what its variance needs, relative to where the epoch began."""

    def __init__(self) -> None:
        self.epoch: float | None = None
        self.count = 0
        self.rates = self.squares = 0.0
        self.start = self.sums = np.zeros(0)

    def variances(self, epochs: np.ndarray, biases: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return the variance over α² after every step.

        Parameters
        ----------
        epochs : (s,) the epoch of every step; NaN is an epoch, too
        biases : (s, n_1) the bias before every step
        rates : (s,) learning rates; of an epoch the mean so far is taken
        """
        found = np.empty(len(epochs))
        cuts = [i for i in range(len(epochs)) if i and not _same(epochs[i], epochs[i - 1])]
        for first, last in zip([0, *cuts], [*cuts, len(epochs)], strict=True):
            if first == last:
                continue
            if self.epoch is None or not _same(self.epoch, epochs[first]):
                self.epoch, self.count, self.start = float(epochs[first]), 0, biases[first]
                self.rates, self.squares, self.sums = 0.0, 0.0, np.zeros_like(self.start)
            moved = biases[first:last] - self.start
            counts = self.count + np.arange(1, last - first + 1)
            sums = self.sums + moved.cumsum(0)
            squares = self.squares + (moved**2).sum(1).cumsum()
            total = self.rates + rates[first:last].cumsum()
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                spread = squares / counts - (sums**2).sum(1) / counts.astype(float) ** 2
                found[first:last] = np.maximum(spread, 0) / (total / counts) ** 2
            self.count, self.sums, self.squares, self.rates = int(counts[-1]), sums[-1], float(squares[-1]), float(total[-1])
        return found


def reduced(steps: Sequence[Step], initial: Tensor | None, path: EpochPath, vectors: bool = False) -> tuple[Block, int]:
    """Return the quantities of `steps`, an array each, and how many windows of backward passes turned out to be discarded.

    Steps that a scaler made the optimizer skip are left out.

    Parameters
    ----------
    initial : the bias before training
    path : the epoch so far, which is carried on
    vectors : whether to keep Σ H_i ("gradient_sum", one row a step) and Σ |G_i| ("slope_sum"), with which records of several
        processes can be put together
    """
    infinities = _scalars([0.0 if step.found is None else step.found for step in steps])
    kept = [step for step, number in zip(steps, infinities, strict=True) if number == 0]
    discarded = len(steps) - len(kept)
    if not kept:
        return {}, discarded
    block, zeroed = _gradients(kept, vectors)
    block["learning_rate"] = _scalars([step.rate for step in kept])
    block["bias_gradient"] = _scalars([step.gradient for step in kept])
    block["train_loss"] = np.array([values.mean() if len(values) else math.nan for values in _losses(kept)])
    block["step"] = np.array([step.number for step in kept])
    block["wall_time"] = np.array([step.wall_time for step in kept])
    block["epoch"] = np.array([step.epoch for step in kept])
    if initial is None or any(step.after is None or step.before is None for step in kept):
        for name in ("update", "distance_to_init", "bias_variance"):
            block[name] = np.full(len(kept), math.nan)
    else:
        before, after = _biases(kept)
        block["update"] = np.linalg.norm(after - before, axis=1)
        block["distance_to_init"] = np.linalg.norm(after - array(initial.flatten()), axis=1)
        block["bias_variance"] = path.variances(block["epoch"], before, block["learning_rate"])
    return block, discarded + zeroed


def _gradients(steps: Sequence[Step], vectors: bool) -> tuple[Block, int]:
    """φ and ‖g‖ of every step, and how many backward passes were of windows that were set to zero."""
    count = len(steps)
    passes = [(number, one) for number, step in enumerate(steps) for one in step.passes if one.sums is not None]
    block: Block = {name: np.full(count, math.nan) for name in ("phi", "gradient_norm_mean", "gradient_norm_max")}
    block["samples"] = np.zeros(count, int)
    block["passes"] = np.zeros(count, int)
    if not passes:
        if vectors:
            block["slope_sum"] = np.zeros(count)
        return block, 0
    owner = np.array([number for number, _ in passes])
    sizes = np.array([len(one.slopes) for _, one in passes])
    slopes = array(torch.cat([one.slopes for _, one in passes]))
    aligned = [one.norms if one.norms is not None else torch.full_like(one.slopes, math.nan) for _, one in passes]
    norms = array(torch.cat(aligned))
    sums = array(torch.stack([one.sums for _, one in passes if one.sums is not None])).reshape(len(passes), -1)
    valid = since_zero(owner, [one.fresh for _, one in passes], sums)
    discarded = len(set(owner[~valid].tolist()))
    sums[~valid] = 0
    of_step = np.repeat(owner, sizes)
    good = np.repeat(valid, sizes)
    slope_sum = np.bincount(of_step[good], slopes[good], count)
    starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    gradient_sum = np.zeros((count, sums.shape[1]))
    gradient_sum[owner[starts]] = np.add.reduceat(sums, starts, axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        block["phi"] = np.linalg.norm(gradient_sum, axis=1) / slope_sum
        ratio = norms / slopes
        sloping = good & (slopes > 0)  # where the loss is flat in f the quotient is 0/0
        numbers = np.bincount(of_step[sloping], minlength=count)
        block["gradient_norm_mean"] = np.bincount(of_step[sloping], ratio[sloping], count) / numbers
        largest = np.full(count, -math.inf)
        np.maximum.at(largest, of_step[sloping], ratio[sloping])
    block["gradient_norm_max"] = np.where(numbers > 0, largest, math.nan)
    block["samples"] = np.bincount(of_step[good], minlength=count)
    block["passes"] = np.bincount(owner[valid], minlength=count)
    if vectors:
        block["gradient_sum"], block["slope_sum"] = gradient_sum, slope_sum
    return block, discarded


def _biases(steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias before and after every step, (steps, n_1) each, fetching what is both but once."""
    after = [step.after for step in steps if step.after is not None]
    before = [step.before for step in steps if step.before is not None]
    new = [i for i in range(len(steps)) if i == 0 or before[i] is not after[i - 1]]
    values = array(torch.stack([*after, *(before[i] for i in new)])).reshape(len(after) + len(new), -1)
    later = values[: len(after)]
    earlier = np.empty_like(later)
    earlier[1:] = later[:-1]
    earlier[new] = values[len(after) :]
    return earlier, later


def since_zero(owner: np.ndarray, fresh: Sequence[Tensor | bool], sums: np.ndarray) -> np.ndarray:
    """Return which passes a step consists of: those since its gradients were last set to zero."""
    valid = np.ones(len(owner), bool)
    looked = [i for i, one in enumerate(fresh) if isinstance(one, Tensor)]
    if not looked:
        return valid
    zero = array(torch.stack([fresh[i].cpu() for i in looked])) > 0  # type: ignore[union-attr]
    for i in np.array(looked)[zero]:
        earlier = (owner == owner[i]) & (np.arange(len(owner)) < i)
        if sums[earlier].any():  # else the gradient is zero because those before were
            valid &= ~earlier
    return valid


def _losses(steps: Sequence[Step]) -> list[np.ndarray]:
    given = [loss for step in steps for loss in step.losses]
    values = _scalars(given) if given else np.zeros(0)
    ends = np.cumsum([len(step.losses) for step in steps])
    return np.split(values, ends[:-1])


def _scalars(values: Sequence[Tensor | float | None]) -> np.ndarray:
    """Return numbers, some of them tensors on a device, which are fetched together."""
    tensors = [one for one in values if isinstance(one, Tensor)]
    if len(tensors) == len(values) > 0 and all(one.ndim == 0 and one.device == tensors[0].device for one in tensors):
        return array(torch.stack(tensors))
    fetched = iter(array(torch.stack([one.detach().reshape(()).to(tensors[0]) for one in tensors])) if tensors else ())
    return np.array([next(fetched) if isinstance(one, Tensor) else math.nan if one is None else one for one in values], float)


def array(tensor: Tensor) -> np.ndarray:
    """Return a tensor's numbers in float64, fetched from its device."""
    return tensor.detach().cpu().double().numpy()


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


class Records:
    """The records of a training, at most about `limit` of them: beyond that, every second is dropped, again and again.

    Steps that a probe looked at stay.
    """

    def __init__(self, limit: int, every: int) -> None:
        self.limit = limit
        self.every = every
        self.blocks: list[Block] = []
        self.length = 0
        self.thinned = False

    def wants(self, step: int) -> bool:
        """Whether the step, numbered from 1, is one of every so many."""
        return (step - 1) % self.every == 0

    def add(self, block: Block) -> None:
        """Take up the records of more steps."""
        if not block:
            return
        self.blocks.append(block)
        self.length += len(block["step"])
        while self.length > self.limit and self._thin():
            pass

    def ending_with(self, step: int) -> Block | None:
        """Return the newest block, if its last record is of this step."""
        steps = self.blocks[-1]["step"] if self.blocks else np.zeros(0)
        return self.blocks[-1] if len(steps) and steps[-1] == step else None

    def _thin(self) -> bool:
        self.every *= 2
        before = self.length
        self.blocks = [_rows(block, self._kept(block)) for block in self.blocks]
        self.length = sum(len(block["step"]) for block in self.blocks)
        if not self.thinned:
            self.thinned = True
            warnings.warn(
                f"bthcheck.watch: more than {self.limit} steps are recorded; from now on every second of them is"
                " kept, and so on"
                " whenever that many are there again. A larger limit= or every= keeps what you choose",
                stacklevel=2,
            )
        return self.length < before

    def _kept(self, block: Block) -> np.ndarray:
        probed = ~np.isnan(block["lipschitz_mean"]) if "lipschitz_mean" in block else np.zeros(len(block["step"]), bool)
        return ((block["step"] - 1) % self.every == 0) | probed

    def table(self) -> Block:
        """Return all records, in the order of steps."""
        names: Iterable[str] = dict.fromkeys(name for block in self.blocks for name in block)
        return {name: np.concatenate([_column(block, name, self.blocks) for block in self.blocks]) for name in names}


def _rows(block: Block, kept: np.ndarray) -> Block:
    return {name: values[kept] for name, values in block.items()}


def _column(block: Block, name: str, blocks: Sequence[Block]) -> np.ndarray:
    if name in block:
        return block[name]
    like = next(one[name] for one in blocks if name in one)
    return np.full((len(block["step"]), *like.shape[1:]), math.nan)
