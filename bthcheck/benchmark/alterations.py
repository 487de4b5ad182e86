"""What `bthcheck.benchmark.changes` tries: changes of the package that must be noticed, and honest reruns that must not."""

import ast
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
SINUSOIDS = "claims/test_trajectory.py"
CIFAR = "claims/test_corrupted_labels.py"
MINIBATCHES = "claims/test_minibatches.py::test_ordering_survives_minibatches_once_the_data_are_fit"
FIRST_LAYER = "claims/test_first_layer.py"
LEMMA_1 = f"{FIRST_LAYER}::test_lipschitz_is_at_most_sigma_1_phi"
BIAS_PATH = "claims/test_bias_path.py"
SAMPLED = "claims/test_sampled_trajectory.py"
COSTS = {SINUSOIDS: 1.0, CIFAR: 4.0, MINIBATCHES: 1.0, FIRST_LAYER: 2.0, LEMMA_1: 0.5, BIAS_PATH: 1.0, SAMPLED: 1.0}
"""Claims that are tried, a file or a test each → how long they take, in units of the first."""


@dataclass(frozen=True)
class Edit:
    """A piece of a file of the package that occurs there once, and what is put in its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Trial:
    """A session that is compared with an unchanged one.

    name : what is different
    edits : of the package
    claims : those whose experiments it touches; `cheapest` are those that notice it in the least time
    options, environment : of pytest and of its process
    """

    name: str
    edits: tuple[Edit, ...] = ()
    claims: tuple[str, ...] = (SINUSOIDS,)
    cheapest: tuple[str, ...] = (SINUSOIDS,)
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


_ORDER = "    return generator.permuted(np.tile(np.arange(points, dtype=np.int32), (epochs, 1)), axis=1)"
_STEP = """            phi, epsilon, moved, value, wrong = step(p, c, descent, x, y, order[epoch, first:last], rate, thinned)
            loss += value
"""
_WITH_MOMENTUM = """            for i in range(len(theta)):
                held[i] = theta[i]
            phi, epsilon, moved, value, wrong = step(p, c, descent, x, y, order[epoch, first:last], rate, thinned)
            for i in range(len(theta)):
                velocity[i] = theta.dtype.type(0.1) * velocity[i] + theta[i] - held[i]
                theta[i] = held[i] + velocity[i]
            loss += value
"""
_LAMBDA = '        columns["lipschitz"].append(view.local_lipschitz(points.x_train[batch], keep).max())\n'
_PHI = '        columns["phi"].append(step.phi)\n        columns["epsilon"].append(step.epsilon)\n'
_POINTS = """        y = torch.from_numpy(self.target(uv))
        return Data(x[: self.train], y[: self.train], x[self.train :], y[self.train :])
