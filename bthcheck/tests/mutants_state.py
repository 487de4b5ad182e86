"""What could let a program's own state, or other code, into the numbers, and the tests that have to notice it."""

from bthcheck.tests.mutation import Mutant

LATE = "test_later.py::test_pytorch_that_comes_late_computes_in_the_neutral_state_for_the_rest_of_the_block"
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
        "ambient state", "PyTorch that comes late", "ambient.py",
        "                    sys.meta_path.remove(self)\n                _arrived()",
        "                    sys.meta_path.remove(self)",
        (f"{LATE}[by a network]",),
    ),
    Mutant(
        "ambient state", "PyTorch that came with another thread", "ambient.py",
        'if "torch" in sys.modules:\n            _arrived()\n        yield\n        return',
        "yield\n        return",
        (f"{LATE}[by a network]",),
    ),
    Mutant(
        "late imports", "vector units without those that multiply and add", "training/machine.py",
        '{"+avx2", "+fma"} <= units', '{"+avx2"} <= units',
        ("test_later.py::test_the_vector_units_decide[no fma]",),
    ),
    Mutant(
        "late imports", "weights of a trained first layer are not counted", "networks.py",
        'else 1 + self.widths[0])', 'else self.widths[0])',
        ("test_later.py::test_a_description_counts_the_parameters_of_its_network[trained]",),
    ),
    Mutant(
        "late imports", "biases of convolutions are not counted", "networks.py",
        "((1 + inputs * self.kernel**2) * outputs", "((inputs * self.kernel**2) * outputs",
        ("test_later.py::test_a_description_counts_the_parameters_of_its_network[images]",),
    ),
    Mutant(
        "late imports", "what a network does in the key", "training/contents.py",
        "        code.add(type(value))  # whoever", "        # whoever",
        ("training/test_kept_keys.py::test_the_code_of_a_network_is_part_of_what_is_known_of_it",),
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
