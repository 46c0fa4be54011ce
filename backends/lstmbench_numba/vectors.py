"""SIMD vectors as a type of Numba's, with arithmetic, and their way from memory and back.

LLVM vectorises a loop only where it can prove that no two of its arrays overlap, and gives up on
that in the loops over the gates. Vectors are therefore explicit here. `load` reads `width`
neighbouring numbers as one value, the operators `+ - * /` work lane by lane, and `store` writes
the value back:

    for c in range(0, columns, width(x)):
        store(x, c, load(x, c) * 2 + load(y, c))

The same code serves float32 and float64, and any CPU: LLVM splits a vector that is wider than the
machine's registers. The functions in this module generate LLVM's intermediate representation (IR).
"""

import operator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

_FEATURES = llvm.get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16

# Lets LLVM fuse a product and a sum into one instruction, and change nothing else.
CONTRACT = ("contract",)


def lanes(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes one vector holds."""
    return VECTOR_BYTES // itemsize


class Vector(types.Type):  # type: ignore[misc]  # Numba is untyped, here and below
    """The type of a vector of `count` numbers of the Numba type `scalar`."""

    def __init__(self, scalar: Any) -> None:
        self.scalar = scalar
        self.count = lanes(scalar.bitwidth // 8)
        super().__init__(name=f"Vector({scalar} x {self.count})")

    @property
    def align(self) -> int:
        """Alignment in bytes that a vector in memory needs: that of one number."""
        return int(self.scalar.bitwidth) // 8


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, vector_ir(kind))


def vector_ir(kind: Vector) -> ir.VectorType:
    """Return LLVM's type for a vector type."""
    element = ir.FloatType() if kind.scalar == types.float32 else ir.DoubleType()
    return ir.VectorType(element, kind.count)


def constant_ir(kind: ir.VectorType, number: float) -> ir.Constant:
    """Return the IR of a vector with the constant `number` in each lane."""
    return ir.Constant(kind, [number] * kind.count)


def spread_ir(builder: Any, number: Any, kind: ir.VectorType) -> Any:
    """Return the IR of a vector with the value `number` in each lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    mask = constant_ir(ir.VectorType(ir.IntType(32), kind.count), 0)
    return builder.shuffle_vector(first, undefined, mask)


def vector_pointer_ir(builder: Any, start: Any, offset: Any, kind: ir.VectorType) -> Any:
    """Return the IR of the address of the vector that lies `offset` numbers after `start`."""
    return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())


def _define_operator(operation: Any, instruction: str) -> None:
    """Define one operator between two vectors, and between a vector and a number.

    A number is first cast to the type of the lanes, so that a Python float does not turn float32
    into float64.
    """

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
    _define_operator(_operation, _instruction)


@intrinsic
def load(typingctx: Any, start: Any, offset: Any) -> Any:
    """Return the vector that lies `offset` numbers after the pointer `start`."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = vector_pointer_ir(builder, args[0], args[1], vector_ir(result))
        return builder.load(address, align=result.align)

    return result(start, types.intp), codegen


@intrinsic
def store(typingctx: Any, start: Any, offset: Any, vector: Any) -> Any:
    """Write `vector` to memory, `offset` numbers after the pointer `start`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = vector_pointer_ir(builder, args[0], args[1], vector_ir(vector))
        builder.store(args[2], address, align=vector.align)
        return context.get_dummy_value()

    return types.void(start, types.intp, vector), codegen


@intrinsic
def spread(typingctx: Any, start: Any, number: Any) -> Any:
    """Return a vector with `number` in each lane, of the type that `start` points to."""
    result = Vector(start.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[1], number, result.scalar)
        return spread_ir(builder, value, vector_ir(result))

    return result(start, number), codegen


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:
    """Return the sum of the lanes, added up in float64 from the first to the last."""

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
    """Return how many numbers of the type that `start` points to one vector holds, a constant."""
    count = lanes(start.dtype.bitwidth // 8)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(start), codegen


@intrinsic
def is_single(typingctx: Any, vector: Any) -> Any:
    """Return whether the lanes are float32, a constant."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.boolean, vector.scalar == types.float32)

    return types.boolean(vector), codegen


@intrinsic
def outlined(typingctx: Any) -> Any:
    """Keep the function that calls this from being inlined into its callers.

    LLVM would otherwise optimise a large function once more for each place that calls it.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen
