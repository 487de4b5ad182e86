"""A claim's own code: what counts as a change of its test."""

import importlib.util
import sys

import pytest

from bthcheck.harness import source
from bthcheck.harness.source import source_of

CLAIM = '''
"""A file of claims."""
from bthcheck import claim
from {beside} import helper as helped, OTHER

WINDOW = slice(-100, None)
UNUSED = 3
A = B = 4


def mean(values, window=WINDOW):
    """Doc."""
    return values[window]  # a comment


def elsewhere():
    return UNUSED


@claim("A", statement="It grows", source="nowhere")
def test_a(evidence):
    evidence.increases(helped(mean([1])), "level", quantity=f"mean {{A}}")
'''
BESIDE = """
FACTOR, OTHER = 2, 5


def helper(x) -> float:
    return FACTOR * x
"""
numbers = iter(range(1000))


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """A function that writes the two files and returns what the claim in the first is made of."""

    def write(claim=CLAIM, beside=BESIDE):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        name = f"beside_{folder.name}"
        (folder / f"{name}.py").write_text(beside)
        path = folder / "test_a.py"
        path.write_text(claim.format(beside=name))
        monkeypatch.syspath_prepend(str(folder))
        spec = importlib.util.spec_from_file_location(f"test_a_{folder.name}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        found = source_of(module.test_a)
        return found.digest if found else None, found

    return write


def test_constants_are_those_that_the_test_reaches(claim):
    _, found = claim()
    assert found.constants == {"A": "4", "FACTOR": "(2, 5)", "WINDOW": "slice(-100, None)"}


SAME = {
    "comment": ("  # a comment", ""),
    "docstring": ('    """Doc."""\n', ""),
    "statement": ("It grows", "It shrinks"),
    "unused": ("UNUSED = 3", "UNUSED = 4"),
    "line": ("WINDOW =", "\n\n\nWINDOW ="),
    "quotes": ('"level"', "'level'"),
}
OTHER = {
    "window": ("slice(-100, None)", "slice(-50, None)"),
    "direction": ("increases", "decreases"),
    "helper": ("values[window]", "values[:3]"),
    "quantity": ("mean {{A}}", "mean {{B}}"),
    "option": ('"level",', '"level", minimum_effect=0.1,'),
}


@pytest.fixture(autouse=True)
def one_name(monkeypatch):
    """Files are in a folder each here, and one of a pair has its number in its name, which is part of a digest."""
    original = source._defined
    monkeypatch.setattr(source, "_defined", lambda path, name: original(path, name).replace(path.stem, path.stem.split("_")[0]))


@pytest.mark.parametrize("what", SAME)
def test_what_changes_nothing_that_the_test_does_is_no_change(claim, what):
    assert claim(CLAIM.replace(*SAME[what]))[0] == claim()[0] is not None


@pytest.mark.parametrize("what", OTHER)
def test_what_changes_the_test_is_a_change(claim, what):
    assert CLAIM.replace(*OTHER[what]) != CLAIM
    assert claim(CLAIM.replace(*OTHER[what]))[0] != claim()[0]


@pytest.mark.parametrize("change", [("FACTOR, OTHER = 2", "FACTOR, OTHER = 3"), ("FACTOR * x", "x")])
def test_a_change_in_a_file_beside_is_a_change(claim, change):
    assert claim(beside=BESIDE.replace(*change))[0] != claim()[0]


def test_a_type_hint_or_an_unused_function_beside_is_none(claim):
    assert claim(beside=BESIDE.replace(" -> float", "") + "\n\ndef more():\n    pass\n")[0] == claim()[0]


@pytest.mark.parametrize("function", [None, len, eval("lambda: 1")])
def test_what_has_no_text_has_no_source(function):
    assert source_of(function) is None


def test_a_constant_that_is_changed_below_is_all_of_its_lines(claim):
    more = CLAIM.replace("UNUSED = 3", "UNUSED = 3\nA = 1\nA += 2")
    assert claim(more)[0] != claim(more.replace("A = 1", "A = 2"))[0]


def test_functions_of_one_name_that_call_each_other_end(claim):
    loop = CLAIM.replace("values[window]", "test_a(values)")
    assert claim(loop)[1] is not None
