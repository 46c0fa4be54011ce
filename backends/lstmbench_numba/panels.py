"""Panels: the order in which the right-hand matrix of a product lies in memory.

The product x W of a few rows x reads every number of W once for each tile of rows. In the
usual order a strip of W's columns would jump through memory from row to row. So a matrix
(depth, columns) is cut into panels of two vectors of columns, and each panel is stored row after
row in one piece. A product then reads memory from the first number to the last:

               panel 0        panel 1        panel 2
             +------------+ +------------+ +------+
    row 0    | a0         | | b0         | | c0   |        The last panel is one vector wide
    row 1    | a1         | | b1         | | c1   |        where the number of vectors in a row
    row 2    | a2         | | b2         | | c2   |        is odd.
             +------------+ +------------+ +------+
              two vectors    two vectors    one

    in memory:   a0 a1 a2 | b0 b1 b2 | c0 c1 c2

The panels before column c hold c columns of `depth` numbers. The panel that begins at column c
therefore begins at number c * depth, and a row of it is min(two vectors, columns - c) long.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lstmbench_numba.compilation import compiled
from lstmbench_numba.memory import ahead
from lstmbench_numba.vectors import Vector, outlined, vector_ir, vector_pointer_ir, width


def to_panels(matrix: np.ndarray, panel: int) -> np.ndarray:
    """Return `matrix` (depth, columns) as panels of up to `panel` columns, (depth * columns,)."""
    columns = range(0, matrix.shape[1], panel)
    return np.concatenate([matrix[:, c : c + panel].ravel() for c in columns])


def from_panels(panels: np.ndarray, columns: int, panel: int) -> np.ndarray:
    """Return the matrix (depth, columns) whose panels are given: the inverse of `to_panels`."""
    depth = panels.size // columns
    result = np.empty((depth, columns), panels.dtype)
    for c in range(0, columns, panel):
        strip = result[:, c : c + panel]
        strip[...] = panels[c * depth : c * depth + strip.size].reshape(strip.shape)
    return result


@compiled
def transpose_panels(
    source: Any, target: Any, rows: int, columns: int, start: int, stop: int
) -> None:
    """Transpose some columns of a matrix in panels into the rows of another in panels.

    `source` points to a matrix (rows, columns), `target` to a matrix (columns, rows); both sizes
    are whole vectors. Columns [start, stop), from the start of a panel on, are transposed in
    squares as wide as a vector.
    """
    outlined()
    one = width(source)
    panel = 2 * one
    for c in range(start, stop, one):
        # Of the panel that a square lies in: its first column, and the length of its rows.
        source_panel = c // panel * panel
        source_row = min(panel, columns - source_panel)
        for r in range(0, rows, one):
            target_panel = r // panel * panel
            target_row = min(panel, rows - target_panel)
            come = source_panel * rows + r * source_row + c - source_panel
            go = target_panel * columns + c * target_row + r - target_panel
            transpose_square(ahead(source, come), source_row, ahead(target, go), target_row)


@intrinsic
def transpose_square(typingctx: Any, source: Any, row: Any, target: Any, target_row: Any) -> Any:
    """Transpose a square of `width` x `width` numbers in registers.

    `source` and `target` point to the squares, whose rows lie `row` and `target_row` numbers
    apart. One pass interleaves row i with row i + width / 2, into rows 2 i and 2 i + 1. Write the
    place of a number as the bits of its row followed by those of its lane: a pass rotates these
    bits by one. After log2(width) passes row and lane have changed places.
    """
    kind = Vector(source.dtype)
    count = kind.count

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def place(start: Any, distance: Any, r: int) -> Any:
            offset = builder.mul(distance, context.get_constant(types.intp, r))
            return vector_pointer_ir(builder, start, offset, vector_ir(kind))

        rows = [builder.load(place(args[0], args[1], r), align=kind.align) for r in range(count)]
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
            rows = [_interleave_ir(builder, p, half, count) for p in pairs for half in (0, 1)]
        for r, value in enumerate(rows):
            builder.store(value, place(args[2], args[3], r), align=kind.align)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), codegen


def _interleave_ir(builder: Any, pair: tuple[Any, Any], half: int, count: int) -> Any:
    """Return the IR of the lower (half = 0) or upper (half = 1) lanes of two vectors in turn."""
    first = half * count // 2
    order = [lane + side * count for lane in range(first, first + count // 2) for side in (0, 1)]
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), order)
    return builder.shuffle_vector(*pair, mask)
