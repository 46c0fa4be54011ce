"""Layouts of memory: panels and their transposes, views of parts, ring buffers, parts of work."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from lstmbench_numba.compilation import compiled, kept_on_disk
from lstmbench_numba.memory import aligned, arrays_in, at, count, pointer, row_of
from lstmbench_numba.panels import from_panels, to_panels, transpose_panels
from lstmbench_numba.threads import part
from lstmbench_numba.vectors import VECTOR_BYTES, lanes
from lstmbench_numba.weights import (
    Sizes,
    canonical,
    fill,
    sizes_of,
    weight_shapes,
    weights_in,
)
from lstmbench_numba.workspace import Buffers, slots_of, workspace_in, workspace_shapes

from lstmbench import ModelSpec
from lstmbench.interface import parameters

DTYPES = ["float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def numbered(rows: int, columns: int, dtype: str) -> np.ndarray:
    return np.arange(rows * columns, dtype=dtype).reshape(rows, columns)


# Panels


def test_panels_lie_as_the_picture_says() -> None:
    matrix = np.array([[0, 1, 10, 11, 20], [2, 3, 12, 13, 21]])
    expected = [0, 1, 2, 3, 10, 11, 12, 13, 20, 21]
    np.testing.assert_array_equal(to_panels(matrix, 2), expected)


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 24])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_panels_and_back(depth: int, columns: int) -> None:
    matrix = numbered(depth, columns, "float64")
    np.testing.assert_array_equal(from_panels(to_panels(matrix, 8), columns, 8), matrix)


@kept_on_disk
@compiled
def call_transpose(
    source: np.ndarray, target: np.ndarray, rows: int, columns: int, start: int, stop: int
) -> None:
    transpose_panels(pointer(source), pointer(target), rows, columns, start, stop)


@each_dtype
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_transposes(rows: int, columns: int, dtype: str) -> None:
    """Sizes are in vectors; the part from the second panel on is transposed first."""
    one = lanes(np.dtype(dtype).itemsize)
    matrix = numbered(rows * one, columns * one, dtype)
    source, target = to_panels(matrix, 2 * one), np.full(matrix.size, np.nan, dtype)
    middle = min(2 * one, matrix.shape[1])
    call_transpose(source, target, *matrix.shape, middle, matrix.shape[1])
    assert np.isnan(target).sum() == middle * matrix.shape[0]
    call_transpose(source, target, *matrix.shape, 0, middle)
    np.testing.assert_array_equal(from_panels(target, matrix.shape[0], 2 * one), matrix.T)


# Layouts


@kept_on_disk
@compiled
def mark_weights(flat: np.ndarray, s: Sizes) -> None:
    """Write a number of its own to the last row of each part."""
    parts = weights_in(flat, s)
    row_of(parts.embedding, s.vocabulary - 1)[0] = 1
    row_of(parts.bias, s.layers - 1)[0] = 2
    row_of(parts.below, s.layers - 2)[0] = 3
    row_of(parts.recurrent, s.layers - 1)[0] = 4
    row_of(parts.output, 0)[0] = 5
    row_of(parts.output_bias, 0)[0] = 6


@each_dtype
def test_compiled_code_and_numpy_see_the_same_weights(dtype: str) -> None:
    s = sizes_of(ModelSpec(3, 9), dtype)
    shapes = weight_shapes(s)
    flat = np.zeros(count(shapes), dtype)
    mark_weights(flat, s)
    assert [p[-1, 0] for p in arrays_in(flat, shapes)] == [1, 2, 3, 4, 5, 6]
    assert np.count_nonzero(flat) == len(shapes)


@kept_on_disk
@compiled
def mark_workspace(buffers: Buffers, s: Sizes, places: np.ndarray) -> None:
    """Write a number of its own to [layer, step, row] of each part, a row of `places` (9, 3)."""
    work = workspace_in(buffers, s)
    for k, grid in enumerate(work):
        at(grid, places[k, 0], places[k, 1], places[k, 2]).start[0] = k + 1


def workspace_of(length: int, dtype: str = "float64") -> tuple[Buffers, Any, Sizes]:
    """Return buffers for a batch of 2 and 3 threads, and the arrays in them."""
    s, batch, threads = sizes_of(ModelSpec(2, 9), dtype), 2, 3
    shapes = workspace_shapes(s, batch, length, threads)
    numbers = np.zeros(count(shapes), dtype)
    tokens = np.zeros((2, length, batch), np.int64)
    return Buffers(tokens, numbers, np.zeros(threads)), arrays_in(numbers, shapes), s


def test_compiled_code_and_numpy_see_the_same_workspace() -> None:
    buffers, arrays, s = workspace_of(length=4)
    places = np.array([[n - 1 for n in part.shape[:3]] for part in arrays])
    mark_workspace(buffers, s, places)
    found = [part[*place, 0] for part, place in zip(arrays, places, strict=True)]
    assert found == list(range(1, len(arrays) + 1))
    assert np.count_nonzero(buffers.numbers) == len(arrays)


@each_dtype
@pytest.mark.parametrize("hidden", [1, 15, 16, 17])
@pytest.mark.parametrize("layers", [1, 3])
def test_canonical_parameters_come_back(layers: int, hidden: int, dtype: str) -> None:
    model = ModelSpec(layers, hidden)
    given = parameters.draw(0, model, dtype)
    s = sizes_of(model, dtype)
    flat = aligned(count(weight_shapes(s)), dtype)
    assert flat.ctypes.data % VECTOR_BYTES == 0
    fill(flat, given, s)
    found = canonical(flat, s)
    assert list(found) == list(given)
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert np.count_nonzero(flat) == model.size  # padding is zero


@kept_on_disk
@compiled
def call_slots(buffers: Buffers, s: Sizes, step: int) -> tuple[int, int, int]:
    slots = slots_of(workspace_in(buffers, s), step)
    return slots.now, slots.before, slots.after


def test_steps_use_the_slots_of_the_picture() -> None:
    buffers, _, s = workspace_of(length=3)
    assert [call_slots(buffers, s, t) for t in range(3)] == [(0, 0, 1), (1, 1, 2), (2, 2, 3)]
    buffers, _, s = workspace_of(length=1)
    assert [call_slots(buffers, s, t) for t in range(3)] == [(0, 0, 1), (0, 1, 0), (0, 0, 1)]


# Parts of work


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize(("size", "unit"), [(0, 1), (1, 1), (10, 1), (16, 16), (48, 16), (56, 16)])
def test_parts_cover_everything_once(size: int, unit: int, parts: int) -> None:
    ranges = [part.py_func(size, parts, index, unit) for index in range(parts)]
    assert [n for start, stop in ranges for n in range(start, stop)] == list(range(size))
    assert all(start % unit == 0 for start, _ in ranges)
