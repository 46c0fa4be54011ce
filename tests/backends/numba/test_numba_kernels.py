"""The SIMD layer of the numba backend, by itself: vectors, products, transposes, functions."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from lstmbench_numba import cell, compiling  # they import Numba
from lstmbench_numba.compiling import compiled
from lstmbench_numba.memory import Block, pointer
from lstmbench_numba.optimiser import transpose
from lstmbench_numba.products import PANELS_AT_ONCE, TILE_ROWS, product
from lstmbench_numba.vector import (
    VECTOR_BYTES,
    clamp,
    lanes,
    load,
    nearest,
    power_of_two,
    store,
    total,
    width,
)
from lstmbench_numba.weights import aligned, from_panels, to_panels

DTYPES = ["float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def over(function: Any) -> Any:
    """A function of one vector, applied to every vector of an array."""

    @compiled
    def loop(values: np.ndarray, out: np.ndarray) -> None:
        x, y = pointer(values), pointer(out)
        for at in range(0, values.size, width(x)):
            store(y, at, function(load(x, at)))

    def call(values: np.ndarray) -> np.ndarray:
        whole = np.zeros(-(-values.size // 16) * 16, values.dtype)
        whole[: values.size] = values
        out = np.empty_like(whole)
        loop(whole, out)
        return out[: values.size]

    return call


@compiled
def _exp(y: Any) -> Any:
    p, s = cell.exponential(y)
    return s * p + s


@compiled
def _clamped(y: Any) -> Any:
    return clamp(y, 2.5)


@compiled
def _power(y: Any) -> Any:
    return power_of_two(nearest(y))


exp, tanh, sigmoid = over(_exp), over(cell.tanh), over(cell.sigmoid)
clamped, power = over(_clamped), over(_power)


def ulps(actual: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of the exact value, given in a wider format."""
    rounded = exact.astype(actual.dtype)
    spacing = np.spacing(np.abs(rounded)).astype(exact.dtype)
    return float(np.max(np.abs(actual.astype(exact.dtype) - exact) / spacing))


def numbers(dtype: str, bound: float) -> np.ndarray:
    """Numbers up to a bound, half of them small, both signs, zero among them."""
    random = np.random.default_rng(0)
    size = 20_000
    small = random.choice([-1, 1], size) * 10 ** random.uniform(-6, 0, size)
    return np.concatenate([[0.0], small, random.uniform(-bound, bound, size)]).astype(dtype)


# The bounds are what was measured, rounded up to whole units: the Taylor series and the reduction
# by ln 2 are each good to about half a unit, the quotients of sigmoid and tanh add one or two.
@each_dtype
@pytest.mark.parametrize(
    ("function", "exact", "bound", "allowed"),
    [
        (exp, np.exp, 60.0, 2.0),
        (sigmoid, lambda z: 1 / (1 + np.exp(-z)), 30.0, 3.0),
        (tanh, np.tanh, 20.0, 3.0),
    ],
    ids=["exp", "sigmoid", "tanh"],
)
def test_functions_are_good_to_a_few_units_in_the_last_place(
    dtype: str, function: Any, exact: Any, bound: float, allowed: float
) -> None:
    values = numbers(dtype, bound)
    wider = values.astype(np.longdouble if dtype == "float64" else np.float64)
    assert ulps(function(values), exact(wider)) < allowed


@each_dtype
def test_functions_saturate_without_overflow_and_keep_nan(dtype: str) -> None:
    huge = np.array([-1e30, -1000, 1000, 1e30, np.nan, -np.inf, np.inf], dtype)
    np.testing.assert_array_equal(tanh(huge), [-1, -1, 1, 1, np.nan, -1, 1])
    found = sigmoid(huge)
    assert (found[[0, 1, 5]] < 1e-27).all() and (found[[2, 3, 6]] == 1).all() and np.isnan(found[4])


@each_dtype
def test_clamp_bounds_both_sides_and_keeps_nan(dtype: str) -> None:
    values = np.array([-3, -2.5, -1, 0, 2.4, 2.5, 7, np.inf, -np.inf, np.nan], dtype)
    expected = [-2.5, -2.5, -1, 0, 2.4, 2.5, 2.5, 2.5, -2.5, np.nan]
    np.testing.assert_array_equal(clamped(values), np.array(expected, dtype))


@each_dtype
def test_powers_of_two_are_exact_over_the_range_of_the_exponent(dtype: str) -> None:
    lowest, highest = (-126, 127) if dtype == "float32" else (-1022, 1023)
    n = np.arange(lowest, highest + 1).astype(dtype)
    np.testing.assert_array_equal(power(n), np.ldexp(np.ones_like(n), n.astype(int)))


@each_dtype
def test_lanes_are_summed_in_float64(dtype: str) -> None:
    @compiled
    def sum_of_first(values: np.ndarray) -> float:
        return total(load(pointer(values), 0))

    values = np.full(lanes(np.dtype(dtype).itemsize), 0.1, dtype)
    values[0] = 1e8
    exact = values.astype(np.float64).sum()
    assert sum_of_first(values) == pytest.approx(exact, rel=1e-14)


