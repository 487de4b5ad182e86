"""How a network is trained: the schedule, the optimizer, and when what is measured."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from bthcheck.checks import below_one, not_negative, one_of, positive, positive_int

SAMPLINGS = ("reshuffle", "replacement")
DTYPES = ("float32", "float64")
DROPOUTS = (0.0, 0.5)
OPTIMIZERS = ("sgd", "adam", "adamw")
_SAID_IF_CHANGED = ("optimizer", "momentum", "weight_decay", "betas", "eps", "clip", "test_every")


@dataclass(frozen=True)
class Training:
    """The optimizer and what is measured along it: plain SGD, as in the paper, unless it is said otherwise.

    Parameters
    ----------
    epochs : passes over the training set
    batch_size : points a step
    learning_rate : α of the first epoch
    decay : factor on α from one epoch to the next, as in ``torch.optim.lr_scheduler.ExponentialLR``; 1 keeps it constant
    sampling : "reshuffle" visits every point once an epoch, as the paper does; "replacement" draws each point
        independently and uniformly, as Theorem 1 assumes
    dtype : "float32" or "float64"
    lipschitz_every : epochs between evaluations of the local Lipschitz constants; the last epoch is always evaluated
    dropout : probability that a hidden neuron is switched off at the end of the forward pass: 0, or 1/2 as in Theorem 3
    windows : equal parts of an epoch that statistics are kept of, instead of whole epochs; what is measured on the test points
        is then NaN but for the last of an epoch
    loss_factor : what the loss is multiplied with before it is optimised. Losses and ε are those of the product, and steps are
        this many times as large; φ and λ know nothing of it. The code behind the paper's figures on images has 1/2 here.
    optimizer : "sgd", "adam" or "adamw", as in ``torch.optim``; φ and λ know nothing of it
    momentum : of "sgd", from 0, below 1
    weight_decay : of all parameters, from 0; added to the gradient, but decoupled from it in "adamw". 0 also for "adamw", where
        ``torch.optim`` has 0.01
    betas, eps : of "adam" and "adamw"
    clip : largest norm of the gradient of all parameters together; a longer one is scaled down to it, as by
        ``torch.nn.utils.clip_grad_norm_``. None leaves it as it is.
    test_every : epochs between looks at the test points, whose statistics are NaN elsewhere; the last epoch always has them

    Raises
    ------
    ValueError
        If a number is out of its range, a word is not among those above, or the optimizer has no such setting.
    """

    epochs: int = 3000
    batch_size: int = 1
    learning_rate: float = 0.001
    decay: float = 1.0
    sampling: str = "reshuffle"
    dtype: str = "float32"
    lipschitz_every: int = 10
    windows: int = 1
    dropout: float = 0.0
    loss_factor: float = 1.0
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float | None = None
    test_every: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lipschitz_every", "windows", "test_every"):
            object.__setattr__(self, name, positive_int(name, getattr(self, name)))
        for name in ("learning_rate", "decay", "loss_factor"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        one_of("sampling", self.sampling, SAMPLINGS)
        one_of("dtype", self.dtype, DTYPES)
        if self.dropout not in DROPOUTS or isinstance(self.dropout, bool):
            raise ValueError(f"dropout must be 0 or 0.5, got {self.dropout!r}")
        object.__setattr__(self, "dropout", float(self.dropout))
        self._check_optimizer()

    def _check_optimizer(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        object.__setattr__(self, "momentum", below_one("momentum", self.momentum))
        object.__setattr__(self, "weight_decay", not_negative("weight_decay", self.weight_decay))
        object.__setattr__(self, "eps", positive("eps", self.eps))
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers, got {self.betas!r}")
        object.__setattr__(self, "betas", tuple(below_one("each of betas", beta) for beta in self.betas))
        if self.clip is not None:
            object.__setattr__(self, "clip", positive("clip", self.clip))
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum is for optimizer='sgd', got {self.momentum:g} for {self.optimizer!r}, which has betas")

    @property
    def plain(self) -> bool:
        """Whether a step is −α times the gradient, as the theorems have it."""
        return not self.departures()

    def departures(self) -> str:
        """Return in words what of the optimizer is not plain SGD; empty if it is."""
        settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip": None}
        values = {name: getattr(self, name) for name in settings}
        return ", ".join(f"{name}={value!r}" for name, value in values.items() if value != settings[name])

    def described(self) -> dict[str, Any]:
        """Return the fields that runs are kept and told apart by: some, as the optimizer, only where they are no default."""
        fields = dataclasses.asdict(self)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if name not in _SAID_IF_CHANGED or value != defaults[name]}

    @property
    def rows(self) -> int:
        """How many windows there are in all: the length of every statistic."""
        return self.epochs * self.windows

    def learning_rates(self) -> list[float]:
        """α of every window; it changes from epoch to epoch."""
        return [self.learning_rate * self.decay**epoch for epoch in range(self.epochs) for _ in range(self.windows)]

    def tested(self) -> list[bool]:
        """After which windows the test points are looked at: the last of an epoch, if at all."""
        return self._every(self.test_every)

    def probed(self) -> list[bool]:
        """After which windows the local Lipschitz constants are evaluated."""
        return self._every(self.lipschitz_every)

    def _every(self, epochs: int) -> list[bool]:
        ends = [row + 1 for row in range(self.rows)]
        return [end % (epochs * self.windows) == 0 or end == self.rows for end in ends]
