"""What could let a program's own state, or other code, into the numbers, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

STATE = "test_ambient.py::test_the_same_bits_in_any_state"

MUTANTS_OF_STATE = [
    Mutant(
        "ambient state", "default type of the process", "ambient.py",
        "Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),",
        "",
        (f"{STATE}[networks-float64]", f"{STATE}[networks-float16]"),
    ),
    Mutant(
        "ambient state", "autocast", "ambient.py",
        "if torch.is_autocast_enabled(kind):",
        "if False:",
        (f"{STATE}[constants-autocast]",),
    ),
    Mutant(
        "ambient state", "the program's settings afterwards", "ambient.py",
        "wanted[number].set(value)",
        "pass",
        (f"{STATE}[networks-float64]",),
    ),
    Mutant(
        "other code", "imports inside a function", "training/code.py",
        "yield from _imports(node)",
        "yield from ()",
        ("training/test_code.py::test_what_training_comes_to_import_counts_from_then_on",),
    ),
    Mutant(
        "other code", "text of the files", "training/code.py",
        "total.update(hashlib.sha256(path.read_bytes()).digest())",
        "total.update(b'')",
        ("training/test_code.py::test_a_change_anywhere_in_the_code_changes_the_key_and_elsewhere_does_not[fused]",),
    ),
]  # fmt: skip