@compiled
def _product(
    a: np.ndarray, panels: np.ndarray, first: np.ndarray, out: np.ndarray, columns: int
) -> None:
    rows, depth = a.shape
    blocks = [Block(pointer(x), x.shape[1], 1) for x in (a, first, out)]
    product(blocks[0], pointer(panels), blocks[1], blocks[2], rows, depth, columns)


ROWS = sorted({1, 2, 3, 4, 5, 7, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1, 2 * TILE_ROWS + 7})
VECTORS = [1, 2, 3, 2 * PANELS_AT_ONCE - 1, 2 * PANELS_AT_ONCE, 2 * PANELS_AT_ONCE + 1]


@each_dtype
@pytest.mark.parametrize("vectors", VECTORS)
def test_products_are_exact_at_every_edge_of_tiles_and_panels(dtype: str, vectors: int) -> None:
    """Small whole numbers, of which every sum is exact, so that one wrong place shows."""
    random = np.random.default_rng(vectors)
    one = lanes(np.dtype(dtype).itemsize)
    columns = vectors * one
    for rows in ROWS:
        for depth in (1, 2, 5):
            a, b, first = (
                random.integers(-9, 10, shape).astype(dtype)
                for shape in ((rows, depth), (depth, columns), (rows, columns))
            )
            out = np.full((rows + 1, columns), 77, dtype)
            _product(a, to_panels(b, 2 * one), first, out[:rows], columns)
            np.testing.assert_array_equal(out[:rows], first + a @ b, err_msg=f"{rows} {depth}")
            assert (out[rows] == 77).all(), "nothing is written beyond the last row"


@compiled
def _transpose(
    source: np.ndarray, target: np.ndarray, rows: int, columns: int, middle: int
) -> None:
    transpose(pointer(source), pointer(target), rows, columns, 0, middle)
    transpose(pointer(source), pointer(target), rows, columns, middle, columns)


@each_dtype
@pytest.mark.parametrize(("high", "wide"), [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4)])
def test_a_matrix_in_panels_is_transposed_in_parts(dtype: str, high: int, wide: int) -> None:
    one = lanes(np.dtype(dtype).itemsize)
    rows, columns = high * one, wide * one
    matrix = np.arange(rows * columns, dtype=dtype).reshape(rows, columns)
    target = np.zeros(matrix.size, dtype)
    middle = columns // (2 * one) * one // one * one // 2 // (2 * one) * (2 * one)
    _transpose(to_panels(matrix, 2 * one), target, rows, columns, middle)
    np.testing.assert_array_equal(from_panels(target, rows, 2 * one), matrix.T)


@pytest.mark.parametrize(("depth", "columns"), [(1, 4), (3, 4), (5, 12), (2, 8)])
def test_panels_hold_every_number_once_panel_after_panel(depth: int, columns: int) -> None:
    matrix = np.arange(depth * columns).reshape(depth, columns)
    panels = to_panels(matrix, 8)
    np.testing.assert_array_equal(panels[: depth * min(8, columns)], matrix[:, :8].ravel())
    np.testing.assert_array_equal(from_panels(panels, columns, 8), matrix)


@each_dtype
def test_memory_begins_on_a_vector_boundary(dtype: str) -> None:
    for length in (1, 7, 1000):
        array = aligned(length, dtype)
        assert array.shape == (length,) and not array.any()
        assert array.ctypes.data % VECTOR_BYTES == 0


@pytest.mark.parametrize("count", [0, 1, 7, 64, 65])
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("unit", [1, 8])
def test_parts_cover_everything_once_in_whole_units(count: int, parts: int, unit: int) -> None:
    found = [compiling.part.py_func(count, parts, index, unit) for index in range(parts)]
    assert [n for start, stop in found for n in range(start, stop)] == list(range(count))
    assert all(start % unit == 0 for start, _ in found)


PROGRAM = """
import numpy as np
from lstmbench import Options
from lstmbench_numba import optimiser
from lstmbench_numba.optimiser import Adam, update
one = [np.zeros(16) for _ in range(4)]
one[1][:] = 3.0
update(*one, np.zeros(1), Adam(1e9, 0.0, 0.0, 0.0, 1.0, 1.0))
print(one[0][0], sum(update.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_kept_code_is_of_all_sources_that_it_holds(tmp_path: Path) -> None:
    """Changing a function in another file has the kernels that hold it compiled anew."""
    package = tmp_path / "lstmbench_numba"
    shutil.copytree(Path(compiling.__file__).parent, package)

    def run() -> tuple[float, int]:
        environment = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        step, hits = done.stdout.split()
        return float(step), int(hits)

    assert run() == (-1.0, 0)
    assert run() == (-1.0, 1), "unchanged sources use what was kept"
    vector = package / "vector.py"
    source = vector.read_text()
    changed = source.replace('(operator.mul, "fmul")', '(operator.mul, "fadd")')
    assert changed != source
    vector.write_text(changed)
    step, hits = run()
    assert step != -1.0 and hits == 0
