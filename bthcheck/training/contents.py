"""What values hold, for results that are kept: a description of arguments to find a result by, and results as arrays and text.

Two arguments have one description only if they are equal to the bit. What has no such description, or what a file without code
cannot hold, is `Unknown`.
"""

import dataclasses
import hashlib
import inspect
import json
import sys
import typing
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import numpy as np
import xarray as xr

from bthcheck import faces, networks

torch: Any = faces.Later("torch")  # looked at where something of it may be there
Code = type | FunctionType
_PLAIN = (bool, int, float, str)
_KINDS = "biufc"  # of arrays: truth values and numbers


class Unknown(Exception):
    """It is not known well enough what a value is; says in words of what."""


def described(value: Any, code: set[Code]) -> Any:
    """Return a description of an argument as plain values for JSON.

    Parameters
    ----------
    value : None, a number, text, a function of a module, an array, tensor, xarray object, a network of this package, a
        NamedTuple or a dataclass such as an experiment; or a list, tuple or dictionary of these
    code : the classes and functions whose code is part of it are added

    Raises
    ------
    Unknown
        If it is something else.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return ["float", value.hex()]
    if type(value) in (list, tuple):
        return [type(value).__name__, [described(entry, code) for entry in value]]
    if type(value) is dict:
        return ["dict", [[described(key, code), described(entry, code)] for key, entry in value.items()]]
    if isinstance(value, (np.ndarray, np.generic)):
        return _array(np.asarray(value))
    if isinstance(value, (xr.Dataset, xr.DataArray)):
        return _labelled(value, code)
    if "torch" in sys.modules and isinstance(value, torch.Tensor):
        return ["tensor", _array(value.detach().cpu().numpy())]
    if "torch" in sys.modules and isinstance(value, networks.Network):
        code.add(type(value))  # whoever looks at a network need not import what it does
        state = {name: described(tensor, code) for name, tensor in value.state_dict().items()}
        return ["network", str(value), value.sigmoid, value.training, list(state.items())]
    fields = _fields(type(value))
    if fields is not None:
        kind = type(value)
        code.add(kind)
        return ["fields", kind.__module__, kind.__qualname__, {name: described(getattr(value, name), code) for name in fields}]
    if inspect.isfunction(value):
        return _function(value, code)
    raise Unknown(f"an argument of type {type(value).__name__} has no description to find it by")


def _array(value: np.ndarray) -> Any:
    if value.dtype.kind not in _KINDS:
        return ["objects", list(value.shape), [described(entry, set()) for entry in value.ravel().tolist()]]
    return ["array", value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]


def _labelled(value: xr.Dataset | xr.DataArray, code: set[Code]) -> Any:
    variables = value.variables if isinstance(value, xr.Dataset) else {"": value.variable, **value.coords.variables}
    found = [
        [described(name, code), list(map(str, variable.dims)), _array(variable.values), described(dict(variable.attrs), code)]
        for name, variable in variables.items()
    ]
    more = dict(value.attrs) if isinstance(value, xr.Dataset) else {"": value.name}
    return [type(value).__name__, sorted(map(str, value.coords)), found, described(more, code)]


def _function(value: Any, code: set[Code]) -> Any:
    if "<" in value.__qualname__ or inspect.unwrap(value).__closure__:
        raise Unknown(f"the argument {value.__qualname__} is a function in a function, which may know more than its code says")
    code.add(value)
    return ["function", value.__module__, value.__qualname__]


def encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as plain values for JSON; its arrays are put into `arrays`.

    Raises
    ------
    Unknown
        If there is something in it that is no number, text or array.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, (np.ndarray, np.generic)):  # of which float64 is a float, too
        return {"array" if isinstance(value, np.ndarray) else "number": _put(np.asarray(value), arrays)}
    if isinstance(value, (xr.Dataset, xr.DataArray)):
        return _encoded_labelled(value, arrays)
    if type(value) in (list, tuple):
        return {type(value).__name__: [encoded(entry, arrays) for entry in value]}
    if type(value) is dict:
        return {"dict": [[encoded(key, arrays), encoded(entry, arrays)] for key, entry in value.items()]}
    fields = _fields(type(value))
    if fields is None:
        raise Unknown(f"it holds a {type(value).__name__}, which a file without code cannot")
    return {"fields": {name: encoded(getattr(value, name), arrays) for name in fields}}


def decoded(tree: Any, arrays: Mapping[str, np.ndarray], kind: Any = None) -> Any:
    """Return the value that `encoded` made a tree and arrays of.

    Parameters
    ----------
    kind : the type that it has if it is a dataclass or NamedTuple; a file's word is never taken for what to make

    Raises
    ------
    ValueError
        If these are none that it makes.
    """
    if not isinstance(tree, dict):
        if tree is None or type(tree) in _PLAIN:
            return tree
        raise ValueError("it holds something else than it says")
    if len(tree) != 1:
        raise ValueError("it holds something else than it says")
    ((tag, content),) = tree.items()
    if tag == "array":
        return arrays[content]
    if tag == "number":
        return arrays[content][()]
    if tag in ("list", "tuple"):
        entries = [decoded(entry, arrays) for entry in content]
        return entries if tag == "list" else tuple(entries)
    if tag == "dict":
        return {decoded(key, arrays): decoded(entry, arrays) for key, entry in content}
    if tag in ("Dataset", "DataArray"):
        return _decoded_labelled(tag, content, arrays)
    names = _fields(kind)
    if tag != "fields" or names is None or set(content) != set(names):
        raise ValueError("it holds something else than it says")
    hints = typing.get_type_hints(kind)
    return kind(**{name: decoded(content[name], arrays, hints.get(name)) for name in names})


def returned_by(function: Callable[..., Any]) -> Any:
    """Return what a function's annotation says that it returns; None if it says nothing."""
    function = inspect.unwrap(function)
    try:  # and no other annotation, which may name what only a type checker imports
        hint = function.__annotations__.get("return")
        return eval(hint, function.__globals__) if isinstance(hint, str) else hint
    except (NameError, AttributeError):
        return None


