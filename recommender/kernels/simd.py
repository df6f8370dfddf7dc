"""SIMD intrinsics for numba kernels: 64 additions and comparisons of 16 bits, or 32 running sums, at a time.

Belongs here: operations that are several times slower as a compiled loop (docs/decisions/simd-intrinsics.md).
Does not belong here: what the numbers mean (`candidates`, `lists`).

They are written in LLVM's intermediate language, which becomes whatever the machine has: AVX-512, AVX2, NEON.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 64
"""Users per block of a tile: as many as a mask has bits, and 128 bytes of 16-bit scores."""

FLOATS = 32
"""Columns of the tables `sum_rows` sums: two AVX-512 or four AVX2 registers."""

DOUBLES = 32
"""Partial sums of a dot product: enough registers to keep the multipliers busy."""

_VECTOR = ir.VectorType(ir.IntType(16), LANES)


def _load(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Emit the load of 64 consecutive elements of a C-contiguous uint16 array, from a flat offset."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.load(builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer()), align=2)


def _splat(builder: Any, number: Any) -> Any:
    """Emit 64 copies of one number."""
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _mask(builder: Any, left: Any, right: Any, least: Any) -> Any:
    """Emit the mask of lanes where left + right >= least."""
    reached = builder.icmp_unsigned(">=", builder.add(left, right), least)
    return builder.bitcast(reached, ir.IntType(64))


def _is_flat(array: Any) -> bool:
    return isinstance(array, types.Array) and array.dtype == types.uint16 and array.layout == "C"


def _emitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that kernels can call of one that says which instructions to emit."""
    operation: Callable[..., Any] = intrinsic(function)
    return operation


@_emitted
def sums_reaching(typing_context: Any, left: Any, left_at: Any, right: Any, right_at: Any, least: Any) -> Any:
    """Mask of lanes k < 64 with ``left[left_at + k] + right[right_at + k] >= least``.

    Parameters
    ----------
    left, right : uint16 arrays, contiguous, indexed flat
        Sums must stay below 2^16.
    left_at, right_at : int64
    least : uint16

    Returns
    -------
    uint64
        Bit k for lane k.
    """
    if not (_is_flat(left) and _is_flat(right)):
        return None
    signature = types.uint64(left, types.int64, right, types.int64, types.uint16)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a = _load(context, builder, signature.args[0], arguments[0], arguments[1])
        b = _load(context, builder, signature.args[2], arguments[2], arguments[3])
        return _mask(builder, a, b, _splat(builder, arguments[4]))

    return signature, emit


@_emitted
def bounds_reaching(typing_context, left, left_at, number, least, least_at):  # type: ignore[no-untyped-def]
    """Mask of lanes k < 64 with ``left[left_at + k] + number >= least[least_at + k]``.

    Parameters
    ----------
    left, least : uint16 arrays, contiguous, indexed flat
        Sums must stay below 2^16.
    left_at, least_at : int64
    number : uint16

    Returns
    -------
    uint64
        Bit k for lane k.
    """
    if not (_is_flat(left) and _is_flat(least)):
        return None
    signature = types.uint64(left, types.int64, types.uint16, least, types.int64)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a = _load(context, builder, signature.args[0], arguments[0], arguments[1])
        c = _load(context, builder, signature.args[3], arguments[3], arguments[4])
        return _mask(builder, a, _splat(builder, arguments[2]), c)

    return signature, emit


@_emitted
def bits_set(typing_context, mask):  # type: ignore[no-untyped-def]
    """Number of set bits of a uint64 mask, as int64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), emit


@_emitted
def sum_rows(typing_context, table, table_at, rows, low, high, total):  # type: ignore[no-untyped-def]
    """Store in `total` the sum of rows ``rows[low:high]`` of a table of `FLOATS` columns, in that order.

    The running sums stay in registers, which a compiled loop over an array does not achieve.

    Parameters
    ----------
    table : float32 array, contiguous, indexed flat
        Row r begins at ``table_at + r * FLOATS``.
    table_at : int64
    rows : int32 array, contiguous
    low, high : int64
    total : float32 array, shape (FLOATS,)
    """
    signature = types.void(table, types.int64, rows, types.int64, types.int64, total)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, rows, total = (
            context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (0, 2, 5)
        )
        vector = ir.VectorType(ir.FloatType(), FLOATS)
        running = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * FLOATS))
        builder.store(ir.Constant(vector, [0.0] * FLOATS), running)
        with cgutils.for_range_slice(builder, arguments[3], arguments[4], ir.Constant(ir.IntType(64), 1)) as (k, _):
            row = builder.sext(builder.load(builder.gep(rows, [k])), ir.IntType(64))
            at = builder.add(arguments[1], builder.mul(row, ir.Constant(ir.IntType(64), FLOATS)))
            pointer = builder.bitcast(builder.gep(table, [at]), vector.as_pointer())
            builder.store(builder.fadd(builder.load(running), builder.load(pointer, align=4)), running)
        builder.store(builder.load(running), builder.bitcast(total, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, emit


@_emitted
def dot_lanes(typing_context, left, left_at, right, whole, total):  # type: ignore[no-untyped-def]
    """Store in `total` the sums over k of ``left[left_at + k] * right[k]``, one sum for each k modulo `DOUBLES`.

    Parameters
    ----------
    left : float32 array, contiguous, indexed flat
    left_at : int64
    right : float64 array, contiguous
    whole : int64
        Elements to multiply, a multiple of `DOUBLES`.
    total : float64 array, shape (DOUBLES,)
    """
    signature = types.void(left, types.int64, right, types.int64, total)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right, total = (
            context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (0, 2, 4)
        )
        vector = ir.VectorType(ir.DoubleType(), DOUBLES)
        singles = ir.VectorType(ir.FloatType(), DOUBLES)
        running = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * DOUBLES))
        builder.store(ir.Constant(vector, [0.0] * DOUBLES), running)
        step, zero = (ir.Constant(ir.IntType(64), n) for n in (DOUBLES, 0))
        with cgutils.for_range_slice(builder, zero, arguments[3], step) as (k, _):
            a = builder.bitcast(builder.gep(left, [builder.add(arguments[1], k)]), singles.as_pointer())
            b = builder.bitcast(builder.gep(right, [k]), vector.as_pointer())
            product = builder.fmul(builder.fpext(builder.load(a, align=4), vector), builder.load(b, align=8))
            builder.store(builder.fadd(builder.load(running), product), running)
        builder.store(builder.load(running), builder.bitcast(total, vector.as_pointer()), align=8)
        return context.get_dummy_value()

    return signature, emit


@_emitted
def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Index of the lowest set bit of a non-zero uint64 mask, as int64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit
