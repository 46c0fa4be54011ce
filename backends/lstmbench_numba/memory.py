"""Views of memory for compiled code: pointers with distances, and the division of one array.

NumPy arrays inside kernels would cost compile time for each slice. A view here is a pointer and
the distances, in numbers, that it takes to find an element:

    Block   part of one matrix          (i, k)        start + i row_stride + k column_stride
    Table   rows of equal length        n             start + n columns
    Grid    layers of steps of rows     (n, t, row)   start + ((n steps + t) rows + row) columns

A layout is a NamedTuple of shapes: those of the parts that follow each other in one flat array.
`views_in` divides the array for compiled code, `arrays_in` for NumPy, so that a layout is written
down once.
"""

import math
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numba import types
from numba.extending import intrinsic

from lstmbench import views
from lstmbench_numba.compilation import compiled
from lstmbench_numba.vectors import VECTOR_BYTES, outlined, spread, store, width

Shape: TypeAlias = tuple[int, ...]
Part = TypeVar("Part")
"""What stands for each part of a layout: its shape, its array or, in compiled code, its view."""


class Block(NamedTuple):
    """Part of a matrix: element (i, k) lies at `start + i * row_stride + k * column_stride`."""

    start: Any
    row_stride: int
    column_stride: int


class Table(NamedTuple):
    """Consecutive rows of `columns` numbers each, from the pointer `start` on."""

    start: Any
    columns: int


class Grid(NamedTuple):
    """An array (layers, steps, rows, columns) from the pointer `start` on."""

    start: Any
    steps: int
    rows: int
    columns: int


_VIEWS: dict[int, type] = {2: Table, 4: Grid}
"""The view of a part whose shape has so many dimensions."""


def aligned(length: int, dtype: str) -> np.ndarray:
    """Return zeros (length,) that begin on a vector boundary."""
    size = length * np.dtype(dtype).itemsize
    raw = np.zeros(size + VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % VECTOR_BYTES
    return raw[start : start + size].view(dtype)


def count(shapes: Any) -> int:
    """Return how many numbers a layout needs."""
    return sum(math.prod(shape) for shape in shapes)


def arrays_in(flat: np.ndarray, shapes: Any) -> Any:
    """Return the parts of `flat` as NumPy arrays, in the NamedTuple class of the layout."""
    return type(shapes)(**views(flat, shapes._asdict()))


@intrinsic
def views_in(typingctx: Any, flat: Any, shapes: Any) -> Any:
    """Return the parts of the array `flat` as views, in the NamedTuple class of the layout.

    Shapes of two dimensions become tables, shapes of four become grids.
    """
    dimensions = len(shapes.types[0])
    start = types.CPointer(flat.dtype)
    view = types.BaseTuple.from_types((start, *[types.intp] * (dimensions - 1)), _VIEWS[dimensions])
    result = types.BaseTuple.from_types([view] * len(shapes), shapes.instance_class)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = context.make_array(flat)(context, builder, args[0]).data
        parts = []
        for n in range(len(shapes)):
            shape = [builder.extract_value(args[1], [n, d]) for d in range(dimensions)]
            parts.append(context.make_tuple(builder, view, [address, *shape[1:]]))
            size = shape[0]
            for length in shape[1:]:
                size = builder.mul(size, length)
            address = builder.gep(address, [size])
        return context.make_tuple(builder, result, parts)

    return result(flat, shapes), codegen


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """Return the address of an array's first element."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def ahead(typingctx: Any, start: Any, offset: Any) -> Any:
    """Return the pointer `offset` numbers after the pointer `start`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return start(start, types.intp), codegen


@compiled
def row_of(table: Table, n: int) -> Any:
    """Return the pointer to row n."""
    return ahead(table.start, n * table.columns)


@compiled
def at(grid: Grid, n: int, t: int, row: int) -> Block:
    """Return the rows from [n, t, row] on, as one block over all later rows and steps."""
    offset = ((n * grid.steps + t) * grid.rows + row) * grid.columns
    return Block(ahead(grid.start, offset), grid.columns, 1)


@compiled
def down(block: Block, rows: int) -> Block:
    """Return the same block without its first `rows` rows."""
    start = ahead(block.start, rows * block.row_stride)
    return Block(start, block.row_stride, block.column_stride)


@compiled
def right(block: Block, columns: int) -> Block:
    """Return the same block without its first `columns` columns."""
    start = ahead(block.start, columns * block.column_stride)
    return Block(start, block.row_stride, block.column_stride)


@compiled
def clear(out: Block, rows: int, columns: int) -> None:
    """Set `rows` rows of `columns` numbers, whole vectors, to zero.

    Assigning 0 to a slice of an array would compile to hundreds of instructions.
    """
    outlined()
    zeros = spread(out.start, 0)
    for row in range(rows):
        for c in range(0, columns, width(out.start)):
            store(out.start, row * out.row_stride + c, zeros)
