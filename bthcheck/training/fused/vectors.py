"""Numbers side by side, as the vector units of a processor have them, for the kernels to hold in registers.

Numba turns loops into vector code by itself, but keeps in memory what a loop adds up in an array, and adds a loop for what is
left over. Here a row of numbers is a value: `load` takes one from an array, `store` puts it back, and ``+``, ``-`` and ``*`` go
number by number, also with a single number on the left of ``*``. Sums are made in the order written, with products fused into
them; nothing looks whether an index is inside its array.

Each function is written as what it means, with NumPy, which is also what runs with NUMBA_DISABLE_JIT; its `overload` is what
Numba compiles.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import types
from numba.extending import models, overload, register_model

_BYTES = 32  # a register of AVX2
LANES = 8  # rows of numbers are padded to a multiple: one register of float32, two of float64
TILE = 4  # registers that `load_tile` fills
_FLAGS = ("contract", "nsz")
intrinsic: Any = extending.intrinsic


def lanes(array: Any) -> Any:
    """Return how many numbers of `array` a register holds: 8 of float32, 4 of float64."""
    return np.uintp(_BYTES // array.itemsize)


def load(array: Any, at: Any) -> Any:
    """Return one register from array[at] on."""
    return array[at : at + lanes(array)].copy()


def load_tile(array: Any, at: Any) -> Any:
    """Return four registers from array[at] on."""
    return array[at : at + np.uintp(TILE) * lanes(array)].copy()


def load_like(row: Any, array: Any, at: Any) -> Any:
    """Return as many numbers as `row` has from array[at] on."""
    return array[at : at + np.uintp(len(row))].copy()


def store(array: Any, at: Any, row: Any) -> None:
    """Put the numbers of `row` to array[at] and on."""
    array[at : at + np.uintp(len(row))] = row


def noughts(row: Any) -> Any:
    """Return as many zeros as `row` has numbers."""
    return np.zeros_like(row)


def positive(row: Any) -> Any:
    """Return max(number, 0) of each; NaN stays NaN."""
    return np.where(row < 0, row.dtype.type(0), row)


def where_positive(gate: Any, row: Any) -> Any:
    """Return each number of `row` where `gate` is above 0, and 0 elsewhere."""
    return np.where(gate > 0, row, row.dtype.type(0))


def spread(row: Any, number: Any) -> Any:
    """Return as many of one number as `row` has numbers."""
    return np.full_like(row, number)


def where_larger(a: Any, b: Any, one: Any, other: Any) -> Any:
    """Return the numbers of `one` where a > b, those of `other` elsewhere, and where a or b is NaN."""
    return np.where(a > b, one, other)


def total(row: Any) -> Any:
    """Return the sum of one register."""
    return row.sum()


def totals(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return the sums of four registers."""
    return a.sum(), b.sum(), c.sum(), d.sum()


class Row(types.Type):
    """Numba's type of `count` numbers of a type side by side."""

    def __init__(self, dtype: Any, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Row({dtype} x {count})")


@register_model(Row)
class _RowModel(models.PrimitiveModel):
    def __init__(self, manager: Any, row: Any) -> None:
        super().__init__(manager, row, ir.VectorType(manager.lookup(row.dtype).get_value_type(), row.count))


def _registers(array: Any, registers: int) -> Any:
    return Row(array.dtype, registers * _BYTES // (array.dtype.bitwidth // 8))


def _place(context: Any, builder: Any, array_type: Any, array: Any, at: Any, row: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), context.get_value_type(row).as_pointer())


def _loading(row: Any, array: Any, at: Any, position: int) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _place(context, builder, array, arguments[position], arguments[position + 1], row)
        value = builder.load(pointer)
        value.align = array.dtype.bitwidth // 8
        return value

    before = (row,) * position
    return row(*before, array, types.uintp), generate


@intrinsic
def _load(typing, array, at):  # type: ignore[no-untyped-def]
    return _loading(_registers(array, 1), array, at, 0)


@intrinsic
def _load_tile(typing, array, at):  # type: ignore[no-untyped-def]
    return _loading(_registers(array, TILE), array, at, 0)


@intrinsic
def _load_like(typing, row, array, at):  # type: ignore[no-untyped-def]
    return _loading(row, array, at, 1)


@intrinsic
def _store(typing, array, at, row):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer = _place(context, builder, array, arguments[0], arguments[1], row)
        builder.store(arguments[2], pointer).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.uintp, row), generate


@intrinsic
def _noughts(typing, row):  # type: ignore[no-untyped-def]
    return row(row), lambda context, builder, signature, arguments: _zero(arguments[0])


@intrinsic
def _spread_like(typing, row, number):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _spread(builder, arguments[1], arguments[0].type)

    return row(row, number), generate


@intrinsic
def _where_larger(typing, a, b, one, other):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        a, b, one, other = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), one, other)

    return one(a, b, one, other), generate


