"""Wide and long layers and optimizers of the fused engine, of which a part could be left out: faults as in
`bthcheck.tests.mutants`."""

from bthcheck.tests.mutation import Mutant

AFFINE, DESCENTS = "training/fused/affine.py", "training/fused/descents.py"
_WIDTHS = "training/test_widths.py::test_fused_agrees_with_reference"
WIDE, LONG = f"{_WIDTHS}[one more-]", f"{_WIDTHS}[long rows of a trained first layer-]"
_OPTIMIZERS = "training/test_optimizers.py::test_fused_agrees_with_reference"


def _optimizer(name: str, old: str, new: str, settings: str, shape: str = "minibatches, last one smaller") -> Mutant:
    return Mutant("optimizers, fused engine", name, DESCENTS, old, new, (f"{_OPTIMIZERS}[{settings}-{shape}]",))


MUTANTS_OF_LAYERS = [
    Mutant(
        "neurons left out",
        "wide layers, fused engine",
        AFFINE,
        "p.counts[layer] = (count + np.uintp(3)) // four * four",
        "p.counts[layer] = count // four * four",
        (WIDE,),
    ),
    Mutant(
        "neurons left out",
        "what fills up a list is on, fused engine",
        AFFINE,
        "active[at + count + k] = off",
        "active[at + count + k] = active[at]",
        (WIDE,),
    ),
    Mutant(
        "neurons left out",
        "long rows, fused engine",
        AFFINE,
        "load(out, z + i) + (low + high))",
        "load(out, z + i) + low)",
        (LONG,),
    ),
    Mutant(
        "neurons left out",
        "the last registers of the last layer, fused engine",
        AFFINE,
        "for j in range(lanes(theta), p.columns[last - one], lanes(theta)):",
        "for j in range(lanes(theta), p.columns[last - one] - np.uintp(2) * lanes(theta), lanes(theta)):",
        (WIDE,),
    ),
    _optimizer("mean of the batch", "kind(-1.0 / size)", "kind(-1.0)", "clip, momentum"),
    _optimizer("norm of the mean gradient", "(np.sqrt(square) / size + 1e-6)", "(np.sqrt(square) + 1e-6)", "clip"),
    _optimizer("short gradients are left alone", "min(1.0, d.longest / (", "max(0.0, d.longest / (", "clip, adam"),
    _optimizer(
        "weight decay before momentum",
        "scale * update[i] + coupled * theta[i]\n        for",
        "scale * update[i]\n        for",
        "momentum and weight decay",
    ),
    _optimizer(
        "weight decay before Adam",
        "gradient = scale * update[i] + coupled * theta[i]",
        "gradient = scale * update[i]",
        "adam, weight decay",
    ),
    _optimizer("weight decay behind Adam", " + decoupled * theta[i]", "", "adamw"),
    _optimizer("momentum", "momentum * means[i] + update[i]", "momentum * means[i] + (one - momentum) * update[i]", "momentum"),
    _optimizer("Adam's start, means", "1.0 / (1.0 - d.beta ** d.steps[0])", "1.0", "adam"),
    _optimizer("Adam's start, squares", "1.0 / np.sqrt(1.0 - d.beta_squared ** d.steps[0])", "1.0", "adam"),
    _optimizer("Adam's start, steps", "d.steps[0] += 1.0", "d.steps[0] = 1.0", "adamw, other betas"),
    _optimizer(
        "eps beside the root",
        "np.sqrt(squares[i]) * started_squared + eps",
        "np.sqrt(squares[i] + eps) * started_squared",
        "clip, adam",
    ),
    _optimizer("how far the bias moves", "range(first, first + count)", "range(first + count)", "adam", "wide first layer"),
]
