"""What a kept result is known by: everything that decides it, and nothing that does not."""

import importlib
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from bthcheck.experiments import SINUSOIDS
from bthcheck.geometry import covering
from bthcheck.networks import MLP
from bthcheck.tests.training.test_kept import Nested, keeper, nested, of_everything, twice
from bthcheck.training import code, contents, kept
from bthcheck.training.contents import Unknown, described

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])


def varied():
    """Calls of which no two may have one key."""
    network = MLP((2, 3, 1), "trained").build(0).double()
    other = MLP((2, 3, 1), "trained").build(1).double()
    x = np.array([1.0, 2.0])
    table = xr.DataArray(x, {"seed": [0, 1]}, ("seed",), "y", {"units": "1"})
    return [
        (), (1,), (1.0,), (True,), ("1",), (None,), (-0.0,), (0.0,), (float("nan"),), ([1],), ((1,),), ({"a": 1},), ({1: "a"},),
        (x,), (x.astype(np.float32),), (x[None],), (x[::-1],), (torch.from_numpy(x),), (network,), (other,),
        (x, x), ([x, x],), (x.reshape(1, 2).T,),
        (table,), (table.assign_attrs(units="2"),), (table.rename("z"),), (table.assign_coords(seed=[0, 2]),),
        (table.rename(seed="level"),), (table.to_dataset(),), (table.to_dataset().assign_attrs(level="seed"),),
        (SINUSOIDS,), (SINUSOIDS.replace(epochs=2),), (MLP((2, 2, 1)),), (MLP((2, 2, 1), "trained"),), (nested,),
        (nested(2),), (nested(3),), (nested(3).pair,),
        (of_everything,), (np.float64(1),), (np.int8(1),), (np.zeros(2),), (np.zeros(2, int),),
        (np.array(["a", "b"]),), (np.array(["a", "c"]),),
    ]  # fmt: skip


def test_no_two_calls_have_one_key():
    keys = [kept.key_of(kept.describe(covering.cover_points, call, {})) for call in varied()]
    assert len(set(keys)) == len(keys)
    assert keys == [kept.key_of(kept.describe(covering.cover_points, call, {})) for call in varied()]
    other = [kept.key_of(kept.describe(covering.cover_box, call, {})) for call in varied()]
    assert not set(keys) & set(other)
    named = kept.key_of(kept.describe(covering.cover_points, (), {"radius": 1}))
    assert named not in keys


def test_code_libraries_and_processor_are_in_the_key(monkeypatch):
    def key():
        return kept.key_of(kept.describe(covering.cover_points, (POINTS, 1.0), {}))

    known = key()
    for module, name, other in (
        (kept.code, "digest", lambda name: "another"),
        (kept, "library_versions", lambda names: {"numpy": "0"}),
        (kept.machine, "describe", lambda device: {"processor": "another"}),
    ):
        with monkeypatch.context() as changed:
            changed.setattr(module, name, other)
            assert key() != known
        assert key() == known


OWN = """
from bthcheck import claim
from own_helper import factor


def double(x):
    return factor * x
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that writes and imports a module of one's own with a helper, as in a process of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def module(factor=2, extra=""):
        (tmp_path / "own_helper.py").write_text(f"factor = {factor}\n{extra}")
        (tmp_path / "own_functions.py").write_text(OWN)
        for name in ("own_helper", "own_functions"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("own_functions")

    return module


def test_a_function_of_one_s_own_is_known_by_all_it_imports_and_the_whole_package(own, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    assert twice(folder, own().double, 4) == (8, 8, 0)
    assert twice(folder, own(3).double, 4) == (12, 12, 0)
    keep, told = keeper(folder)
    assert keep(own(3, "# a remark").double, 4) == 12
    assert len(told.computed) == 1
    monkeypatch.setattr(kept.code, "package_digest", lambda: "another")
    assert keep(own(3, "# a remark").double, 4) == 12
    assert len(told.computed) == 2


def test_the_whole_package_is_all_that_a_number_can_come_from(tmp_path, monkeypatch):
    """A claim may reach anything by names that are handed on, which reading imports does not follow."""
    found = code.package_files()
    counted = {path.relative_to(code.PACKAGE).parts[0] for path in found}
    assert counted >= {"__init__.py", "evidence", "figures", "geometry", "networks.py", "theory", "training"}
    assert not counted & {"tests", "cli", "report", "harness", "benchmark"}
    digest = code.package_digest.__wrapped__()
    monkeypatch.setitem(code._IMPORTED, found[0], (0, 0))
    assert code.package_digest.__wrapped__() is None
    assert digest


def test_code_that_changed_since_it_was_imported_is_neither_kept_nor_read(tmp_path, monkeypatch):
    keep, told = keeper(tmp_path)
    monkeypatch.setattr(kept.code, "digest", lambda module: None)
    with pytest.warns(UserWarning, match="cover_points returns is not kept, because the code of bthcheck has changed"):
        assert keep(covering.cover_points, POINTS, 1.0) == covering.cover_points(POINTS, 1.0)
    assert told.computed == ["bthcheck.geometry.covering.cover_points"]
    assert not list(tmp_path.glob("*.kept"))


FACES = ("bthcheck", "bthcheck.evidence")


def test_no_code_that_is_followed_asks_a_face_for_what_it_hands_on():
    """Reading imports ends at a package whose names live elsewhere, and the key would not know of that code."""
    assert {
        name for name in FACES if "handing_on" in (code.PACKAGE.parent / name.replace(".", "/") / "__init__.py").read_text()
    }
    found = {
        (path.relative_to(code.PACKAGE).as_posix(), name)
        for path in code.package_files()
        for name in code._imported_by(path, code._stamp(path))
        if name.rpartition(".")[0] in FACES and code._module(name, code.PACKAGE) in FACES
    }
    assert {name for _, name in found} <= {"bthcheck.__version__"}


def test_a_description_is_of_the_content(tmp_path):
    assert described([POINTS, {"a": 1.5}], set()) == described([POINTS.copy(), {"a": 1.5}], set())
    parts = set()
    described([SINUSOIDS, nested], parts)
    assert {type(SINUSOIDS), nested} <= parts
    with pytest.raises(Unknown):
        described([POINTS, object()], set())
    assert contents.returned_by(nested) is Nested


def test_what_a_function_returns_is_known_where_its_arguments_name_what_is_not_imported():
    def function(x: "NowhereImported") -> "Nested":  # noqa: F821
        return x

    assert contents.returned_by(function) is Nested
    function.__annotations__["return"] = "NowhereImported"
    assert contents.returned_by(function) is None


def test_the_code_of_a_network_is_part_of_what_is_known_of_it():
    parts = set()
    described([MLP().build()], parts)
    assert {part.__module__ for part in parts} == {"bthcheck.modules"}