@intrinsic
def _where_positive(typing, gate, row):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        above = builder.fcmp_ordered(">", arguments[0], _zero(arguments[0]))
        return builder.select(above, arguments[1], _zero(arguments[1]))

    return row(gate, row), generate


@intrinsic
def _positive(typing, row):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        nought = _zero(arguments[0])
        return builder.select(builder.fcmp_ordered(">", nought, arguments[0]), nought, arguments[0])

    return row(row), generate


def _zero(value: Any) -> Any:
    return ir.Constant(value.type, None)


def _pick(builder: Any, a: Any, b: Any, numbers: Any) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))
    return builder.shuffle_vector(a, b, mask)


def _halved(builder: Any, value: Any, to: int) -> Any:
    """Add the halves of a row up until `to` numbers are left."""
    count = value.type.count
    while count > to:
        count //= 2
        low, high = _pick(builder, value, value, range(count)), _pick(builder, value, value, range(count, 2 * count))
        value = builder.fadd(low, high, flags=_FLAGS)
    return value


@intrinsic
def _total(typing, row):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        (value,) = arguments
        return builder.extract_element(_halved(builder, value, 1), ir.Constant(ir.IntType(32), 0))

    return row.dtype(row), generate


@intrinsic
def _totals(typing, a, b, c, d):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def paired(a, b):  # type: ignore[no-untyped-def]
            even, odd = _pick(builder, a, b, (0, 2, 4, 6)), _pick(builder, a, b, (1, 3, 5, 7))
            return builder.fadd(even, odd, flags=_FLAGS)

        a, b, c, d = (_halved(builder, value, 4) for value in arguments)
        sums = paired(paired(a, b), paired(c, d))
        each = [builder.extract_element(sums, ir.Constant(ir.IntType(32), i)) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, each)

    return types.UniTuple(a.dtype, 4)(a, b, c, d), generate


def _spread(builder: Any, number: Any, row: Any) -> Any:
    first = builder.insert_element(ir.Constant(row, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return _pick(builder, first, first, [0] * row.count)


def _arithmetic(operation: str) -> Any:
    @intrinsic
    def apply(typing, a, b):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            a, b = arguments
            if not isinstance(signature.args[0], Row):
                a = _spread(builder, a, b.type)
            return getattr(builder, operation)(a, b, flags=_FLAGS)

        return b(a if isinstance(a, Row) else b.dtype, b), generate

    return apply


_add, _subtract, _multiply = _arithmetic("fadd"), _arithmetic("fsub"), _arithmetic("fmul")


@overload(operator.add)
def _added(a, b):  # type: ignore[no-untyped-def]
    if isinstance(a, Row) and a == b:
        return lambda a, b: _add(a, b)
    return None


@overload(operator.sub)
def _subtracted(a, b):  # type: ignore[no-untyped-def]
    if isinstance(a, Row) and a == b:
        return lambda a, b: _subtract(a, b)
    return None


@overload(operator.mul)
def _multiplied(a, b):  # type: ignore[no-untyped-def]
    if isinstance(b, Row) and a in (b, b.dtype):
        return lambda a, b: _multiply(a, b)
    return None


@overload(lanes)
def _(array):  # type: ignore[no-untyped-def]
    count = np.uintp(_registers(array, 1).count)
    return lambda array: count


@overload(load)
def _(array, at):  # type: ignore[no-untyped-def]
    return lambda array, at: _load(array, at)


@overload(load_tile)
def _(array, at):  # type: ignore[no-untyped-def]
    return lambda array, at: _load_tile(array, at)


@overload(load_like)
def _(row, array, at):  # type: ignore[no-untyped-def]
    return lambda row, array, at: _load_like(row, array, at)


@overload(store)
def _(array, at, row):  # type: ignore[no-untyped-def]
    return lambda array, at, row: _store(array, at, row)


@overload(noughts)
def _(row):  # type: ignore[no-untyped-def]
    return lambda row: _noughts(row)


@overload(positive)
def _(row):  # type: ignore[no-untyped-def]
    return lambda row: _positive(row)


@overload(where_positive)
def _(gate, row):  # type: ignore[no-untyped-def]
    return lambda gate, row: _where_positive(gate, row)


@overload(spread)
def _(row, number):  # type: ignore[no-untyped-def]
    return lambda row, number: _spread_like(row, number)


@overload(where_larger)
def _(a, b, one, other):  # type: ignore[no-untyped-def]
    return lambda a, b, one, other: _where_larger(a, b, one, other)


@overload(total)
def _(row):  # type: ignore[no-untyped-def]
    return lambda row: _total(row)


@overload(totals)
def _(a, b, c, d):  # type: ignore[no-untyped-def]
    return lambda a, b, c, d: _totals(a, b, c, d)
