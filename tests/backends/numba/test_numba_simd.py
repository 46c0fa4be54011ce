"""SIMD vectors and their functions, lane by lane, against NumPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from lstmbench_numba.compilation import compiled, kept_on_disk
from lstmbench_numba.memory import pointer
from lstmbench_numba.vector_math import (
    LARGEST_EXPONENT,
    clamp,
    exponential,
    nearest,
    power_of_two,
    sigmoid,
    square_root,
    tanh,
)
from lstmbench_numba.vectors import VECTOR_BYTES, lanes, load, spread, store, total, width

DTYPES = ["float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
FUNCTIONS = ("exponential", "tanh", "sigmoid", "clamp", "nearest", "square_root", "power_of_two")
BOUND = 2.5
EXACT = np.longdouble
"""Expected values have more digits than float64 where the platform has such a type."""


@kept_on_disk
@compiled
def call_all(x: np.ndarray, out: np.ndarray) -> None:
    """Write each of `FUNCTIONS` of x (n,), whole vectors, to a row of out (7, n)."""
    start = pointer(x)
    for i in range(0, len(x), width(start)):
        v = load(start, i)
        p, s = exponential(v)
        store(pointer(out[0]), i, s + s * p)
        store(pointer(out[1]), i, tanh(v))
        store(pointer(out[2]), i, sigmoid(v))
        store(pointer(out[3]), i, clamp(v, BOUND))
        store(pointer(out[4]), i, nearest(v))
        store(pointer(out[5]), i, square_root(v))
        store(pointer(out[6]), i, power_of_two(v))


def results(x: Any, dtype: str) -> dict[str, np.ndarray]:
    """Call all functions with the numbers x, padded to whole vectors."""
    x = np.asarray(x, dtype)
    padded = np.zeros(len(x) + -len(x) % lanes(x.itemsize), dtype)
    padded[: len(x)] = x
    out = np.empty((len(FUNCTIONS), len(padded)), dtype)
    call_all(padded, out)
    return {name: row[: len(x)] for name, row in zip(FUNCTIONS, out, strict=True)}


def ulps(actual: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error in units of the last place of the expected values."""
    spacing = np.spacing(np.abs(expected).astype(actual.dtype)).astype(EXACT)
    return float(np.max(np.abs(actual.astype(EXACT) - expected) / spacing))


def arguments(limit: float, smallest: float, dtype: str) -> np.ndarray:
    """Return numbers all over [-limit, limit], as many between any two powers of two near 0."""
    random = np.random.default_rng(0)
    spread_out = random.uniform(-limit, limit, 20000)
    near_zero = np.geomspace(smallest, limit, 20000)
    return np.concatenate([[0.0, limit, -limit], spread_out, near_zero, -near_zero]).astype(dtype)


def expected_sigmoid(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-x))
    return result


# In units of the last place. The largest errors of two million arguments were 1.04, 2.50 and 2.33,
# in float32 and float64, with and without fused multiply-add; other arguments may do a little
# worse. Rounding the result alone costs 0.5. The exponential adds that of its argument and of its
# polynomial. tanh and sigmoid go on with sums and a quotient, which round again.
ACCURACY: list[tuple[str, Callable[..., Any], float, float]] = [
    ("exponential", np.exp, LARGEST_EXPONENT, 1.25),
    ("tanh", np.tanh, LARGEST_EXPONENT / 2, 2.75),
    ("sigmoid", expected_sigmoid, LARGEST_EXPONENT, 2.5),
]


@each_dtype
@pytest.mark.parametrize(("name", "function", "limit", "bound"), ACCURACY)
def test_accuracy(
    name: str, function: Callable[..., Any], limit: float, bound: float, dtype: str
) -> None:
    if np.finfo(EXACT).eps >= np.finfo(dtype).eps:
        pytest.skip("no type here has more digits than float64")
    x = arguments(limit, 1e-30, dtype)
    error = ulps(results(x, dtype)[name], function(x.astype(EXACT)))
    assert error <= bound