def _fields(kind: Any) -> list[str] | None:
    """Return the names of the fields of a dataclass or NamedTuple, None if it is neither."""
    if not isinstance(kind, type):
        return None
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind._fields) if issubclass(kind, tuple) and hasattr(kind, "_fields") else None


def _put(value: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    if value.dtype.kind not in _KINDS or value.dtype.kind == "c":
        raise Unknown(f"it holds an array of {value.dtype}, which its file cannot")
    name = f"{len(arrays)}"
    arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
    return name


def _encoded_labelled(value: xr.Dataset | xr.DataArray, arrays: dict[str, np.ndarray]) -> Any:
    whole = value if isinstance(value, xr.Dataset) else value.to_dataset(name=_NAMELESS)
    found = []
    for name, variable in whole.variables.items():
        plain = variable.dtype.kind in _KINDS
        content = {"array": _put(variable.values, arrays)} if plain else {"list": variable.values.tolist()}
        if not plain and (variable.ndim != 1 or not all(isinstance(entry, str) for entry in content["list"])):
            raise Unknown(f"it holds {name} of {variable.dtype}, which its file cannot")
        found.append([name, list(variable.dims), content, variable.dtype.str, json.loads(_text(variable.attrs))])
    about = {"coords": sorted(map(str, whole.coords)), "variables": found, "attrs": json.loads(_text(whole.attrs))}
    return {type(value).__name__: {**about, "name": None if isinstance(value, xr.Dataset) else value.name}}


_NAMELESS = "__value__"


def _text(attrs: Mapping[Any, Any]) -> str:
    for name, value in attrs.items():
        if not (value is None or type(value) in _PLAIN):
            raise Unknown(f"its attribute {name} is a {type(value).__name__}, which its file cannot hold")
    return json.dumps(dict(attrs))


def _decoded_labelled(tag: str, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    coords = set(content["coords"])
    found: dict[bool, dict[str, Any]] = {True: {}, False: {}}
    for name, dims, values, dtype, attrs in content["variables"]:
        array = arrays[values["array"]] if "array" in values else np.array(values["list"], dtype)
        found[name in coords][name] = xr.Variable(dims, array, attrs)
    whole = xr.Dataset(found[False], found[True], content["attrs"])
    if tag == "Dataset":
        return whole
    value = whole[_NAMELESS]
    value.name = content["name"]
    return value
