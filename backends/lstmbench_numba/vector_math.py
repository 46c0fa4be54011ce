"""Functions of SIMD vectors, lane by lane: square root, exponential, tanh and sigmoid."""

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lstmbench_numba.compilation import compiled
from lstmbench_numba.vectors import Vector, constant_ir, is_single, spread_ir, vector_ir

LOG2_E = 1 / math.log(2)
# The logarithm of 2 as the sum of a part of 17 bits and a rest. A whole number n of up to seven
# bits times the first part is exact in float32. `math.log(2)` is short of ln 2 by the last term.
LN2_HIGH = 0.693145751953125
LN2_LOW = math.log(2) - LN2_HIGH + 2.3190468138462996e-17
RECIPROCAL_FACTORIAL = tuple(1 / math.factorial(n) for n in range(14))
# Degrees of the Taylor polynomial of e^r that leave an error below rounding for |r| <= ln(2) / 2.
TERMS_SINGLE, TERMS_DOUBLE = 7, 13
# e^64 is far beyond where sigmoid and tanh no longer change, and 2^n is finite in float32.
LARGEST_EXPONENT = 64.0


def _llvm_function(name: str) -> Callable[..., Any]:
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


square_root = _llvm_function("llvm.sqrt")
# Rounds to the nearest whole number, halves to the even one.
nearest = _llvm_function("llvm.rint")


@intrinsic
def clamp(typingctx: Any, vector: Any, bound: Any) -> Any:
    """Return the lanes limited to [-bound, bound]; a NaN stays NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector_ir(vector)
        high = spread_ir(builder, context.cast(builder, args[1], bound, vector.scalar), kind)
        low = builder.fsub(constant_ir(kind, 0.0), high)
        # An ordered comparison with NaN is false, so that both selections keep the value.
        value = args[0]
        value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
        return builder.select(builder.fcmp_ordered("<", value, low), low, value)

    return vector(vector, bound), codegen


@intrinsic
def power_of_two(typingctx: Any, vector: Any) -> Any:
    """Return 2^n for lanes that hold whole numbers n within the range of normal exponents.

    n is moved to the bits of the exponent. Adding 1.5 * 2^m, where m is the length of the
    mantissa, leaves n in the lowest bits of the sum. This takes the place of a conversion to
    integers, whose result LLVM leaves undefined for NaN.
    """
    bits, mantissa = vector.scalar.bitwidth, 23 if vector.scalar == types.float32 else 52
    bias = (1 << (bits - mantissa - 2)) - 1

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector_ir(vector)
        whole = ir.VectorType(ir.IntType(bits), kind.count)
        raw = builder.bitcast(builder.fadd(args[0], constant_ir(kind, 1.5 * 2.0**mantissa)), whole)
        raw = builder.shl(raw, constant_ir(whole, mantissa))
        return builder.bitcast(builder.add(raw, constant_ir(whole, bias << mantissa)), kind)

    return vector(vector), codegen


@compiled
def exponential(y: Vector) -> tuple[Vector, Vector]:
    """Return (p, s) with e^y = s + s p, where s is a power of two and p small.

    Parts that callers can add up in the order that loses least: tanh needs e^y - 1. y is limited
    to [-64, 64]. With y = n ln 2 + r and |r| <= ln(2) / 2, s is 2^n and p = e^r - 1 is a Taylor
    polynomial. n ln 2 is subtracted in two parts, the first of them exact, so that r keeps its
    digits (Cody and Waite).
    """
    y = clamp(y, LARGEST_EXPONENT)
    n = nearest(y * LOG2_E)
    r = (y - n * LN2_HIGH) - n * LN2_LOW
    terms = TERMS_SINGLE if is_single(y) else TERMS_DOUBLE
    series = r * RECIPROCAL_FACTORIAL[terms] + RECIPROCAL_FACTORIAL[terms - 1]
    for k in range(terms - 2, 1, -1):
        series = series * r + RECIPROCAL_FACTORIAL[k]
    return r + r * r * series, power_of_two(n)


@compiled
def tanh(z: Vector) -> Vector:
    """Return tanh z = (e^2z - 1) / (e^2z + 1).

    s p + (s - 1) is e^2z - 1 without the digits that e^2z of a small z would lose.
    """
    p, s = exponential(z * 2)
    e = s * p + (s - 1)
    return e / (e + 2)


@compiled
def sigmoid(z: Vector) -> Vector:
    """Return 1 / (1 + e^-z)."""
    p, s = exponential(z * -1)
    return 1 / (s * p + (s + 1))