@each_dtype
def test_functions_at_their_limits(dtype: str) -> None:
    far = [LARGEST_EXPONENT, 65.0, 1e30, math.inf]
    found = results([*far, *np.negative(far)], dtype)
    np.testing.assert_array_equal(found["exponential"][:4], found["exponential"][0])
    np.testing.assert_array_equal(found["exponential"][4:], found["exponential"][4])
    np.testing.assert_array_equal(found["tanh"], [1] * 4 + [-1] * 4)
    np.testing.assert_array_equal(found["sigmoid"][:4], 1)
    assert (found["sigmoid"][4:] < 2e-28).all()


@each_dtype
def test_nan_survives(dtype: str) -> None:
    x = [1.0, math.nan, -1.0, math.nan]
    for name, found in results(x, dtype).items():
        if name not in ("square_root", "power_of_two"):
            np.testing.assert_array_equal(np.isnan(found), np.isnan(x), err_msg=name)


@each_dtype
def test_clamp(dtype: str) -> None:
    near = np.nextafter(np.asarray(BOUND, dtype), np.asarray([0, 9], dtype))
    x = [-math.inf, -BOUND, -1.0, -0.0, *near, BOUND, 3.0, math.inf]
    found = results(x, dtype)["clamp"]
    np.testing.assert_array_equal(found, np.clip(np.asarray(x, dtype), -BOUND, BOUND))
    assert np.signbit(found[3])


@each_dtype
def test_nearest_and_square_root_are_numpys(dtype: str) -> None:
    x = np.concatenate([np.arange(-5, 5, 0.25), arguments(1e3, 1e-3, dtype)]).astype(dtype)
    np.testing.assert_array_equal(results(x, dtype)["nearest"], np.rint(x))
    np.testing.assert_array_equal(results(abs(x), dtype)["square_root"], np.sqrt(abs(x)))


@each_dtype
def test_powers_of_two_over_all_normal_exponents(dtype: str) -> None:
    limits = np.finfo(dtype)
    n = np.arange(limits.minexp, limits.maxexp)
    np.testing.assert_array_equal(results(n, dtype)["power_of_two"], np.ldexp(np.ones(1, dtype), n))


# Arithmetic and memory


@kept_on_disk
@compiled
def operate(x: np.ndarray, y: np.ndarray, out: np.ndarray, offset: int) -> float:
    """Write results of all operators to the rows of out, and return the sum of a vector of x."""
    v, w = load(pointer(x), offset), load(pointer(y), offset)
    store(pointer(out[0]), offset, v + w)
    store(pointer(out[1]), offset, v - w)
    store(pointer(out[2]), offset, v * w)
    store(pointer(out[3]), offset, v / w)
    store(pointer(out[4]), offset, v - 0.1)
    store(pointer(out[5]), offset, 0.1 - v)
    store(pointer(out[6]), offset, 2 / v)
    store(pointer(out[7]), offset, spread(pointer(x), 0.1))
    return total(v)


@each_dtype
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_operators_at_any_offset_write_one_vector(dtype: str, offset: int) -> None:
    count = lanes(np.dtype(dtype).itemsize)
    random = np.random.default_rng(1)
    x, y = random.uniform(1, 2, (2, 2 * count + offset)).astype(dtype)
    out = np.full((8, len(x)), np.nan, dtype)
    found = operate(x, y, out, offset)
    here = slice(offset, offset + count)
    tenth = np.asarray(0.1, dtype)
    expected = [x + y, x - y, x * y, x / y, x - tenth, tenth - x, 2 / x, x * 0 + tenth]
    np.testing.assert_array_equal(out[:, here], np.stack(expected)[:, here])
    out[:, here] = np.nan
    assert np.isnan(out).all()
    assert found == pytest.approx(x[here].sum(dtype=np.float64), rel=1e-15)


def test_a_sum_of_lanes_is_one_in_float64() -> None:
    count = lanes(4)
    x = np.full(count, 2.0**-30, np.float32)
    x[0] = 1
    found = operate(x, x, np.empty((8, count), np.float32), 0)
    assert found == 1 + (count - 1) * 2.0**-30


def test_lanes_fill_a_vector() -> None:
    assert lanes(4) * 4 == lanes(8) * 8 == VECTOR_BYTES
