"""Matrix products at the edges of tiles and panels, against NumPy in float64."""

import numpy as np
import pytest

pytest.importorskip("numba")

from lstmbench_numba.compilation import compiled, kept_on_disk
from lstmbench_numba.memory import Block, pointer
from lstmbench_numba.panels import to_panels
from lstmbench_numba.products import FEW_ROWS, PANELS_AT_ONCE, product
from lstmbench_numba.tiles import TILE_ROWS
from lstmbench_numba.vectors import lanes

DTYPES = ["float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
# 1, each size of tile, sums of them, and one row fewer and more than full tiles.
ROWS = sorted({1, 2, 3, 4, 5, 7, *(n * TILE_ROWS + d for n in (1, 2, 4) for d in (-1, 0, 1))})
# Vectors in a row: one, whole panels, a last panel of one vector, and, for few rows, groups of
# panels with and without more after them.
GROUP = 2 * PANELS_AT_ONCE
VECTORS = [1, 2, 3, 4, GROUP - 1, GROUP, GROUP + 1, GROUP + 2, 2 * GROUP + 3]
DEPTHS = [1, 2, 3, 16, 33]
GAP = 3
"""Numbers between the end of a row and the next one."""


@kept_on_disk
@compiled
def call_product(
    a: np.ndarray,
    a_strides: tuple[int, int],
    panels: np.ndarray,
    first: np.ndarray,
    first_stride: int,
    out: np.ndarray,
    out_stride: int,
    sizes: tuple[int, int, int],
) -> None:
    rows, depth, columns = sizes
    left = Block(pointer(a), a_strides[0], a_strides[1])
    addend, result = Block(pointer(first), first_stride, 1), Block(pointer(out), out_stride, 1)
    product(left, pointer(panels), addend, result, rows, depth, columns)


def matrix(rows: int, columns: int, dtype: str, seed: int) -> np.ndarray:
    """Return uniform numbers in [-1, 1], with NaN in a gap after each row and in a row below."""
    result = np.full((rows + 1, columns + GAP), np.nan, dtype)
    random = np.random.default_rng(seed)
    result[:rows, :columns] = random.uniform(-1, 1, (rows, columns))
    return result


def check(rows: int, depth: int, vectors: int, dtype: str, variant: str = "plain") -> None:
    """Compare one product, and make sure that nothing beside its result is written."""
    columns = vectors * lanes(np.dtype(dtype).itemsize)
    a, first = matrix(rows, depth, dtype, 0), matrix(rows, columns, dtype, 1)
    b = matrix(depth, columns, dtype, 2)[:depth, :columns]
    out = first if variant == "in place" else np.full_like(first, np.nan)
    left, strides = a[:rows, :depth], (a.shape[1], 1)
    if variant == "transposed":
        a = np.ascontiguousarray(a.T)
        strides = 1, a.shape[1]
    first_stride = 0 if variant == "bias" else first.shape[1]
    addend = first[:1, :columns] if variant == "bias" else first[:rows, :columns]
    expected = addend.astype(np.float64) + left.astype(np.float64) @ b
    # Each of the sum's terms is at most 1 and rounded once, and so is the sum.
    tolerance = (depth + 1) * (depth + 1) * np.finfo(dtype).eps / 2
    panels = to_panels(b, 2 * lanes(b.itemsize))
    sizes = rows, depth, columns
    call_product(a, strides, panels, first, first_stride, out, out.shape[1], sizes)
    label = f"{rows} x {depth} by {depth} x {columns}"
    np.testing.assert_allclose(out[:rows, :columns], expected, 0, tolerance, err_msg=label)
    assert np.isnan(out[rows]).all(), label
    assert np.isnan(out[:, columns:]).all(), label


@each_dtype
@pytest.mark.parametrize("rows", ROWS)
def test_edges_of_tiles_and_panels(rows: int, dtype: str) -> None:
    for vectors in VECTORS:
        for depth in DEPTHS:
            check(rows, depth, vectors, dtype)


@each_dtype
@pytest.mark.parametrize("variant", ["in place", "transposed", "bias"])
def test_how_blocks_lie(variant: str, dtype: str) -> None:
    for rows in (1, FEW_ROWS - 1, FEW_ROWS, TILE_ROWS + 3):
        for vectors in (1, 2, GROUP, GROUP + 3):
            check(rows, 5, vectors, dtype, variant)


@each_dtype
def test_no_rows_and_no_depth(dtype: str) -> None:
    check(0, 3, 3, dtype)
    check(5, 0, 3, dtype, "in place")


@each_dtype
def test_the_addend_comes_last(dtype: str) -> None:
    """A large addend must not round each term to its own size."""
    depth, columns = 64, 2 * lanes(np.dtype(dtype).itemsize)
    small = 0.75 * np.finfo(dtype).eps
    a, b = np.full((4, depth), small, dtype), np.ones((depth, columns), dtype)
    first, out = np.ones((4, columns), dtype), np.zeros((4, columns), dtype)
    panels = to_panels(b, columns)
    call_product(a, (depth, 1), panels, first, columns, out, columns, (4, depth, columns))
    np.testing.assert_array_equal(out, 1 + np.asarray(depth * small, dtype))


@each_dtype
def test_nan_and_infinity_reach_their_row_alone(dtype: str) -> None:
    rows, columns = TILE_ROWS + 1, 3 * lanes(np.dtype(dtype).itemsize)
    a, out = np.ones((rows, 4), dtype), np.zeros((rows, columns), dtype)
    a[0, 1], a[rows - 1, 2] = np.nan, np.inf
    panels = to_panels(np.ones((4, columns), dtype), columns // 3 * 2)
    call_product(a, (4, 1), panels, out, columns, out, columns, (rows, 4, columns))
    assert np.isnan(out[0]).all()
    assert (out[-1] == np.inf).all()
    np.testing.assert_array_equal(out[1:-1], 4)
