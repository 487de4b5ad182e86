"""Eight neighbouring entries of an array at once, as one LLVM vector: for loops that LLVM does not turn into vectors itself.

LLVM may not move a load before a store that could concern the same entry, which rules vectors out where entries are both read
and written. Here all eight are read first. On narrower vector units one of these takes several registers, with the same result.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

LANES = 8

_PRODUCT_AND_SUM = ("contract",)  # as `compiling` allows everywhere


def spread(scalar: Any) -> Any:
    """Return a vector of equal entries."""
    return np.full(LANES, scalar)


def load(array: Any, index: Any) -> Any:
    """Return the eight entries from an index on."""
    return array[index : index + LANES].copy()


def store(array: Any, index: Any, vector: Any) -> None:
    """Write eight entries from an index on."""
    array[index : index + LANES] = vector


def multiply_add(scalar: Any, vector: Any, other: Any) -> Any:
    """Return scalar · vector + other."""
    return scalar * vector + other


def where_larger(a: Any, b: Any, one: Any, other: Any) -> Any:
    """Return the entries of one vector where a > b, those of the other elsewhere, and where a or b is not a number."""
    return np.where(a > b, one, other)


class _Vector(types.Type):
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"{LANES} x {dtype}")


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Any) -> None:
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), LANES))


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Return where in memory the vector of an array begins, the first of the arguments, at an index, the second."""
    kind = signature.args[0]
    first = builder.gep(context.make_array(kind)(context, builder, arguments[0]).data, [arguments[1]])
    return builder.bitcast(first, ir.VectorType(context.get_value_type(kind.dtype), LANES).as_pointer())


def _spread(builder: Any, scalar: Any) -> Any:
    kind, index = ir.VectorType(scalar.type, LANES), ir.IntType(32)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, scalar, ir.Constant(index, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))


@intrinsic
def _spread_scalar(typing: Any, scalar: Any) -> Any:
    del typing
    return _Vector(scalar)(scalar), lambda context, builder, signature, arguments: _spread(builder, arguments[0])


@intrinsic
def _load(typing: Any, array: Any, index: Any) -> Any:
    del typing

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature, arguments), align=array.dtype.bitwidth // 8)

    return _Vector(array.dtype)(array, index), generate


@intrinsic
def _store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    del typing

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic
def _multiply_add(typing: Any, scalar: Any, vector: Any, other: Any) -> Any:
    del typing, scalar

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        product = builder.fmul(_spread(builder, arguments[0]), arguments[1], flags=_PRODUCT_AND_SUM)
        return builder.fadd(product, arguments[2], flags=_PRODUCT_AND_SUM)

    return vector(vector.dtype, vector, other), generate


@intrinsic
def _where_larger(typing: Any, a: Any, b: Any, one: Any, other: Any) -> Any:
    del typing

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        del context, signature
        return builder.select(builder.fcmp_ordered(">", arguments[0], arguments[1]), arguments[2], arguments[3])

    return one(a, b, one, other), generate


@overload(spread, inline="always")
def _(scalar):  # type: ignore[no-untyped-def]
    return lambda scalar: _spread_scalar(scalar)  # type: ignore[call-arg]


@overload(load, inline="always")
def _(array, index):  # type: ignore[no-untyped-def]
    return lambda array, index: _load(array, index)  # type: ignore[call-arg]


@overload(store, inline="always")
def _(array, index, vector):  # type: ignore[no-untyped-def]
    return lambda array, index, vector: _store(array, index, vector)  # type: ignore[call-arg]


@overload(multiply_add, inline="always")
def _(scalar, vector, other):  # type: ignore[no-untyped-def]
    return lambda scalar, vector, other: _multiply_add(scalar, vector, other)  # type: ignore[call-arg]


@overload(where_larger, inline="always")
def _(a, b, one, other):  # type: ignore[no-untyped-def]
    return lambda a, b, one, other: _where_larger(a, b, one, other)  # type: ignore[call-arg]