"""
_TWO = (SINUSOIDS, CIFAR)
_BATCHES = (SINUSOIDS, MINIBATCHES)

CHANGES = (
    Trial(
        "initial biases × 0.7",
        (Edit("modules.py", "bound = 1 / math.sqrt(inputs)\n", "bound = 0.7 / math.sqrt(inputs)\n"),),
        _TWO,
    ),
    Trial(
        "last layer started at zero",
        (
            Edit(
                "modules.py",
                "        self.bias = nn.Parameter(_default_bias(inputs, outputs, generator))\n",
                "        self.bias = nn.Parameter(_default_bias(inputs, outputs, generator))\n"
                "        if outputs == 1:\n            nn.init.zeros_(self.weight)\n",
            ),
        ),
        _BATCHES,
    ),
    Trial(
        "data scale × 0.85, in the drawing of points",
        (Edit("tasks.py", "return uv, self.scale * _random", "return uv, 0.85 * self.scale * _random"),),
    ),
    Trial(
        "no reshuffling",
        (Edit("training/streams.py", _ORDER, "    return np.tile(np.arange(points, dtype=np.int32), (epochs, 1))"),),
        (*_BATCHES, SAMPLED),
    ),
    Trial(
        "one epoch's order for all",
        (
            Edit(
                "training/streams.py",
                _ORDER,
                "    return np.tile(generator.permutation(np.arange(points, dtype=np.int32)), (epochs, 1))",
            ),
        ),
        (SINUSOIDS, SAMPLED),
    ),
    Trial(
        "momentum 0.1 in the fused engine",
        (
            Edit(
                "training/fused/loops.py",
                "    initial = b_1.copy()\n",
                "    initial = b_1.copy()\n    held, velocity = theta.copy(), np.zeros_like(theta)\n",
            ),
            Edit("training/fused/loops.py", _STEP, _WITH_MOMENTUM),
        ),
        _TWO,
    ),
    Trial(
        "squared loss not halved",
        (
            Edit(
                "training/fused/steps.py",
                "return factor * 0.5 * (s - y) ** 2, factor * (s - y), 1.0, factor * abs(s - y), np.nan",
                "return factor * (s - y) ** 2, 2 * factor * (s - y), 1.0, 2 * factor * abs(s - y), np.nan",
            ),
        ),
        _BATCHES,
    ),
    Trial(
        "labels flipped where they should be redrawn",
        (Edit("tasks.py", "np.where(redrawn, coins, clean)", "np.where(redrawn, 1 - clean, clean)"),),
        (CIFAR,),
        (CIFAR,),
    ),
    Trial("pixels in [0, 1]", (Edit("tasks.py", ".float() / 127.5 - 1", ".float() / 255"),), (CIFAR,), (CIFAR,)),
    Trial(
        "decay left out",
        (
            Edit(
                "experiments/training.py",
                "[self.learning_rate * self.decay**epoch for epoch",
                "[self.learning_rate for epoch",
            ),
        ),
        (CIFAR,),
        (CIFAR,),
    ),
    Trial(
        "λ after the step",
        (Edit("training/reference.py", _LAMBDA, ""), Edit("training/reference.py", _PHI, _PHI + _LAMBDA)),
        (FIRST_LAYER,),
        (LEMMA_1,),
    ),
    Trial(
        "test points among the training points",
        (Edit("tasks.py", _POINTS, _POINTS.replace("x[self.train :], y[self.train :]", "x[: self.test], y[: self.test]")),),
    ),
    Trial(
        "learning rate + 15 %",
        (Edit("experiments/training.py", "learning_rate: float = 0.001\n", "learning_rate: float = 0.00115\n"),),
        _BATCHES,
    ),
    Trial("data 15 % smaller", (Edit("tasks.py", "scale: float = 10.0\n", "scale: float = 8.5\n"),)),
)
"""Each must be noticed by `numbers`, in the full selection and in the cheapest."""

_ROUNDED = Edit("tasks.py", "return uv, self.scale * _random", "return uv, (1 + 2e-7) * self.scale * _random")


def _ten(first: int) -> str:
    return ",".join(map(str, range(first, first + 10)))


_ANY = {"NUMBA_CPU_NAME": "generic"}
HONEST = (
    Trial("vector units of any processor", (), _TWO, environment=_ANY),
    Trial("the same, other claims", (), (MINIBATCHES, FIRST_LAYER, BIAS_PATH, SAMPLED), (), environment=_ANY),
    Trial(
        "float64 in the place of float32",
        (Edit("experiments/training.py", 'dtype: str = "float32"', 'dtype: str = "float64"'),),
        _TWO,
    ),
    Trial("points moved by their last digit", (_ROUNDED,)),
    Trial("seeds 10 to 19", (), _TWO, options=("--seeds", _ten(10))),
    Trial("seeds 20 to 29", (), _TWO, (), ("--seeds", _ten(20))),
    Trial("seeds 30 to 39", (), _BATCHES, (), ("--seeds", _ten(30))),
    Trial("seeds 5 to 14, vector units of any processor", (), _TWO, (), ("--seeds", _ten(5)), _ANY),
    Trial("engine stacked", (), _TWO, (), ("--engine", "stacked")),
)
"""None may be noticed by `numbers`. Those without a cheapest selection are left out of a small run."""


def altered(text: str, edits: Sequence[Edit]) -> str:
    """Return the text of a module with edits made in it.

    Raises
    ------
    ValueError
        If a piece does not occur once, or what comes out is the same program or none.
    """
    result = text
    for edit in edits:
        count = result.count(edit.old)
        if count != 1:
            raise ValueError(f"{edit.old!r} must occur once in {edit.file}, found {count} times")
        result = result.replace(edit.old, edit.new)
    try:
        same = ast.dump(ast.parse(result)) == ast.dump(ast.parse(text))
    except SyntaxError as error:
        raise ValueError(f"{edits[0].file} would be no Python, {error}: {edits[0].new!r}") from error
    if same:
        raise ValueError(f"{edits[0].file} would be the same program with {edits[0].new!r}")
    return result


def copy(folder: Path, edits: Sequence[Edit]) -> None:
    """Put the package and the claims beside it into an empty folder, with edits made in them."""
    unneeded = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(PACKAGE, folder / "bthcheck", ignore=unneeded)
    shutil.copytree(PACKAGE.parent / "claims", folder / "claims", ignore=unneeded)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for file in dict.fromkeys(edit.file for edit in edits):
        path = folder / "bthcheck" / file
        changed = altered(path.read_text(encoding="utf-8"), [edit for edit in edits if edit.file == file])
        path.write_text(changed, encoding="utf-8")
