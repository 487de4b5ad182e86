"""Wide and long layers of the fused engine, of which a part could be left out: faults as in `bthcheck.tests.mutants`."""

from bthcheck.tests.mutation import Mutant

AFFINE = "training/fused/affine.py"
_WIDTHS = "training/test_widths.py::test_fused_agrees_with_reference"
WIDE, LONG = f"{_WIDTHS}[one more-]", f"{_WIDTHS}[long rows of a trained first layer-]"

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
]
