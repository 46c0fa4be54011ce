"""Views of memory: where the numbers of matrices and arrays lie, as pointers and distances.

Numba's arrays cost a compilation much; these are a pointer and a few integers.
"""

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from lstmbench_numba.compiling import compiled, outlined
from lstmbench_numba.vector import spread, store, width


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """Return the address of an array's first element."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def ahead(typingctx: Any, start: Any, offset: Any) -> Any:
    """Return the pointer `offset` numbers after `start`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return start(start, types.intp), codegen


class Block(NamedTuple):
    """Part of a matrix in memory: element (i, k) lies at `start + i * row + k * step`."""

    start: Any
    row: int
    step: int


class Table(NamedTuple):
    """Consecutive rows of `columns` numbers each, from a pointer on."""

    start: Any
    columns: int


class Grid(NamedTuple):
    """A (layers, steps, rows, columns) array, from a pointer on.

    How many layers there are is not kept: nothing asks for it.
    """

    start: Any
    steps: int
    rows: int
    columns: int


@compiled
def row_of(table: Table, n: int) -> Any:
    """Return the pointer to row n."""
    return ahead(table.start, n * table.columns)


@compiled
def at(grid: Grid, n: int, t: int, row: int) -> Block:
    """Return the rows from [n, t, row] on; those of step t + 1 follow those of step t."""
    offset = ((n * grid.steps + t) * grid.rows + row) * grid.columns
    return Block(ahead(grid.start, offset), grid.columns, 1)


@compiled
def next_table(table: Table, rows: int, columns: int) -> Table:
    """Return the table that follows a table of `rows` rows in memory."""
    return Table(row_of(table, rows), columns)


@compiled
def next_grid(grid: Grid, layers: int, steps: int, rows: int, columns: int) -> Grid:
    """Return the grid that follows a grid of `layers` layers in memory."""
    return Grid(at(grid, layers, 0, 0).start, steps, rows, columns)


@compiled
def down(block: Block, rows: int) -> Block:
    """Return the block that begins `rows` further down."""
    return Block(ahead(block.start, rows * block.row), block.row, block.step)


@compiled
def right(block: Block, columns: int) -> Block:
    """Return the block that begins `columns` further to the right."""
    return Block(ahead(block.start, columns * block.step), block.row, block.step)


@compiled
def clear(out: Block, rows: int, columns: int) -> None:
    """Write zeros in whole vectors. (A slice set to 0 compiles to hundreds of instructions.)"""
    outlined()
    zeros = spread(out.start, 0)
    for row in range(rows):
        for c in range(0, columns, width(out.start)):
            store(out.start, row * out.row + c, zeros)
