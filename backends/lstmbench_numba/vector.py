"""SIMD vectors as a Numba type.

LLVM vectorises a plain loop only where it can prove that no two of its arrays overlap, which it
gives up on in the cell's loops. So vectors are explicit here: `load` gives `width` neighbouring
numbers as one value, `+ - * /` work on it (a Python number is spread over all lanes, in the
vector's own precision) and `store` puts it back. The same code then serves float32 and float64,
and any CPU: LLVM splits a vector that is wider than the machine's registers.
"""

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

_FEATURES = llvm.get_host_cpu_features()
_WIDE = bool(_FEATURES.get("avx512f"))
VECTOR_BYTES = 64 if _WIDE else 32 if _FEATURES.get("avx2") else 16

CONTRACT = ("contract",)
"""The flags of LLVM that let it fuse a product and a sum into one instruction."""


def lanes(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes one vector holds."""
    return VECTOR_BYTES // itemsize


class Vector(types.Type):  # type: ignore[misc]  # Numba is untyped, here and below
    """Numba's type of a vector of `count` floats of type `scalar`."""

    def __init__(self, scalar: Any) -> None:
        self.scalar = scalar
        self.count = lanes(scalar.bitwidth // 8)
        super().__init__(name=f"Vector({scalar} x {self.count})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, vector_ir(kind))


def vector_ir(kind: Vector) -> ir.VectorType:
    """Return LLVM's type of a vector."""
    element = ir.FloatType() if kind.scalar == types.float32 else ir.DoubleType()
    return ir.VectorType(element, kind.count)


def spread_ir(builder: Any, number: Any, kind: ir.VectorType) -> Any:
    """Return the code of a vector with `number` in each lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, undefined, mask)


def _arithmetic(operation: Any, instruction: str) -> None:
    """Give vectors one operator, between each other or with a number on either side."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [a for a in args if isinstance(a, Vector)]
            if len(args) == 2 and vectors:
                return signature(vectors[0], *args)
            return None

    infer_global(operation)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        operands = []
        for value, kind in zip(args, sig.args, strict=True):
            if not isinstance(kind, Vector):
                number = context.cast(builder, value, kind, sig.return_type.scalar)
                value = spread_ir(builder, number, vector_ir(sig.return_type))
            operands.append(value)
        return getattr(builder, instruction)(*operands, flags=CONTRACT)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *pair)(lower)


for _operation, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_operation, _instruction)


def vector_pointer(builder: Any, start: Any, offset: Any, kind: ir.VectorType) -> Any:
    """Return the code of the address of a vector, `offset` numbers after a pointer."""
    return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())


@intrinsic
def load(typingctx: Any, start: Any, offset: Any) -> Any:
    """Return the vector that begins `offset` numbers after the pointer `start`."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector_ir(result)
        address = vector_pointer(builder, args[0], args[1], kind)
        return builder.load(address, align=start.dtype.bitwidth // 8)

    return result(start, types.intp), codegen


@intrinsic
def store(typingctx: Any, start: Any, offset: Any, vector: Any) -> Any:
    """Write `vector` from `offset` numbers after the pointer `start` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        target = vector_pointer(builder, args[0], args[1], vector_ir(vector))
        builder.store(args[2], target, align=start.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(start, types.intp, vector), codegen


@intrinsic
def spread(typingctx: Any, start: Any, number: Any) -> Any:
    """Return a vector of the pointer's type with `number` in each lane."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[1], number, result.scalar)
        return spread_ir(builder, value, vector_ir(result))

    return result(start, number), codegen


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:
    """Return the sum of the lanes in float64."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = context.get_constant(types.float64, 0.0)
        for lane in range(vector.count):
            number = builder.extract_element(args[0], ir.Constant(ir.IntType(32), lane))
            number = context.cast(builder, number, vector.scalar, types.float64)
            result = builder.fadd(result, number)
        return result

    return types.float64(vector), codegen


@intrinsic
def width(typingctx: Any, start: Any) -> Any:
    """Return how many numbers of the pointer's type one vector holds, a constant."""
    count = lanes(start.dtype.bitwidth // 8)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(start), codegen


def _unary(name: str) -> Callable[..., Any]:
    """Return an LLVM intrinsic of one vector as a function."""

    @intrinsic
    def function(typingctx: Any, vector: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = vector_ir(vector)
            full_name = f"{name}.v{kind.count}f{vector.scalar.bitwidth}"
            declared = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind]), full_name
            )
            return builder.call(declared, args)

        return vector(vector), codegen

    return function


square_root = _unary("llvm.sqrt")
nearest = _unary("llvm.rint")


@intrinsic
def clamp(typingctx: Any, vector: Any, bound: Any) -> Any:
    """Return the vector with each lane brought to within [-bound, bound]; NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector_ir(vector)
        high = spread_ir(builder, context.cast(builder, args[1], bound, vector.scalar), kind)
        low = builder.fsub(ir.Constant(kind, [0.0] * kind.count), high)
        value = args[0]
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, bound), codegen


@intrinsic
def power_of_two(typingctx: Any, vector: Any) -> Any:
    """Return 2^n of lanes that hold whole numbers n in the range of the exponent."""
    bits, mantissa = vector.scalar.bitwidth, 23 if vector.scalar == types.float32 else 52
    bias = (1 << (bits - mantissa - 2)) - 1

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector_ir(vector)
        whole = ir.VectorType(ir.IntType(bits), kind.count)

        def constant(number: int) -> Any:
            return ir.Constant(whole, [number] * kind.count)

        # 1.5 * 2^mantissa + n has n in its lowest bits: no conversion, which NaN would upset.
        magic = ir.Constant(kind, [1.5 * 2.0**mantissa] * kind.count)
        raw = builder.bitcast(builder.fadd(args[0], magic), whole)
        raw = builder.add(builder.shl(raw, constant(mantissa)), constant(bias << mantissa))
        return builder.bitcast(raw, kind)

    return vector(vector), codegen


@intrinsic
def is_single(typingctx: Any, vector: Any) -> Any:
    """Return whether the lanes are float32, a constant."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.boolean, vector.scalar == types.float32)

    return types.boolean(vector), codegen


def _interleave(builder: Any, pair: tuple[Any, Any], half: int, count: int) -> Any:
    """Return the lanes of two vectors in turn, of their lower (0) or upper (1) halves."""
    first = half * count // 2
    order = [lane + side * count for lane in range(first, first + count // 2) for side in (0, 1)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), order)
    return builder.shuffle_vector(*pair, mask)


@intrinsic
def transpose_square(typingctx: Any, source: Any, row: Any, target: Any, target_row: Any) -> Any:
    """Transpose `width` x `width` numbers; the rows of each side lie `row` numbers apart.

    Row i and row i + width / 2 are interleaved into rows 2 i and 2 i + 1. That rotates the bits of
    each number's place (row, lane) by one, so that log2(width) such rounds exchange row and lane.
    """
    kind = Vector(source.dtype)
    count, align = kind.count, kind.scalar.bitwidth // 8

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = vector_ir(kind)

        def place(start: Any, distance: Any, r: int) -> Any:
            offset = builder.mul(distance, context.get_constant(types.intp, r))
            return vector_pointer(builder, start, offset, vector)

        rows = [builder.load(place(args[0], args[1], r), align=align) for r in range(count)]
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
            rows = [_interleave(builder, p, half, count) for p in pairs for half in (0, 1)]
        for r, value in enumerate(rows):
            builder.store(value, place(args[2], args[3], r), align=align)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen
